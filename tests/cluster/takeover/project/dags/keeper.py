"""One task that reads the Connection and the Variable that were there before. For Airflow 2 and 3."""

# mypy: disallow-untyped-decorators=False

try:
    from airflow.sdk import Connection, Variable, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.models import Connection, Variable


@dag(schedule=None)
def keeper() -> None:
    @task
    def read() -> None:
        get = getattr(Connection, "get", None) or Connection.get_connection_from_secrets
        warehouse = get("warehouse")
        assert warehouse.password == "p/w"
        assert warehouse.extra_dejson == {"sslmode": "require"}
        assert Variable.get("greeting") == "hello from before"

    read()


keeper()
