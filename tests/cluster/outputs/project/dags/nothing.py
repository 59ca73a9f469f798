"""A DAG that does nothing: a Deployment has at least one."""

# mypy: disallow-untyped-decorators=False

from airflow.sdk import dag, task


@dag(schedule=None)
def nothing() -> None:
    @task
    def rest() -> None:
        pass

    rest()


nothing()
