"""Every image runs as a user that it does not know, with group 0: as OpenShift's `restricted-v2` runs it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from astro_pulumi.naming import AIRFLOW_CONTAINER, PYTEST
from local import platform as local_platform
from local.airflow_api import Airflow
from local.platform import Platform
from local.progress import Progress
from tests.cluster.airflow2 import Airflow2
from tests.cluster.component import modules
from tests.cluster.component.conftest import AIRFLOW_2, write_project
from tests.cluster.conftest import DeployedStack, copy_program, free_node_port
from tests.cluster.kube import AIRFLOW_COMPONENTS, JOBS, RESTRICTED, Kube, component_of

USER = 1_000_710_000  # OpenShift's ranges begin there
ALL_JOBS = {*JOBS, PYTEST}
SERVICES = {"postgresql", "redis", "pgbouncer", "statsd"}
# The images with a shell; the exporter's has none.
WITH_A_SHELL = (AIRFLOW_COMPONENTS | SERVICES) - {"statsd"}


@pytest.fixture(scope="module")
def own_namespace(kube: Kube) -> Iterator[str]:
    with kube.temporary_namespace("any-user", **RESTRICTED) as name:
        yield name


@pytest.fixture(scope="module")
def any_user(
    platform: Platform, kube: Kube, own_namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> DeployedStack:
    """Both Deployments, up."""
    directory = tmp_path_factory.mktemp("any_user") / "program"
    stack = copy_program(Path(__file__).parent / "any_user", directory, platform)
    with Progress(Console(stderr=True, highlight=False)) as progress:
        airflow2_image = local_platform.runtime(AIRFLOW_2, progress)
    write_project(directory / "airflow3", platform.runtime_image)
    write_project(directory / "airflow2", airflow2_image)
    settings: dict[str, str | int] = {
        "namespace": own_namespace,
        "user": USER,
        "registry": platform.registry,
        "databaseImage": platform.postgres_image,
        "brokerImage": platform.redis_image,
        "exporterImage": modules.statsd_exporter_image(platform),
        "pgbouncerImage": modules.pgbouncer_image(platform),
        "airflow3NodePort": free_node_port(kube),
        "airflow2NodePort": free_node_port(kube),
    }
    stack.configure(
        {
            "kubernetes:context": platform.context,
            "astro:pytest": "airflow3=true",
            **{f"any-user:{key}": value for key, value in settings.items()},
        }
    )
    deployed = DeployedStack(stack, platform, kube)
    deployed.up()
    sys.stderr.write(f"up as any user: {deployed.seconds:.0f} s\n")
    return deployed


def airflow(any_user: DeployedStack, name: str, namespace: str) -> Airflow:
    kind = Airflow if name == "airflow3" else Airflow2
    (service,) = (
        item
        for item in any_user.kube.objects("Service", namespace)
        if item["metadata"]["name"] == f"{name}-webserver"
    )
    port = service["spec"]["ports"][0]["nodePort"]
    login = (any_user.outputs[f"{name}_admin_{part}"] for part in ("username", "password"))
    return kind(f"http://localhost:{port}", *login)


def test_every_pod_runs_as_that_user(any_user: DeployedStack, own_namespace: str) -> None:
    pods = any_user.kube.all_pods(own_namespace)
    assert {component_of(pod) for pod in pods} == AIRFLOW_COMPONENTS | SERVICES | ALL_JOBS
    for pod in pods:
        security = pod["spec"]["securityContext"]
        assert (security["runAsUser"], security["runAsGroup"]) == (USER, 0)
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            assert not {"runAsUser", "runAsGroup"} & set(container["securityContext"])
        phase = "Succeeded" if component_of(pod) in ALL_JOBS else "Running"
        assert pod["status"]["phase"] == phase, component_of(pod)
        if component_of(pod) in WITH_A_SHELL:
            is_airflow = component_of(pod) in AIRFLOW_COMPONENTS
            container = AIRFLOW_CONTAINER if is_airflow else None
            said = any_user.kube.execute(pod, "sh", "-c", "id -u; id -g", container=container)
            assert said.split() == [str(USER), "0"], component_of(pod)


@pytest.mark.parametrize("name", ["airflow3", "airflow2"])
def test_a_task_runs_as_that_user(any_user: DeployedStack, own_namespace: str, name: str) -> None:
    client = airflow(any_user, name, own_namespace)
    client.wait_until_healthy(300)
    client.wait_for_dag("identity", seconds=180)
    run_id = client.start_run("identity")
    state = client.wait_for_run("identity", run_id, seconds=300)
    assert state == "success", client.describe_failure("identity", run_id)
    (task,) = client.task_instances("identity", run_id)
    said = [record.text for record in client.log(task)]
    # `USER` gives the user a name, without which Airflow does not start.
    assert any(f"identity {USER} 0 airflow" in text for text in said), said


def test_a_second_up_changes_nothing(any_user: DeployedStack) -> None:
    any_user.up()
    assert " unchanged" in any_user.logs[-1]
    for word in ("created", "updated", "replaced", "deleted"):
        assert word not in any_user.logs[-1]
