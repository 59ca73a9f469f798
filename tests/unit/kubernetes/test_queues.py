"""Worker queues: one workload each, and how they are scaled."""

from typing import Any

import pulumi
import pytest

from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.autoscaling import autoscalers
from astro_pulumi.kubernetes.config_maps_and_secrets import AirflowEnvironment
from astro_pulumi.kubernetes.disruption_budgets import disruption_budgets
from astro_pulumi.kubernetes.workloads import worker_workload
from tests.specs import spec

ONE_TO_FIVE = [{"name": "default", "min_count": 1, "max_count": 5}]


FILES = {one.name: one.name for one in spec().file_sets}


def workload(deployment: DeploymentSpec, index: int = 0) -> dict[str, Any]:
    secrets = {"broker": "broker", "api": "api"}
    environment = AirflowEnvironment("image", "image", "c", FILES, secrets, "sa", "")
    return worker_workload(deployment, deployment.worker_queues[index], environment)


def arguments(manifest: dict[str, Any]) -> list[str]:
    found: list[str] = manifest["spec"]["template"]["spec"]["containers"][0]["args"]
    return found


def option(manifest: dict[str, Any], name: str) -> str:
    given = arguments(manifest)
    return given[given.index(name) + 1]


def test_each_queue_is_a_workload_with_pods_of_its_own() -> None:
    deployment = spec(worker_queues=[{"name": "default"}, {"name": "heavy", "concurrency": 2}])
    default, heavy = workload(deployment, 0), workload(deployment, 1)
    assert default["metadata"]["name"] == "analytics-worker-default"
    assert default["spec"]["selector"] != heavy["spec"]["selector"]
    assert option(heavy, "--queues") == "heavy"
    assert option(heavy, "--concurrency") == "2"


@pytest.mark.parametrize(
    ("version", "names", "served"),
    [
        ("3.3", ["main"], "main,default"),
        ("3.3", ["default"], "default"),
        ("3.3", ["main", "default"], "main"),
        ("2.11", ["default"], "default,celery"),
        ("2.11", ["main", "celery"], "main,default"),
    ],
)
def test_the_default_queue_answers_to_its_usual_names(
    version: str, names: list[str], served: str
) -> None:
    queues = [{"name": name} for name in names]
    deployment = spec(airflow_version=version, worker_queues=queues)
    assert option(workload(deployment), "--queues") == served


def test_replicas_are_left_to_the_autoscaler() -> None:
    assert "replicas" not in workload(spec(worker_queues=ONE_TO_FIVE))["spec"]
    assert workload(spec())["spec"]["replicas"] == 1
    assert autoscalers(spec(), {}) == {}


def test_scaled_by_cpu() -> None:
    (scaler,) = autoscalers(spec(worker_queues=ONE_TO_FIVE), {}).values()
    assert scaler["kind"] == "HorizontalPodAutoscaler"
    assert scaler["spec"]["scaleTargetRef"]["name"] == "analytics-worker-default"
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (1, 5)
    (metric,) = scaler["spec"]["metrics"]
    assert metric["containerResource"] == {
        "name": "cpu",
        "container": "airflow",
        "target": {"type": "Utilization", "averageUtilization": 70},
    }


def test_scaled_by_the_tasks_of_this_queue_only() -> None:
    deployment = spec(
        worker_queues=[
            {"name": "default"},
            {"name": "heavy", "min_count": 0, "max_count": 3, "concurrency": 4},
        ],
        autoscaling={"type": "keda", "polling_interval_seconds": 5},
    )
    made = autoscalers(deployment, {"keda": "the-secret"})
    assert list(made) == ["keda", "worker-heavy"]
    (reference,) = made["keda"]["spec"]["secretTargetRef"]
    assert (reference["name"], reference["key"]) == ("the-secret", "connection")
    scaled = made["worker-heavy"]["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (0, 3)
    assert scaled["pollingInterval"] == 5
    assert scaled["triggers"][0]["metadata"]["query"] == (
        "SELECT ceil(count(*)::decimal / 4) FROM task_instance "
        "WHERE state IN ('queued', 'running') AND queue IN ('heavy')"
    )


def test_a_budget_for_every_workload() -> None:
    deployment = spec(
        webserver={"replicas": pulumi.Output.from_input(3)},
        worker_queues=[{"name": "a", "min_count": 2}, {"name": "b"}],
        pgbouncer={"image": "pgbouncer:1"},
    )
    budgets = disruption_budgets(deployment)
    processes = ["webserver", "scheduler", "triggerer", "dag-processor"]
    assert list(budgets) == [*processes, "worker-a", "worker-b", "pgbouncer"]
    assert {one["spec"]["maxUnavailable"] for one in budgets.values()} == {1}
    assert budgets["worker-a"]["spec"]["selector"] == workload(deployment)["spec"]["selector"]
