"""Requirements of a Deployment on its database, which the release Job compares with the actual database."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from astro_pulumi.airflow.facts import AirflowFacts, Process
from astro_pulumi.inputs import computed
from astro_pulumi.spec import DeploymentSpec


def database_needs(spec: DeploymentSpec) -> dict[str, Any]:
    """Return the oldest PostgreSQL and the connections that the processes keep, as JSON with Outputs."""
    version = spec.airflow_version
    oldest = spec.facts.oldest_postgresql
    return {
        # Without a given password, the release Job does not change a person's account.
        "admin_password_is_given": spec.auth.admin_password is not None,
        "airflow": f"{version.major}.{version.minor}",
        "postgresql": oldest[max(minor for minor in oldest if minor <= version.minor)],
        "least_connections": _connections(spec, generations=1, scaled=False),
        # In a deploy new processes run beside old ones.
        "most_connections": _connections(spec, generations=2, scaled=True),
    }


def _connections(spec: DeploymentSpec, *, generations: int, scaled: bool) -> Any:
    """Return the connections that the Deployment keeps open and the connections that PgBouncer accepts.

    Args:
        spec: The Deployment.
        generations: 2 during a roll-out, when new processes run beside old ones; otherwise 1.
        scaled: Whether all workers run that an autoscaler may start.
    """
    pool = spec.pgbouncer
    numbers = {
        "replicas": [spec.workloads[process.component].replicas for process in spec.processes],
        "workers": [q.max_count if scaled else q.min_count for q in spec.worker_queues],
        "concurrency": [queue.concurrency for queue in spec.worker_queues],
        "pgbouncer": pool
        and {
            "replicas": pool.replicas,
            "servers": pool.pool_size,
            "clients": pool.max_client_connections,
        },
    }
    return computed(partial(_count, spec.facts, spec.processes, generations), numbers)


def _count(
    facts: AirflowFacts,
    processes: tuple[Process, ...],
    generations: int,
    numbers: Mapping[str, Any],
) -> dict[str, int | None]:
    running = [
        (process, replicas * generations)
        for process, replicas in zip(processes, numbers["replicas"], strict=True)
    ]
    queues = zip(numbers["workers"], numbers["concurrency"], strict=True)
    slots = sum(workers * concurrency for workers, concurrency in queues)
    pool = numbers["pgbouncer"]
    return {
        "pools": sum(replicas * process.database_pools for process, replicas in running),
        "tasks": slots * facts.worker.connections_of_task,
        "clients": pool and pool["replicas"] * generations * pool["clients"],
        "servers": pool and pool["replicas"] * generations * pool["servers"],
        # asyncpg goes past PgBouncer.
        "direct_pools": sum(
            replicas for process, replicas in running if "metadata-async" in process.reads
        ),
    }
