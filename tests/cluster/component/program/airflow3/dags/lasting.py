"""Tasks of two queues that run until the Variable `go-<run>` is there, and one that is deferred."""

# mypy: disallow-untyped-decorators=False, disallow-subclassing-any=False

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator, Variable, dag, get_current_context, task


class Later(BaseOperator):
    """Waits in the triggerer, longer than anybody looks."""

    def execute(self, context: Any) -> None:
        moment = datetime.now(UTC) + timedelta(hours=1)
        self.defer(trigger=DateTimeTrigger(moment=moment), method_name="resume")

    def resume(self, context: Any, event: Any) -> None:
        pass


def wait() -> None:
    go = f"go-{get_current_context()['run_id']}"
    for tries in range(450):
        print(f"waits on {os.environ['HOSTNAME']}, {tries}", flush=True)
        if Variable.get(go, default=""):
            return
        time.sleep(2)
    raise TimeoutError(f"nobody set the Variable {go}")


@dag(schedule=None)
def lasting() -> None:
    task(task_id="light")(wait)()
    for number in range(3):
        task(task_id=f"heavy-{number}", queue="heavy")(wait)()
    Later(task_id="later")


lasting()
