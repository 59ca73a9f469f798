"""One task that sleeps for `seconds`, or until a file is there, and returns an XCom. For Airflow 2 and 3."""

# mypy: disallow-untyped-decorators=False

import os
import time

try:
    from airflow.sdk import dag, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.operators.python import get_current_context


@dag(schedule=None)
def greeter() -> None:
    @task
    def greet() -> str:
        seconds = (get_current_context()["dag_run"].conf or {}).get("seconds", 0)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not os.path.exists("/tmp/enough"):  # noqa: S108, PTH110
            time.sleep(0.2)
        return os.environ["GREETING"]

    greet()


greeter()
