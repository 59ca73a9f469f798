"""Says as whom a task runs."""

# mypy: disallow-untyped-decorators=False

import getpass
import os
from datetime import UTC, datetime

from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=False)
def identity() -> None:
    @task
    def whoami() -> None:
        print("identity", os.getuid(), os.getgid(), getpass.getuser())

    whoami()


identity()
