"""Logs of tasks that have not ended, through the webserver, from wherever they are; and old ones, that go.

While the tasks of two queues run, KEDA's question is asked of the same database.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from astro_pulumi.airflow.version_differences import LOGS
from astro_pulumi.kubernetes.autoscaling import autoscalers
from local.airflow_api import Airflow
from tests.cluster.component.conftest import Pair
from tests.cluster.component.services import ExternalServices
from tests.cluster.kube import Object, wait_until
from tests.specs import spec

LASTING, DEFERRING = "lasting", "deferring"
# Of the tasks of `lasting`, the states that two heavy workers' slots and a triggerer bring about.
STATES = {"light": ["running"], "heavy": ["queued", "running", "running"], "later": ["deferred"]}
AGE = """
import os, pathlib, sys, time
old, new = (pathlib.Path(sys.argv[1], "groomed", name) for name in ("old.log", "new.log"))
old.parent.mkdir(exist_ok=True)
for path, days in ((old, 16), (new, 14)):
    path.touch()
    os.utime(path, (time.time() - days * 24 * 3600,) * 2)
"""


def state_of(airflow: Airflow, dag_id: str, run_id: str) -> dict[str, list[str]]:
    """The states of a run's tasks, by the first part of their names."""
    states: dict[str, list[str]] = {}
    for task in airflow.task_instances(dag_id, run_id):
        states.setdefault(task["task_id"].partition("-")[0], []).append(str(task["state"]))
    return {name: sorted(found) for name, found in states.items()}


def tell_to_end(airflow: Airflow, dag_id: str, run_id: str) -> None:
    """Lets what runs end, and the run with it."""
    airflow.set_variable(f"go-{run_id}", "yes")
    wait_until(
        "what runs ends",
        lambda: (
            not {"running", "queued"}
            & {task["state"] for task in airflow.task_instances(dag_id, run_id)}
        ),
        seconds=300,
    )
    airflow.fail_run(dag_id, run_id)


def wait_for_line(airflow: Airflow, task: dict[str, Any], text: str) -> None:
    """Waits until the webserver shows what a task that runs has written."""
    wait_until(
        f"the log of {task['task_id']} has {text!r}",
        lambda: any(text in line.text for line in airflow.log(task)),
        seconds=90,
    )


@pytest.fixture(scope="module")
def groomed(pair: Pair) -> Object:
    """A worker with an old log file and one that is not old, whose groomer has just started again."""
    (worker,) = pair.pods("airflow3", "worker", "default")
    assert pair.kube.execute(worker, "python", "-c", AGE, LOGS) == ""
    # It looks a minute after its start, then every quarter of an hour.
    stop = "import os, signal; os.kill(1, signal.SIGTERM)"
    pair.kube.execute(worker, "python", "-c", stop, container="log-groomer")
    return worker


@pytest.fixture(scope="module")
def lasting(pair: Pair, groomed: Object) -> Iterator[dict[str, dict[str, Any]]]:
    """The tasks of a run of which some run, one waits for a worker, and one is deferred."""
    airflow = pair.airflow3
    airflow.wait_for_dag(LASTING, seconds=180)
    run_id = airflow.start_run(LASTING)
    wait_until(
        f"tasks are {STATES}", lambda: state_of(airflow, LASTING, run_id) == STATES, seconds=270
    )
    yield {task["task_id"]: task for task in airflow.task_instances(LASTING, run_id)}
    tell_to_end(airflow, LASTING, run_id)


def test_the_log_of_a_running_task_of_each_queue(
    pair: Pair, lasting: dict[str, dict[str, Any]]
) -> None:
    airflow = pair.airflow3
    running = [task for task in lasting.values() if task["state"] == "running"]
    assert {task["queue"] for task in running} == {"default", "heavy"}
    for task in running:
        (pod,) = pair.pods("airflow3", "worker", task["queue"])
        assert task["hostname"] == pod["status"]["podIP"]
        wait_for_line(airflow, task, f"waits on {pod['metadata']['name']}")


def test_the_log_of_a_deferred_task(pair: Pair, lasting: dict[str, dict[str, Any]]) -> None:
    airflow = pair.airflow3
    wait_for_line(airflow, lasting["later"], "trigger starting")


def test_the_log_of_a_deferred_task_of_airflow_2(pair: Pair) -> None:
    airflow = pair.airflow2
    airflow.wait_for_dag(DEFERRING, seconds=180)
    run_id = airflow.start_run(DEFERRING)
    wait_until(
        "the task is deferred",
        lambda: state_of(airflow, DEFERRING, run_id) == {"later": ["deferred"]},
        seconds=270,
    )
    (task,) = airflow.task_instances(DEFERRING, run_id)
    wait_for_line(airflow, task, "trigger starting")
    airflow.fail_run(DEFERRING, run_id)


@pytest.mark.parametrize(("queue", "workers"), [("default", 1), ("heavy", 2)])
def test_keda_counts_the_tasks_of_its_own_queue(
    lasting: dict[str, dict[str, Any]], external: ExternalServices, queue: str, workers: int
) -> None:
    """One of four slots; two running and one queued where there are two. Deferred ones need no worker."""
    queues = [
        {"name": "default", "concurrency": 4, "max_count": 2},
        {"name": "heavy", "concurrency": 2, "max_count": 3},
    ]
    rendered = autoscalers(
        spec(worker_queues=queues, autoscaling={"type": "keda"}), {"keda": "connection"}
    )
    (trigger,) = rendered[f"worker-{queue}"]["spec"]["triggers"]
    assert external.sql(trigger["metadata"]["query"]).strip() == str(workers)


def test_old_logs_are_deleted(
    pair: Pair, groomed: Object, lasting: dict[str, dict[str, Any]]
) -> None:
    """And no other: not those of tasks that run either."""

    def files() -> set[str]:
        found = pair.kube.execute(groomed, "find", LOGS, "-type", "f")
        return {line.rpartition("/")[2] for line in found.split()}

    before = files()
    wait_until("the old file is gone", lambda: "old.log" not in files(), seconds=300)
    assert before - {"old.log"} <= files()
