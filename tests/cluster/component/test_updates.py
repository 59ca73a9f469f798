"""What a further `up` does to two Deployments in one namespace. They leave airflow3 alone.

They build on each other in the order of this file.
"""

import threading
from typing import Any

from tests.cluster.component.conftest import Pair
from tests.cluster.component.test_airflow2 import DAG_ID as WAITING
from tests.cluster.component.test_airflow2 import TASKS, let_go, start_waiting
from tests.cluster.component.test_logs import LASTING, state_of
from tests.cluster.component.test_queues import DAG_ID as PLACES
from tests.cluster.kube import identities, wait_until

AIRFLOW_2 = {
    f"airflow2-{name}" for name in ("webserver", "scheduler", "triggerer", "worker-default")
}


def test_nothing_to_do_does_nothing(pair: Pair) -> None:
    outputs, pods = pair.outputs, identities(pair.kube.pods(pair.namespace))

    assert pair.up_with() == set()

    for word in ("created", "updated", "replaced", "deleted"):
        assert word not in pair.logs[-1]
    assert pair.outputs == outputs
    assert identities(pair.kube.pods(pair.namespace)) == pods


def test_a_deploy_of_one_loses_no_task_and_leaves_the_other_alone(pair: Pair) -> None:
    """Airflow 2 gets a DAG while tasks run. Airflow 3 gets its database by URL and its broker by fields."""
    airflow = pair.airflow2
    run_id = start_waiting(airflow)
    old = {pod["status"]["podIP"] for pod in pair.pods("airflow2", "worker")}
    dags = pair.stack.directory / "airflow2" / "dags"
    (dags / "later.py").write_text(
        (dags / "waiting.py").read_text().replace("waiting()", "later()")
    )
    # As an autoscaler would.
    pair.kube.change(
        "Deployment", "airflow3-worker-heavy", pair.namespace, {"spec": {"replicas": 2}}
    )

    changed = pair.up_with(databaseByUrl=True, heavyConcurrency=3)

    # The webserver says in its title which release runs.
    assert changed == AIRFLOW_2 | {"airflow3-worker-heavy", "airflow3-webserver"}
    assert len(pair.pods("airflow3", "worker", "heavy")) == 2, "the up has set the replicas back"
    airflow = pair.airflow2
    airflow.wait_until_healthy(180)
    states = {task["state"] for task in airflow.task_instances(WAITING, run_id)}
    assert "running" in states, "the load ended before the deploy did: nothing was tested"
    let_go(airflow, run_id)
    assert airflow.wait_for_run(WAITING, run_id, seconds=300) == "success"
    tasks = airflow.task_instances(WAITING, run_id)
    assert [(task["state"], task["try_number"]) for task in tasks] == [("success", 1)] * TASKS
    assert {task["hostname"] for task in tasks} & old, "no task ran on a worker from before"
    airflow.wait_for_dag("later", seconds=180)


def test_a_changed_variable_rolls_exactly_its_readers(pair: Pair) -> None:
    changed = pair.up_with(season="summer")

    readers = ("webserver", "triggerer", "dag-processor", "worker-default", "worker-heavy")
    assert changed == {f"airflow3-{name}" for name in readers}
    run(pair, PLACES)


def test_a_queue_and_a_deployment_can_go(pair: Pair) -> None:
    """The queue's workers run tasks when they are taken away, for another 30 s."""
    airflow = pair.airflow3
    run_id = airflow.start_run(LASTING)
    wait_until(
        "heavy tasks run",
        lambda: "running" in state_of(airflow, LASTING, run_id).get("heavy", ()),
        seconds=270,
    )
    running = {task["task_id"] for task in heavy_tasks(pair, run_id, "running")}
    end = threading.Timer(30, airflow.set_variable, (f"go-{run_id}", "yes"))
    end.start()

    changed = pair.up_with(heavyQueue=False, airflow2=False)

    end.join()
    done = {t["task_id"]: t["try_number"] for t in heavy_tasks(pair, run_id, "success")}
    assert done.items() >= dict.fromkeys(running, 1).items()
    pair.airflow3.fail_run(LASTING, run_id)

    assert changed == {
        *AIRFLOW_2,
        *("airflow2-postgresql", "airflow2-redis"),
        *("airflow3-worker-heavy", "airflow3-webserver"),
    }
    # The release records are kept, and the Lease that release Jobs made. Kubernetes deletes in its own time.
    wait_until(
        "nothing else is left",
        lambda: kinds_of(pair, "airflow2", "airflow3-worker-heavy") <= {"ConfigMap", "Lease"},
        seconds=180,
    )
    pair.airflow3.wait_until_healthy(180)
    assert "heavy" not in queues(pair)


def heavy_tasks(pair: Pair, run_id: str, state: str) -> list[dict[str, Any]]:
    """The tasks of the queue `heavy` that are in a state."""
    tasks = pair.airflow3.task_instances(LASTING, run_id)
    return [t for t in tasks if t["task_id"].startswith("heavy") and t["state"] == state]


def run(pair: Pair, dag_id: str) -> None:
    airflow = pair.airflow3
    airflow.wait_until_healthy(180)
    run_id = airflow.start_run(dag_id)
    state = airflow.wait_for_run(dag_id, run_id, seconds=300)
    assert state == "success", airflow.describe_failure(dag_id, run_id)


def kinds_of(pair: Pair, *prefixes: str) -> set[str]:
    """The kinds of all objects in the namespace whose names begin so, but for what tells of the past."""
    return {
        item["kind"]
        for item in pair.kube.everything()
        if item["metadata"].get("namespace") == pair.namespace
        and item["metadata"]["name"].startswith(prefixes)
        and item["kind"] not in ("Event", "Pod")
    }


def queues(pair: Pair) -> set[str]:
    """The queues that airflow3 has workers for."""
    labels = {"app.kubernetes.io/instance": "airflow3"}
    return {
        item["metadata"]["labels"].get("astro-pulumi/queue", "")
        for item in pair.kube.objects("Deployment", pair.namespace, **labels)
    }
