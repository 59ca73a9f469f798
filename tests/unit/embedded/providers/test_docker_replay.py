"""Every recorded call of pulumi-docker, replayed against ours with a Docker daemon in memory.

What may differ: `build.contextDigest`, since the project of the recording is not there. That the hash
is made as pulumi-docker makes it is tested in `test_docker.py`.
"""

from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.embedded.providers.docker import DockerProvider
from astro_pulumi.embedded.values import reveal
from tests.unit.embedded.providers.recordings import Call, calls, comparable, recorded_diff
from tests.unit.embedded.providers.test_docker import FakeDaemon


def _no_log(_severity: str, _message: str) -> None: ...


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def _without_digest(value: Any) -> Any:
    value = comparable(reveal(value))
    value.get("build", {}).pop("contextDigest", None)
    return value


@pytest.mark.parametrize("call", calls("docker", "Check"), ids=str)
def test_check(call: Call, project: Path) -> None:
    provider = DockerProvider({}, project)
    result = provider.check(call.asked())
    assert _without_digest(result.inputs) == _without_digest(call.answered("inputs"))
    assert len(result.inputs["build"]["contextDigest"]) == 64


@pytest.mark.parametrize("call", calls("docker", "Diff"), ids=str)
def test_diff(call: Call) -> None:
    result = DockerProvider({}).diff(call.asked())
    recorded = recorded_diff(call)
    assert (result.changes, list(result.replaces)) == (recorded.changes, recorded.replaces)
    assert result.detailed == recorded.detailed


@pytest.mark.parametrize("call", calls("docker", "Create", "Update"), ids=str)
def test_create_and_update(call: Call, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = call.answered("properties")
    digest = str(reveal(expected).get("repoDigest", "")).partition("@")[2]
    daemon = FakeDaemon(digest)
    daemon.install(monkeypatch)
    provider = DockerProvider({}, project)
    preview = bool(call.request.get("preview"))
    if call.method == "Create":
        id, outputs = provider.create(call.asked())
        assert call.response and id == call.response["id"]
    else:
        outputs = provider.update(call.asked())
    assert comparable(outputs) == comparable(expected)
    assert daemon.pushed == ([] if preview else [expected["imageName"]])


@pytest.mark.parametrize("call", calls("docker", "Read"), ids=str)
def test_read(call: Call) -> None:
    result = DockerProvider({}).read(call.asked())
    assert result and call.response and result.id == call.response["id"]
    assert comparable(result.inputs) == comparable(call.answered("inputs"))
    assert comparable(result.outputs) == comparable(call.answered("properties"))


@pytest.mark.parametrize("call", calls("docker", "Delete"), ids=str)
def test_delete(call: Call) -> None:
    DockerProvider({}).delete(call.asked())
