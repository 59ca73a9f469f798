"""Redis is the user's and keeps nothing: what a restart of it costs a run of Airflow 3."""

from tests.cluster.component.conftest import Pair
from tests.cluster.component.services import KEY_PREFIX, ExternalServices
from tests.cluster.component.test_logs import LASTING
from tests.cluster.kube import wait_until

TASK = "light"


def test_a_running_task_outlives_a_restart_of_redis(pair: Pair, external: ExternalServices) -> None:
    airflow = pair.airflow3
    airflow.wait_for_dag(LASTING, seconds=180)
    run_id = airflow.start_run(LASTING)

    def task() -> tuple[str, int]:
        (found,) = (
            one for one in airflow.task_instances(LASTING, run_id) if one["task_id"] == TASK
        )
        return str(found["state"]), int(found["try_number"])

    wait_until("the task runs", lambda: task()[0] == "running", seconds=180)
    external.stop_redis()
    assert task() == ("running", 1)
    airflow.set_variable(f"go-{run_id}", "yes")
    wait_until("the task has ended", lambda: task()[0] in ("success", "failed"), seconds=270)
    assert task() == ("success", 1)
    airflow.fail_run(LASTING, run_id)


def test_later_runs_are_not_affected(pair: Pair, external: ExternalServices) -> None:
    """Scheduler and workers have connected again, and the probes find the workers."""
    airflow = pair.airflow3
    run_id = airflow.start_run("places")
    state = airflow.wait_for_run("places", run_id, seconds=300)
    assert state == "success", airflow.describe_failure("places", run_id)
    assert external.redis("KEYS", f"{KEY_PREFIX}celery-task-meta-*").split()
