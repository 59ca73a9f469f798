"""How many connections a Deployment keeps, and which PostgreSQL it needs."""

from typing import Any

import pytest

from astro_pulumi.release.release_job import database_needs
from tests.specs import spec

PGBOUNCER = {"image": "p:1", "pool_size": 20, "max_client_connections": 100, "replicas": 2}


def connections(which: str = "least", **arguments: Any) -> dict[str, int | None]:
    needed: dict[str, int | None] = database_needs(spec(**arguments))[f"{which}_connections"]
    return needed


@pytest.mark.parametrize(
    ("airflow", "oldest"),
    [("2.7", 11), ("2.8", 12), ("2.11", 12), ("3.0", 13), ("3.1", 13), ("3.2", 14), ("3.3", 14)],
)
def test_oldest_postgresql(airflow: str, oldest: int) -> None:
    assert database_needs(spec(airflow_version=airflow))["postgresql"] == oldest


def test_tasks_of_airflow_3_have_no_connection() -> None:
    queues = [{"name": "default", "concurrency": 16, "min_count": 4}]
    assert connections(airflow_version="3.3", worker_queues=queues)["tasks"] == 0
    assert connections(airflow_version="2.11", worker_queues=queues)["tasks"] == 4 * 16 * 2


def test_each_replica_has_its_pools() -> None:
    one, two = connections(), connections(scheduler={"replicas": 2}, webserver={"replicas": 3})
    assert one["pools"] is not None
    # The api-server has a second one, of asyncpg.
    assert two["pools"] == one["pools"] + 1 + 2 * 2
    assert two["direct_pools"] == 3


def test_all_workers_and_both_generations_are_the_most() -> None:
    queues = [{"name": "default", "concurrency": 8, "min_count": 1, "max_count": 5}]
    arguments: dict[str, Any] = {"airflow_version": "2.11", "worker_queues": queues}
    least, most = connections(**arguments), connections("most", **arguments)
    assert least["tasks"] == 8 * 2
    assert most["tasks"] == 5 * 8 * 2
    assert least["pools"] is not None
    assert most["pools"] == 2 * least["pools"]


def test_pgbouncer_opens_what_its_pools_hold() -> None:
    pooled = connections(pgbouncer=PGBOUNCER)
    assert (pooled["servers"], pooled["clients"]) == (40, 200)
    assert connections()["servers"] is None
    assert connections()["clients"] is None


def test_a_password_that_the_program_states_is_known_as_such() -> None:
    assert not database_needs(spec())["admin_password_is_given"]
    given = spec(auth={"admin_password": "a password of ours"})
    assert database_needs(given)["admin_password_is_given"]
