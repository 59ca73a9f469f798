"""Whether a registry still has an image, asked of a registry on this machine."""

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pulumi
import pytest

from astro_pulumi.errors import ReleaseError
from astro_pulumi.release import image_registry as registries
from astro_pulumi.release.find_release import ListedRelease, ReleaseList
from astro_pulumi.release.image_registry import (
    _server_and_name,
    basic_login,
    existence_hook,
    is_gone,
)
from astro_pulumi.release.release_records import Release
from astro_pulumi.release.rollback import Rollback, require_image
from astro_pulumi.validation import specify
from tests.mock_engine import write_project
from tests.specs import spec

HERE, GONE = "sha256:" + "1" * 64, "sha256:" + "2" * 64
HAS = (HERE, "1.0", "latest")
LOGIN = basic_login("acme", "hunter2")
BASIC = "Basic " + base64.b64encode(b"acme:hunter2").decode()


class Handler(BaseHTTPRequestHandler):
    """A registry that has one image. `server.asks` is how it wants to know who comes."""

    def do_HEAD(self) -> None:
        accepted = {"Basic": BASIC, "Bearer": "Bearer token"}.get(self.server.asks)  # type: ignore[attr-defined]
        if accepted and self.headers.get("Authorization") != accepted:
            realm = f'realm="http://localhost:{self.server.server_port}/token"'  # type: ignore[attr-defined]
            self.answer(
                401,
                f'{self.server.asks} {realm},service="r",scope="repository:acme/a:pull"',  # type: ignore[attr-defined]
            )
        else:
            self.answer(200 if self.path.removeprefix("/v2/acme/a/manifests/") in HAS else 404)

    def do_GET(self) -> None:
        assert "scope=repository%3Aacme%2Fa%3Apull" in self.path
        self.answer(200 if self.headers.get("Authorization") == BASIC else 401, token="token")

    def answer(self, status: int, challenge: str = "", **body: str) -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        if body:
            self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        """Not in the tests' output."""


@contextmanager
def registry(asks: str = "") -> Iterator[str]:
    server = ThreadingHTTPServer(("localhost", 0), Handler)
    server.asks = asks  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"localhost:{server.server_port}/acme/a"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("asks", ["", "Basic", "Bearer"])
def test_what_the_registry_has_and_what_it_has_not(asks: str) -> None:
    with registry(asks) as repository:
        assert not is_gone(f"{repository}@{HERE}", LOGIN)
        assert is_gone(f"{repository}@{GONE}", LOGIN)


@pytest.mark.parametrize("asks", ["Basic", "Bearer"])
@pytest.mark.parametrize("login", [None, basic_login("acme", "wrong")])
def test_without_a_login_nobody_knows(asks: str, login: str | None) -> None:
    with registry(asks) as repository:
        assert not is_gone(f"{repository}@{GONE}", login)


def test_an_image_may_be_named_by_its_tag() -> None:
    with registry() as repository:
        assert not is_gone(f"{repository}:1.0", None)
        assert not is_gone(repository, None)
        assert is_gone(f"{repository}:2.0", None)
        assert is_gone(f"{repository}:1.0@{GONE}", None), "the digest is what counts"


class Hooks:
    """What is registered as hooks of resources."""

    def __init__(self) -> None:
        self.checks: list[Any] = []

    def __call__(self, name: str, check: Any, options: pulumi.ResourceHookOptions) -> Any:
        assert options.on_dry_run, "a preview finds out as well"
        assert not options.ignore_errors
        self.checks.append(check)
        return check


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Hooks:
    made = Hooks()
    monkeypatch.setattr(registries, "supports_hooks", lambda: True)
    monkeypatch.setattr(pulumi, "ResourceHook", made)
    monkeypatch.setattr(pulumi, "ResourceHookBinding", lambda before_create: before_create)
    return made


def check_before_job(hooks: Hooks, image: str, **arguments: Any) -> None:
    """Do what happens before a release Job is created."""
    given = spec(image=image, **arguments)

    async def check() -> None:
        existence_hook(given, pulumi.Output.from_input(image))
        await hooks.checks[-1](None)

    # `asyncio.run` would leave the thread without an event loop, which other tests need.
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(check())


def test_an_image_that_is_not_there_fails_the_deploy_before_the_release_job(hooks: Hooks) -> None:
    login = {"username": "acme", "password": "hunter2"}
    with registry("Basic") as repository:
        given = {"registry": {"repository": repository, **login}}
        check_before_job(hooks, f"{repository}@{HERE}", **given)
        with pytest.raises(ReleaseError, match=f"{repository}@{GONE} is not in its registry"):
            check_before_job(hooks, f"{repository}@{GONE}", **given)
        check_before_job(hooks, f"{repository}@{GONE}")  # nobody knows without a login


def test_an_image_that_the_deploy_pushes_is_not_asked_for(hooks: Hooks, tmp_path: Path) -> None:
    write_project(tmp_path)
    args: Any = {"project": str(tmp_path), "registry": {"repository": "ghcr.io/acme/analytics"}}
    built = specify("analytics", args)
    assert existence_hook(built, mock.Mock()) is None
    assert hooks.checks == []


def test_a_registry_out_of_reach_is_left_to_kubernetes() -> None:
    with registry() as repository:
        pass
    assert not is_gone(f"{repository}@{GONE}", None)


@pytest.mark.parametrize(
    ("repository", "where"),
    [
        ("ghcr.io/acme/a", ("ghcr.io", "acme/a")),
        ("localhost:5000/a", ("localhost:5000", "a")),
        ("acme/a", ("registry-1.docker.io", "acme/a")),
        ("docker.io/acme/a", ("registry-1.docker.io", "acme/a")),
        ("airflow", ("registry-1.docker.io", "library/airflow")),
    ],
)
def test_repositories_are_named_by_dockers_rules(repository: str, where: tuple[str, str]) -> None:
    assert _server_and_name(repository) == where


def going_back(repository: str, digest: str, running: str) -> Rollback:
    release = Release(3, f"{repository}@{digest}", "3.3.2", git={"commit": "3f2a91c0"})
    return Rollback(
        release, "3", ReleaseList(5, {3: ListedRelease(digest), 5: ListedRelease(running)})
    )


def test_a_release_whose_image_is_gone_is_refused_with_what_to_do_instead() -> None:
    with registry() as repository:
        with pytest.raises(
            ReleaseError, match=r"not in the registry any more\. Nothing was changed"
        ) as told:
            require_image(going_back(repository, GONE, HERE), None)
        assert "git commit 3f2a91c" in str(told.value)
        require_image(going_back(repository, HERE, GONE), None)


def test_what_runs_already_is_not_asked_for() -> None:
    with registry() as repository:
        require_image(going_back(repository, GONE, GONE), None)
