"""A task that waits in the triggerer, longer than anybody looks."""

# mypy: disallow-subclassing-any=False

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow import DAG
from airflow.models.baseoperator import BaseOperator
from airflow.triggers.temporal import DateTimeTrigger


class Later(BaseOperator):
    def execute(self, context: Any) -> None:
        moment = datetime.now(UTC) + timedelta(hours=1)
        self.defer(trigger=DateTimeTrigger(moment=moment), method_name="resume")

    def resume(self, context: Any, event: Any) -> None:
        pass


with DAG("deferring", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=False):
    Later(task_id="later")
