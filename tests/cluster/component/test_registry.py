"""A registry with a login, which the cluster knows by another name."""

import http.client
import urllib.request
from urllib.error import HTTPError

import pytest

from local.errors import LocalError
from tests.cluster.component.conftest import Pair
from tests.cluster.component.registry import Registry
from tests.cluster.kube import images


@pytest.fixture
def login(login_registry: Registry | None) -> Registry:
    if login_registry is None:
        pytest.skip("the chosen cluster cannot pull from a registry on this machine")
    return login_registry


def test_pods_pull_with_the_login_by_the_clusters_name(pair: Pair, login: Registry) -> None:
    image = pair.outputs["airflow3_image"]
    assert image.startswith(f"{login.pull_server}/team/airflow3@sha256:")
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(f"http://{login.push_server}/v2/team/airflow3/tags/list")
    assert refused.value.code == http.client.UNAUTHORIZED
    pods = [
        *pair.pods("airflow3"),
        *pair.kube.objects("Pod", pair.namespace, **{"job-name": job_name(pair)}),
    ]
    for pod in pods:
        assert images(pod) == {image}
        (reference,) = pod["spec"]["imagePullSecrets"]
        secret = pair.object("Secret", reference["name"])
        assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert all("imagePullSecrets" not in pod["spec"] for pod in pair.pods("airflow2"))


def test_a_wrong_password_is_one_clear_line_and_changes_nothing(
    pair: Pair, login: Registry
) -> None:
    dag = pair.stack.directory / "airflow3" / "dags" / "places.py"
    before, pods = dag.read_text(), pair.pods_by_workload()
    dag.write_text(f"{before}\n# never pushed\n")
    try:
        with pytest.raises(LocalError):
            pair.up_with(registryPassword="a-wrong-password-of-a-test")
        said = pair.logs[-1]
        errors = [
            line
            for line in said.partition("Diagnostics:")[2].splitlines()
            if "authentication required" in line.lower() or "unauthorized" in line.lower()
        ]
        assert len(errors) == 1, said
        assert login.push_server in errors[0]
        assert "a-wrong-password-of-a-test" not in said
        assert "Traceback" not in said
        assert pair.pods_by_workload() == pods
    finally:
        dag.write_text(before)
        assert pair.up_with(registryPassword=pair.secrets["registryPassword"]) == set()


def job_name(pair: Pair) -> str:
    """The release Job of airflow3."""
    labels = {
        "app.kubernetes.io/instance": "airflow3",
        "app.kubernetes.io/component": "release-job",
    }
    (job,) = pair.kube.objects("Job", pair.namespace, **labels)
    return str(job["metadata"]["name"])
