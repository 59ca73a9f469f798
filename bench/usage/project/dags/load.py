"""The load: 20 DAGs. `load_0` has five short tasks at a time, and five that wait in the triggerer."""

# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False

import time
from datetime import timedelta

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import chain, dag, task

DAGS = 20
LANES = 5  # the default concurrency of a worker
STEPS = 3


@task
def work() -> None:
    """Compute for a tenth of a second, then wait as for another system."""
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    time.sleep(2)


def define(number: int) -> None:
    """Define one of the DAGs."""

    @dag(dag_id=f"load_{number}", schedule=None)
    def load() -> None:
        for lane in range(LANES):
            TimeDeltaSensor(task_id=f"wait_{lane}", delta=timedelta(seconds=30), deferrable=True)
            chain(*(work.override(task_id=f"work_{lane}_{step}")() for step in range(STEPS)))

    load()


for number in range(DAGS):
    define(number)
