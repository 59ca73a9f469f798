"""Says as whom a task runs."""

# mypy: disallow-untyped-decorators=False

import getpass
import os

from airflow.sdk import dag, task


@dag(schedule=None)
def identity() -> None:
    @task
    def whoami() -> None:
        print("identity", os.getuid(), os.getgid(), getpass.getuser())

    whoami()


identity()
