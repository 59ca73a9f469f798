"""What runs is what was pushed, and what is local stays local."""

import io
import json
import tarfile
import urllib.request

import docker

from local.quickstart import REPOSITORY_ROOT
from tests.cluster.conftest import Deployed
from tests.cluster.kube import AIRFLOW_COMPONENTS, component_of, images, is_ready

PROJECT = REPOSITORY_ROOT / "examples" / "quickstart" / "project"
AIRFLOW_HOME = "usr/local/airflow"
MARKER = b"local-only-marker"


def test_every_airflow_pod_runs_the_pushed_digest(deployed: Deployed) -> None:
    image = deployed.outputs["image"]
    repository, _, digest = image.partition("@")
    name = repository.partition("/")[2]

    pods = deployed.kube.pods(deployed.namespace)

    assert {component_of(pod) for pod in pods} == AIRFLOW_COMPONENTS
    assert all(is_ready(pod) for pod in pods)
    assert [images(pod) for pod in pods] == [{image}] * len(pods)
    running = {status["imageID"] for pod in pods for status in pod["status"]["containerStatuses"]}
    assert {reference.partition("@")[2] for reference in running} == {digest}
    if deployed.platform.own_cluster:  # whose registry can be asked without a login
        url = f"http://{deployed.platform.registry}/v2/{name}/manifests/{digest}"
        with urllib.request.urlopen(url) as answer:
            assert answer.headers["Docker-Content-Digest"] == digest


def test_the_image_holds_the_project_and_nothing_local(deployed: Deployed) -> None:
    """Everything in the file system, the settings and the history of the image is looked at."""
    assert MARKER in (PROJECT / ".env").read_bytes()
    assert MARKER in (PROJECT / "airflow_settings.yaml").read_bytes()
    client = docker.DockerClient(base_url=deployed.platform.docker_host)
    image = client.images.get(deployed.outputs["image"])
    container = client.containers.create(image, command="true")
    try:
        stream, _ = container.get_archive(f"/{AIRFLOW_HOME}")
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            contents = {
                member.name.partition("/")[2]: (archive.extractfile(member) or io.BytesIO()).read()
                for member in archive
                if member.isfile()
            }
    finally:
        container.remove()

    expected = {
        path.relative_to(PROJECT).as_posix()
        for folder in ("dags", "include", "plugins")
        for path in (PROJECT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= set(contents)
    local = {"airflow_settings.yaml", ".env", ".git", ".astro", "tests", "logs", "airflow.db"}
    assert not [path for path in contents if set(path.split("/")) & local]
    assert not [path for path, content in contents.items() if MARKER in content]
    described = json.dumps([image.attrs, image.history()])
    assert MARKER.decode() not in described
    assert "SHOP_API_TOKEN" not in described
