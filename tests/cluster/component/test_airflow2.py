"""Airflow 2: a run on its Celery workers, the log of a task that runs, users, metrics, what KEDA counts."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import pytest

from local.airflow_api import AirflowError
from tests.cluster.airflow2 import Airflow2
from tests.cluster.component.conftest import Pair
from tests.cluster.component.services import ExternalServices, query
from tests.cluster.kube import wait_until

DAG_ID = "waiting"
TASKS, CONCURRENCY = 3, 2


def start_waiting(airflow: Airflow2) -> str:
    """Starts a run; returns when as many of its tasks run as can, and the others are queued."""
    airflow.wait_for_dag(DAG_ID, seconds=180)
    run_id = airflow.start_run(DAG_ID)

    def states() -> list[str]:
        return sorted(str(task["state"]) for task in airflow.task_instances(DAG_ID, run_id))

    expected = ["queued"] * (TASKS - CONCURRENCY) + ["running"] * CONCURRENCY
    wait_until(f"tasks are {expected}", lambda: states() == expected, seconds=270)
    return run_id


def let_go(airflow: Airflow2, run_id: str) -> None:
    """Lets the tasks of a run end."""
    airflow.set_variable(f"go-{run_id}", "yes")


@pytest.fixture(scope="module")
def waiting(pair: Pair) -> Iterator[str]:
    """A run with two running tasks and a queued one."""
    airflow = pair.airflow2
    run_id = start_waiting(airflow)
    yield run_id
    with contextlib.suppress(AirflowError):  # a test has done so
        let_go(airflow, run_id)


def test_the_log_of_a_task_that_runs_is_readable(pair: Pair, waiting: str) -> None:
    airflow = pair.airflow2

    def running_task() -> dict[str, Any]:
        tasks = airflow.task_instances(DAG_ID, waiting)
        return next(task for task in tasks if task["state"] == "running")

    wait_until(
        "the log has a line of the task",
        lambda: any("has waited" in line.text for line in airflow.log(running_task())),
        seconds=90,
    )
    assert running_task()["state"] == "running"


def test_keda_counts_queued_and_running_tasks(pair: Pair, waiting: str) -> None:
    """KEDA itself does not run here: its question is asked, with the login that it would use."""
    scaled = pair.object("ScaledObject", "airflow2-worker-default")["spec"]
    trigger = scaled["triggers"][0]
    authentication = pair.object("TriggerAuthentication", trigger["authenticationRef"]["name"])
    (reference,) = authentication["spec"]["secretTargetRef"]
    assert reference["parameter"] == "connection"
    connection = pair.kube.secret_values(pair.namespace)[f"{reference['name']}/{reference['key']}"]
    (postgres,) = (
        pod
        for pod in pair.kube.all_pods(pair.namespace)
        if pod["metadata"]["name"].startswith("airflow2-postgresql")
    )

    def ask() -> str:
        command = ("psql", connection, "-Atc", trigger["metadata"]["query"])
        return pair.kube.execute(postgres, *command).strip()

    assert ask() == str(math.ceil(TASKS / CONCURRENCY))
    assert scaled["scaleTargetRef"]["name"] == "airflow2-worker-default"
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (1, 4)
    # The same with a task of a queue that is not this one's.
    statement = "UPDATE task_instance SET queue = '{}' WHERE run_id = '{}' AND map_index = 0"
    query(pair.kube, postgres, statement.format("other", waiting))
    assert ask() == "1"
    query(pair.kube, postgres, statement.format("default", waiting))

    let_go(pair.airflow2, waiting)
    assert pair.airflow2.wait_for_run(DAG_ID, waiting, seconds=270) == "success"
    assert ask() == "0"


def test_a_run_succeeds_on_a_worker(pair: Pair, waiting: str) -> None:
    airflow = pair.airflow2
    assert airflow.wait_for_run(DAG_ID, waiting, seconds=270) == "success"
    tasks = airflow.task_instances(DAG_ID, waiting)
    workers = {pod["status"]["podIP"] for pod in pair.pods("airflow2", "worker")}
    assert [(task["state"], task["try_number"]) for task in tasks] == [("success", 1)] * TASKS
    assert {task["hostname"] for task in tasks} <= workers
    assert {task["queue"] for task in tasks} == {"default"}


def test_the_only_user_is_the_admin_with_the_generated_password(pair: Pair) -> None:
    username, password = pair.login("airflow2")
    users = pair.airflow2.get("users")["users"]
    assert [user["username"] for user in users] == [username]
    assert [role["name"] for role in users[0]["roles"]] == ["Admin"]
    for wrong in ("admin", "airflow", password[:-1]):
        with pytest.raises(AirflowError):
            Airflow2(pair.airflow2.url, username, wrong).get("dags")


def test_metrics_go_to_a_collector_of_opentelemetry(
    waiting: str, external: ExternalServices
) -> None:
    wait_until(
        "the collector has a metric of the scheduler",
        lambda: "airflow.scheduler_heartbeat" in external.metrics(),
        seconds=180,
    )
