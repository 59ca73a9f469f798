"""One task that sleeps as long as it is told, and returns an XCom."""

# mypy: disallow-untyped-decorators=False

import os
import time

from airflow.sdk import dag, get_current_context, task


@dag(schedule=None)
def greeter() -> None:
    @task
    def greet() -> str:
        time.sleep((get_current_context()["dag_run"].conf or {}).get("seconds", 0))
        return os.environ["GREETING"]

    greet()


greeter()
