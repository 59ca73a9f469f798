"""What a Deployment needs of its database. The release Job compares it with what the database is."""

import math
from collections.abc import Iterable
from typing import Any

import pulumi

from astro_pulumi.inputs import computed
from astro_pulumi.spec import DeploymentSpec


def database_needs(spec: DeploymentSpec) -> dict[str, Any]:
    """Return the oldest PostgreSQL, and how many connections the processes keep. Numbers may be Outputs."""
    version = spec.airflow_version
    oldest = spec.facts.oldest_postgresql
    return {
        # Else a person's account is left alone.
        "admin_password_is_given": spec.auth.admin_password is not None,
        "airflow": f"{version.major}.{version.minor}",
        "postgresql": oldest[max(minor for minor in oldest if minor <= version.minor)],
        "least_connections": _connections(spec, 1, scaled=False),
        "most_connections": _connections(spec, 2, scaled=True),
    }


def _connections(
    spec: DeploymentSpec, generations: int, *, scaled: bool
) -> dict[str, pulumi.Input[int] | None]:
    """Return how many connections the Deployment keeps open, and how many PgBouncer may have.

    :param generations: 2 while new processes run beside old ones.
    :param scaled: whether all workers run that an autoscaler may start.
    """
    processes = [
        (process, _product(spec.sizes[process.component].replicas, generations))
        for process in spec.processes
    ]
    slots = _total(
        _product(queue.max_count if scaled else queue.size.replicas, queue.concurrency)
        for queue in spec.worker_queues
    )
    pool = spec.pgbouncer
    bouncers = _product(pool.size.replicas, generations) if pool else 0
    return {
        "pools": _total(_product(count, process.database_pools) for process, count in processes),
        "tasks": _product(slots, spec.facts.worker.connections_of_task),
        "clients": _product(bouncers, pool.max_client_connections) if pool else None,
        "servers": _product(bouncers, pool.pool_size) if pool else None,
        # asyncpg goes past PgBouncer.
        "direct_pools": _total(
            count for process, count in processes if "metadata-async" in process.reads
        ),
    }


def _product(*factors: pulumi.Input[int]) -> pulumi.Input[int]:
    result: pulumi.Input[int] = computed(lambda *known: math.prod(known), *factors)
    return result


def _total(terms: Iterable[pulumi.Input[int]]) -> pulumi.Input[int]:
    result: pulumi.Input[int] = computed(lambda *known: sum(known), *terms)
    return result
