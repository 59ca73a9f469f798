"""Worker queues: each task runs where it asks to, and gets what the Deployment gives to all."""

from typing import Any

import pytest

from tests.cluster.component.conftest import Pair
from tests.cluster.component.services import KEY_PREFIX, ExternalServices
from tests.cluster.kube import wait_until

DAG_ID = "places"


@pytest.fixture(scope="module")
def tasks(pair: Pair) -> dict[str, dict[str, Any]]:
    """The tasks of a run that has ended, by their names."""
    airflow = pair.airflow3
    airflow.wait_for_dag(DAG_ID, seconds=180)
    run_id = airflow.start_run(DAG_ID)
    state = airflow.wait_for_run(DAG_ID, run_id, seconds=300)
    assert state == "success", airflow.describe_failure(DAG_ID, run_id)
    return {task["task_id"]: task for task in airflow.task_instances(DAG_ID, run_id)}


def test_a_task_runs_on_a_worker_of_its_queue(pair: Pair, tasks: dict[str, dict[str, Any]]) -> None:
    for task_id, queue in (("anywhere", "default"), ("heavy", "heavy")):
        pods = pair.pods("airflow3", "worker", queue)
        assert tasks[task_id]["queue"] == queue
        assert [tasks[task_id]["hostname"]] == [pod["status"]["podIP"] for pod in pods]
        log = "\n".join(line.text for line in pair.airflow3.log(tasks[task_id]))
        assert pods[0]["metadata"]["name"] in log


def test_a_task_gets_settings_secrets_connections_and_variables(
    pair: Pair, tasks: dict[str, dict[str, Any]]
) -> None:
    log = "\n".join(line.text for line in pair.airflow3.log(tasks["anywhere"]))
    token, password = pair.secrets["apiToken"], pair.secrets["connectionPassword"]
    assert "hello from" in log
    assert f"in winter; API_TOKEN has {len(token)} characters" in log
    assert f"orders are at orders.acme.test, password {len(password)} long" in log


def test_results_are_in_the_users_redis_below_its_prefix(
    tasks: dict[str, dict[str, Any]], external: ExternalServices
) -> None:
    pattern = f"{KEY_PREFIX}celery-task-meta-*"

    def stored() -> list[str]:
        keys = external.redis("KEYS", pattern).split()
        return [key for key in keys if '"status": "SUCCESS"' in external.redis("GET", key)]

    # Airflow hears of a task's end before Celery has written its result.
    wait_until("the result of every task", lambda: len(stored()) >= len(tasks), seconds=180)
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'celery%'"
    assert external.sql(tables).strip() == "0", "no result was ever in the database"


def test_a_worker_has_no_login_to_the_database(pair: Pair, external: ExternalServices) -> None:
    (worker,) = pair.pods("airflow3", "worker", "default")
    variables = pair.kube.execute(worker, "env", container="airflow")
    assert "AIRFLOW__CELERY__BROKER_URL" in variables
    assert external.database_password not in variables
    assert "SQL_ALCHEMY_CONN" not in variables


def test_metrics_of_tasks_are_exported(pair: Pair, tasks: dict[str, dict[str, Any]]) -> None:
    def metrics() -> str:
        return pair.kube.get_from_service(pair.namespace, "airflow3-statsd", "metrics", "metrics")

    wait_until("a metric of Airflow", lambda: "airflow_scheduler" in metrics(), seconds=180)


def test_the_api_server_accepts_the_autoscaler(pair: Pair) -> None:
    """No metrics server runs here: whether it scales is Kubernetes' own."""
    name = "airflow3-worker-heavy"
    spec = pair.object("HorizontalPodAutoscaler", name)["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 3)

    def conditions() -> dict[str, str]:
        status = pair.object("HorizontalPodAutoscaler", name).get("status") or {}
        return {c["type"]: c["status"] for c in status.get("conditions") or ()}

    wait_until(
        "the autoscaler finds what it scales",
        lambda: conditions().get("AbleToScale") == "True",
        seconds=180,
    )
