"""Tasks that run until the Variable `go-<run>` is there, or for fifteen minutes."""

# mypy: disallow-untyped-decorators=False

import time
from datetime import UTC, datetime

from airflow.decorators import dag, task
from airflow.models import Variable
from airflow.operators.python import get_current_context


@dag(schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=False)
def waiting() -> None:
    @task
    def wait(number: int) -> None:
        go = f"go-{get_current_context()['run_id']}"
        for second in range(900):
            print(f"task {number} has waited {second} s", flush=True)
            if Variable.get(go, default_var=""):
                return
            time.sleep(1)
        raise TimeoutError(f"nobody set the Variable {go}")

    wait.expand(number=[1, 2, 3])


waiting()
