"""One task that ends at once."""

# mypy: disallow-untyped-decorators=False

from airflow.sdk import dag, task


@dag(schedule=None)
def greeter() -> None:
    @task
    def greet() -> str:
        return "hello"

    greet()


greeter()
