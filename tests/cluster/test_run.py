"""DAG runs go through scheduler, broker and worker, and their logs are readable in the webserver."""

import pytest

from tests.cluster.conftest import Deployed

# Text that a task of each DAG of the example writes into its log.
LOGGED = {
    "daily_revenue": "Rotterdam: 206.30",
    "delivery_distances": "longest way: 555 km",
    "low_stock": "Gdansk: 3 x chair",
    "workday_summary": "last working day: ",
}


def test_every_dag_is_there_without_import_errors(deployed: Deployed) -> None:
    airflow = deployed.airflow
    for dag_id in LOGGED:
        airflow.wait_for_dag(dag_id, seconds=180)

    assert airflow.get("importErrors")["import_errors"] == []
    # Tests before this one may have added files, each with one DAG of the file's name.
    assert airflow.dag_ids() == {file.stem for file in (deployed.project / "dags").glob("*.py")}


@pytest.mark.parametrize("dag_id", LOGGED)
def test_a_run_succeeds_on_a_worker_and_its_log_is_readable(
    deployed: Deployed, dag_id: str
) -> None:
    airflow = deployed.airflow
    airflow.wait_for_dag(dag_id, seconds=180)
    run_id = airflow.start_run(dag_id)

    state = airflow.wait_for_run(dag_id, run_id, seconds=300)

    tasks = airflow.task_instances(dag_id, run_id)
    assert state == "success", airflow.describe_failure(dag_id, run_id)
    assert {task["state"] for task in tasks} == {"success"}
    workers = {pod["status"]["podIP"] for pod in deployed.kube.pods(deployed.namespace, "worker")}
    assert {task["hostname"] for task in tasks} <= workers
    # Tests before this one may have added tasks.
    log = "\n".join(record.text for task in tasks for record in airflow.log(task))
    assert LOGGED[dag_id] in log
