"""Every pod passes the `restricted` Pod Security Standard, as published, and more."""

from typing import Any

import pytest

from tests.manifests.render import DEPLOYMENTS, manifests

PODS = [
    (f"{name}/{manifest['kind']}/{manifest['metadata']['name']}", manifest["spec"]["template"])
    for name in DEPLOYMENTS
    for manifest in manifests(name)
    if manifest["kind"] in ("Deployment", "StatefulSet", "Job")
]
CONTAINERS = [
    (f"{name}/{container['name']}", container)
    for name, template in PODS
    for container in (
        *template["spec"]["containers"],
        *template["spec"].get("initContainers", []),
    )
]
ALLOWED_VOLUMES = {"configMap", "emptyDir", "secret", "projected", "persistentVolumeClaim"}
HOST_FIELDS = {"hostNetwork", "hostPID", "hostIPC"}

every_pod = pytest.mark.parametrize("template", [t for _, t in PODS], ids=[n for n, _ in PODS])
every_container = pytest.mark.parametrize(
    "container", [c for _, c in CONTAINERS], ids=[n for n, _ in CONTAINERS]
)


@every_pod
def test_pod_is_restricted(template: dict[str, Any]) -> None:
    pod = template["spec"]
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not HOST_FIELDS & set(pod)
    for volume in pod.get("volumes", []):
        assert set(volume) - {"name"} <= ALLOWED_VOLUMES


@every_pod
def test_only_the_jobs_of_a_deploy_have_a_token(template: dict[str, Any]) -> None:
    component = template["metadata"]["labels"]["app.kubernetes.io/component"]
    has_token = component in ("release-job", "rollout")
    assert template["spec"]["automountServiceAccountToken"] is has_token
    account = template["spec"]["serviceAccountName"]
    assert (account == f"analytics-{component}") is has_token


@every_container
def test_container_is_restricted(container: dict[str, Any]) -> None:
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["readOnlyRootFilesystem"] is True
    assert "privileged" not in security
    assert all("hostPort" not in port for port in container.get("ports", []))


@every_container
def test_container_has_requests_and_limits(container: dict[str, Any]) -> None:
    assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"]["limits"])
    assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"]["requests"])


@every_container
def test_the_init_of_the_image_stays_in_charge(container: dict[str, Any]) -> None:
    """Signals have to reach Airflow as its image means it. PgBouncer and the watch are no Airflow."""
    is_watch = container.get("command", [])[-1:] == ["/opt/astro-pulumi/rollout_job.py"]
    assert "command" not in container or container["name"] == "pgbouncer" or is_watch
