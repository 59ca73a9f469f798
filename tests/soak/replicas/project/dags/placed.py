"""Four tasks in each of two queues. Each says which version of the code it runs, and in which pod."""

# mypy: disallow-untyped-decorators=False

import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Variable, dag, get_current_context, task

VERSION = Path(__file__).with_name("version.txt").read_text()


@dag(schedule=None, tags=[VERSION])
def placed() -> None:
    for queue in ("default", "heavy"):

        @task(task_id=queue, queue=queue, retries=1, retry_delay=timedelta(seconds=1))
        def place(number: int) -> str:
            name = get_current_context()["run_id"]
            while Variable.get(f"go_{name}", default="") != "yes":
                time.sleep(0.5)
            return f"{VERSION} {os.environ['HOSTNAME']}"

        place.expand(number=[1, 2, 3, 4])


placed()
