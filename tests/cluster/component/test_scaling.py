"""An autoscaler takes a worker away while it runs tasks."""

from tests.cluster.component.conftest import Pair
from tests.cluster.component.test_logs import LASTING, state_of
from tests.cluster.kube import wait_until

WORKLOAD, QUEUE = "airflow3-worker-heavy", "heavy"
TASKS, MAX_COUNT = 3, 3  # more tasks than one of two workers takes at once


def test_scaling_in_loses_no_task(pair: Pair) -> None:
    """No metrics server runs here: of more workers than its maximum the autoscaler knows without."""
    airflow = pair.airflow3

    def autoscale(maximum: int) -> None:
        change = {"spec": {"maxReplicas": maximum}}
        pair.kube.change("HorizontalPodAutoscaler", WORKLOAD, pair.namespace, change)

    def running() -> dict[str, str]:
        """Where a task runs, by its name."""
        tasks = airflow.task_instances(LASTING, run_id)
        return {
            task["task_id"]: task["hostname"]
            for task in tasks
            if task["state"] == "running" and task["queue"] == QUEUE
        }

    airflow.wait_for_dag(LASTING, seconds=180)
    run_id = airflow.start_run(LASTING)
    pair.kube.change("Deployment", WORKLOAD, pair.namespace, {"spec": {"replicas": 2}})
    wait_until("all tasks run, on two workers", lambda: len(running()) == TASKS, seconds=300)
    before = {
        pod["metadata"]["name"]: pod["status"]["podIP"]
        for pod in pair.pods("airflow3", "worker", QUEUE)
    }
    hosts = running()
    assert set(hosts.values()) == set(before.values())

    autoscale(1)
    try:
        wait_until(
            "one worker is told to stop",
            lambda: len(pair.pods("airflow3", "worker", QUEUE)) == 1,
            seconds=180,
        )
    finally:
        autoscale(MAX_COUNT)
    (stays,) = pair.pods("airflow3", "worker", QUEUE)
    (leaving,) = set(before) - {stays["metadata"]["name"]}
    affected = {task for task, host in hosts.items() if host == before[leaving]}
    assert affected
    assert affected <= set(running()), "the load ended before the worker was told to stop"
    airflow.set_variable(f"go-{run_id}", "yes")

    def gone() -> bool:
        names = {pod["metadata"]["name"] for pod in pair.kube.all_pods(pair.namespace)}
        return leaving not in names

    wait_until("the worker has gone, before its time was up", gone, seconds=180)
    wait_until(
        "every task has ended",
        lambda: set(state_of(airflow, LASTING, run_id)["heavy"]) <= {"success", "failed"},
        seconds=180,
    )
    ends = {
        task["task_id"]: (task["state"], task["try_number"], task["hostname"])
        for task in airflow.task_instances(LASTING, run_id)
        if task["queue"] == QUEUE
    }
    assert ends == {task: ("success", 1, host) for task, host in hosts.items()}
    airflow.fail_run(LASTING, run_id)
