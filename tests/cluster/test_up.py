"""What a further `up` does: nothing when nothing changed, else the whole change, losing no task."""

import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.cluster.conftest import Deployed
from tests.cluster.kube import (
    AIRFLOW_COMPONENTS,
    component_of,
    identities,
    images,
    is_ready,
    wait_until,
)

LOAD_SECONDS = 300
SLEEPERS = Path(__file__).parent / "dags" / "sleepers.py"


def test_a_second_up_changes_nothing_and_restarts_nothing(deployed: Deployed) -> None:
    kube, namespace = deployed.kube, deployed.namespace
    outputs, pods = deployed.outputs, identities(kube.pods(namespace))
    generations = generations_of_workloads(deployed)

    deployed.up()

    assert " unchanged" in deployed.logs[-1]
    for word in ("created", "updated", "replaced", "deleted"):
        assert word not in deployed.logs[-1]
    assert deployed.outputs == outputs
    assert identities(kube.pods(namespace)) == pods
    assert generations_of_workloads(deployed) == generations


def test_a_changed_dag_arrives_everywhere(deployed: Deployed) -> None:
    kube, airflow, before = deployed.kube, deployed.airflow, deployed.outputs
    stateful = {
        name: identity
        for name, identity in identities(kube.all_pods(deployed.namespace)).items()
        if "postgresql" in name or "redis" in name
    }
    add_task(deployed.project / "dags" / "low_stock.py", "added_by_test")
    shutil.copy(SLEEPERS, deployed.project / "dags")

    deployed.up()

    assert deployed.outputs["image"] != before["image"]
    assert deployed.outputs["release"] != before["release"]
    assert {**deployed.outputs, "image": 0, "release": 0} == {**before, "image": 0, "release": 0}
    pods = kube.pods(deployed.namespace)
    assert {component_of(pod) for pod in pods} == AIRFLOW_COMPONENTS
    for pod in pods:
        assert is_ready(pod)
        assert images(pod) == {deployed.outputs["image"]}
    assert stateful.items() <= identities(kube.all_pods(deployed.namespace)).items()
    airflow.wait_for_dag("sleepers", seconds=180)
    wait_until(
        "the new task is known",
        lambda: "added_by_test" in task_ids(deployed, "low_stock"),
        seconds=180,
    )
    run_id = airflow.start_run("low_stock")
    assert airflow.wait_for_run("low_stock", run_id, seconds=300) == "success"
    states = {
        task["task_id"]: task["state"] for task in airflow.task_instances("low_stock", run_id)
    }
    assert states["added_by_test"] == "success"


def test_a_deploy_under_load_loses_no_task(deployed: Deployed) -> None:
    """Twenty tasks, half of which last longer than the deploy; some run and more are queued when it comes."""
    sleepers = deployed.project / "dags" / SLEEPERS.name
    if not sleepers.exists():  # when this test runs alone
        shutil.copy(SLEEPERS, sleepers)
        deployed.up()
    airflow, kube = deployed.airflow, deployed.kube
    airflow.wait_for_dag("sleepers", seconds=180)
    run_id = airflow.start_run("sleepers")

    def count(state: str) -> int:
        tasks = airflow.task_instances("sleepers", run_id)
        return sum(task["state"] == state for task in tasks)

    wait_until("tasks run", lambda: count("running") >= 4 and count("queued") >= 4, seconds=180)
    old_workers = {
        pod["status"]["podIP"]: pod["metadata"]["name"]
        for pod in kube.pods(deployed.namespace, "worker")
    }
    sleepers.write_text(sleepers.read_text() + "\n# deployed while tasks run\n")
    add_task(deployed.project / "dags" / "low_stock.py", "added_under_load")

    deployed.up()

    deployed_at = time.time()
    assert count("running") > 0, "the load ended before the deploy did: nothing was tested"
    airflow = deployed.airflow
    airflow.set_variable(f"go-{run_id}", "yes")
    state = airflow.wait_for_run("sleepers", run_id, LOAD_SECONDS)

    tasks = airflow.task_instances("sleepers", run_id)
    assert state == "success", airflow.describe_failure("sleepers", run_id)
    assert len(tasks) == 20
    assert [(task["state"], task["try_number"]) for task in tasks] == [("success", 1)] * 20
    on_old = [task for task in tasks if task["hostname"] in old_workers]
    on_new = [task for task in tasks if task["hostname"] not in old_workers]
    assert on_old, "no task ran on the workers from before"
    assert on_new, "no task ran on the workers of the deploy"
    outlasted = [task for task in on_old if timestamp(task["end_date"]) > deployed_at]
    assert outlasted, "no task on a worker from before outlasted the deploy"
    assert "added_under_load" in task_ids(deployed, "low_stock")
    wait_until(
        "the old workers have ended",
        lambda: not names(kube.all_pods(deployed.namespace)) & set(old_workers.values()),
        seconds=180,
    )


def test_the_database_outlives_its_pod(deployed: Deployed) -> None:
    kube, airflow = deployed.kube, deployed.airflow
    before = run_ids(deployed)
    assert before, "no DAG run to lose yet"
    (pod,) = [pod for pod in kube.all_pods(deployed.namespace) if component_of(pod) == "postgresql"]
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]

    kube.delete_pod(deployed.namespace, name)

    wait_until(
        "PostgreSQL runs again",
        lambda: any(
            pod["metadata"]["uid"] != uid and is_ready(pod)
            for pod in kube.all_pods(deployed.namespace)
            if pod["metadata"]["name"] == name
        ),
        seconds=300,
    )
    airflow.wait_until_healthy(300)
    assert before <= run_ids(deployed)
    run_id = airflow.start_run("low_stock")
    assert airflow.wait_for_run("low_stock", run_id, seconds=300) == "success"


def add_task(dag_file: Path, task_id: str) -> None:
    """Adds a task at the end of a DAG file whose DAG is a `with` block."""
    task = f'\n    check >> BashOperator(task_id="{task_id}", bash_command="echo {task_id}")\n'
    dag_file.write_text(dag_file.read_text() + task)


def task_ids(deployed: Deployed, dag_id: str) -> set[str]:
    """The tasks of a DAG, as the webserver knows it."""
    tasks = deployed.airflow.get(f"dags/{dag_id}/tasks")["tasks"]
    return {task["task_id"] for task in tasks}


def run_ids(deployed: Deployed) -> set[str]:
    """Every DAG run that the database knows."""
    runs: list[dict[str, Any]] = deployed.airflow.get("dags/~/dagRuns", limit=100)["dag_runs"]
    return {f"{run['dag_id']} {run['dag_run_id']}" for run in runs}


def generations_of_workloads(deployed: Deployed) -> dict[str, int]:
    """How often the specification of each workload was changed."""
    return {
        f"{kind}/{workload['metadata']['name']}": workload["metadata"]["generation"]
        for kind in ("Deployment", "StatefulSet")
        for workload in deployed.kube.objects(kind, deployed.namespace)
    }


def names(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def timestamp(text: str) -> float:
    """`2026-01-31T12:00:00Z` -> seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()
