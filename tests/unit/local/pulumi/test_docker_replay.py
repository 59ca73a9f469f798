"""Every recorded call of pulumi-docker, replayed against the stand-in with a Docker daemon in memory.

What may differ: `build.contextDigest`, since the project of the recording is not there. That the hash is
made as pulumi-docker makes it is tested in `test_docker_provider.py`.
"""

from pathlib import Path
from typing import Any

import pytest

from local.pulumi.docker_provider import DockerProvider
from local.pulumi.values import from_wire, reveal
from tests.unit.local.pulumi.fake_docker import FakeDaemon
from tests.unit.local.pulumi.recordings import Call, calls


@pytest.fixture
def provider(tmp_path: Path) -> DockerProvider:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "Dockerfile").write_text("FROM scratch\n")
    return DockerProvider(tmp_path)


@pytest.mark.parametrize("call", calls("docker", "CheckConfig"), ids=str)
def test_check_config(call: Call, provider: DockerProvider) -> None:
    assert call.replay(provider) == call.response


@pytest.mark.parametrize("call", calls("docker", "Check"), ids=str)
def test_check(call: Call, provider: DockerProvider) -> None:
    ours, theirs = call.replay(provider)["inputs"], call.response["inputs"]
    assert len(ours["build"]["contextDigest"]) == 64
    digest = {"contextDigest": theirs["build"]["contextDigest"]}
    assert {**ours, "build": ours["build"] | digest} == theirs


@pytest.mark.parametrize("call", calls("docker", "Diff", "DiffConfig"), ids=str)
def test_diff(call: Call, provider: DockerProvider) -> None:
    ours, theirs = call.replay(provider), call.response
    assert ours["changes"] == theirs.get("changes", "DIFF_NONE")
    for field in ("replaces", "detailedDiff"):
        assert ours.get(field) == theirs.get(field), field


@pytest.mark.parametrize("call", calls("docker", "Create", "Update"), ids=str)
def test_create_and_update(
    call: Call, provider: DockerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: dict[str, Any] = reveal(from_wire(call.response["properties"]))
    daemon = FakeDaemon(str(expected.get("repoDigest", "")).partition("@")[2])
    daemon.install(monkeypatch)
    answer = call.replay(provider)
    assert answer == call.response
    preview = call.request.get("preview")
    assert daemon.pushed == ([] if preview else [expected["imageName"]])


@pytest.mark.parametrize("call", calls("docker", "Read", "Delete"), ids=str)
def test_read_and_delete(call: Call, provider: DockerProvider) -> None:
    assert call.replay(provider) == call.response
