"""A Docker daemon in memory."""

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import docker
import pytest

BUILT = {"aux": {"ID": "sha256:built"}}


class FakeDaemon:
    """A Docker daemon that plays given events, and keeps what it was sent."""

    def __init__(self, digest: str = "sha256:pushed") -> None:
        self.build_events: list[dict[str, Any]] = [{"stream": "Step 1/1 : FROM scratch\n"}, BUILT]
        self.push_events: list[dict[str, Any]] = [{"aux": {"Tag": "1", "Digest": digest}}]
        self.archive: dict[str, tarfile.TarInfo] = {}
        self.archive_bytes = b""
        self.build_options: dict[str, Any] = {}
        self.pushed: list[str] = []
        self.login: dict[str, str] | None = None
        self.base_logins: dict[str, Any] = {}
        self._auth_configs = self

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(docker, "APIClient", lambda **_: self)

    def add_auth(self, server: str, login: dict[str, str]) -> None:
        self.base_logins[server] = login

    def build(self, fileobj: Any, **options: Any) -> Iterator[dict[str, Any]]:
        self.archive_bytes = fileobj.read()
        with tarfile.open(fileobj=io.BytesIO(self.archive_bytes)) as tar:
            self.archive = {info.name: info for info in tar.getmembers()}
        self.build_options = options
        return iter(self.build_events)

    def push(
        self, repository: str, tag: str, auth_config: dict[str, str] | None, **_: Any
    ) -> Iterator[dict[str, Any]]:
        self.pushed.append(f"{repository}:{tag}")
        self.login = auth_config
        return iter(self.push_events)
