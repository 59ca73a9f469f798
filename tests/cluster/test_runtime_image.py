"""A project may change every package of the open runtime image but Airflow itself."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from local.platform import Platform

Build = Callable[[str], str]
VERSIONS = """\
import json
from importlib.metadata import distributions
print(json.dumps({one.name: one.version for one in distributions()}))
"""


@pytest.fixture(scope="module")
def client(platform: Platform) -> docker.DockerClient:
    return docker.DockerClient(base_url=platform.docker_host, timeout=600)


@pytest.fixture
def build(client: docker.DockerClient, platform: Platform, tmp_path: Path) -> Iterator[Build]:
    """Build a project with some requirements; return the image."""
    made: list[str] = []

    def run(requirements: str) -> str:
        (tmp_path / "Dockerfile").write_text(f"FROM {platform.runtime_image}\n")
        (tmp_path / "packages.txt").touch()
        (tmp_path / "requirements.txt").write_text(requirements)
        image, _ = client.images.build(path=str(tmp_path), rm=True, forcerm=True)
        made.append(str(image.id))
        return made[-1]

    yield run
    for image in made:
        client.images.remove(image, force=True)


def versions(client: docker.DockerClient, image: str) -> dict[str, str]:
    """Return the installed packages with their versions."""
    said = client.containers.run(image, ["python", "-c", VERSIONS], remove=True)
    found: dict[str, str] = json.loads(said)
    return found


def test_packages_of_the_image_may_have_other_versions(
    client: docker.DockerClient, platform: Platform, build: Build
) -> None:
    before = versions(client, platform.runtime_image)
    wanted = {"requests": "2.33.0", "apache-airflow-providers-common-sql": "1.31.0"}
    assert not wanted.items() & before.items()
    image = build("".join(f"{name}=={version}\n" for name, version in wanted.items()))
    after = versions(client, image)
    assert wanted.items() <= after.items()
    airflow = {"apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk"}
    assert {name: after[name] for name in airflow} == {name: before[name] for name in airflow}
    # What nobody asked to change stays, so that a build is as fast as it was.
    changed = {name for name, version in after.items() if before.get(name) != version}
    assert len(changed) < 6, changed
    client.containers.run(image, ["airflow", "version"], remove=True)


@pytest.mark.parametrize(
    "requirement",
    ["apache-airflow-core==3.0.0", "apache-airflow-task-sdk==1.0.0", "sqlalchemy==1.3.24"],
)
def test_what_airflow_cannot_run_with_fails_the_build(requirement: str, build: Build) -> None:
    with pytest.raises(docker.errors.BuildError) as caught:
        build(f"{requirement}\n")
    lines = [str(line.get("stream", "")) for line in caught.value.build_log]
    said = " ".join("".join(lines).split())
    assert "your requirements are unsatisfiable" in said
    assert requirement in said
