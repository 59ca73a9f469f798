"""The defaults of arguments, by type and name: the reader uses them, the schema shows them.

SDKs of other languages send a default of the schema as if the user had given it. So it has none where giving
an argument says something by itself: `port` means that the database is the user's.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Default(NamedTuple):
    """The default of one argument."""

    value: str | int | bool
    in_schema: bool = True


def _unsent(value: str | int | bool) -> Default:
    return Default(value, in_schema=False)


# Resources have defaults by component, in `validation/resources_and_placement.py`.
DEFAULTS: Final[Mapping[str, Mapping[str, Default]]] = {
    "AuthArgs": {"manager": Default("fab")},
    "AutoscalingArgs": {
        "type": Default("cpu"),
        "target_cpu_percent": Default(70),
        "polling_interval_seconds": Default(10),
        "cooldown_period_seconds": Default(300),
    },
    "BrokerArgs": {
        "port": _unsent(6379),
        "database": _unsent(0),
        "tls": _unsent(False),
        "image": _unsent("redis:7"),
        "storage_size": _unsent("1Gi"),
    },
    "DatabaseArgs": {
        "port": _unsent(5432),
        "name": _unsent("airflow"),
        "ssl_mode": _unsent("require"),
        "image": _unsent("postgres:17"),
        "storage_size": _unsent("8Gi"),
        "backup_before_downgrade": _unsent(False),
    },
    "DeploymentArgs": {
        "platform": Default("linux/amd64"),
        "dag_deploys": Default(False),
        "termination_grace_period_seconds": Default(600),
        "fixed_user_ids": Default(True),
        "log_retention_days": Default(15),
        "database_downgrade": Default("allow"),
        "history_limit": Default(50),
    },
    "HttpRouteArgs": {"path": Default("/"), "tls": Default(True)},
    "IngressArgs": {"path": Default("/")},
    "LoginFromArgs": {"username_key": _unsent("username"), "password_key": Default("password")},
    "MetricsArgs": {
        "statsd_port": _unsent(8125),
        "otel_port": _unsent(4318),
        "service_monitor": Default(False),
        "prefix": Default("airflow"),
    },
    "NetworkPolicyArgs": {"enabled": Default(True)},
    "PgBouncerArgs": {
        "replicas": Default(1),
        "pool_size": Default(20),
        "max_client_connections": Default(1000),
    },
    "ProcessArgs": {"replicas": Default(1)},
    "ProjectImageArgs": {"platform": Default("linux/amd64")},
    "RemoteLoggingArgs": {"encrypt_s3": Default(False)},
    "ServiceArgs": {"type": Default("ClusterIP")},
    "TimeoutArgs": {"release_job": Default(1800), "rollout": Default(600)},
    "TolerationArgs": {"operator": Default("Equal")},
    "WorkerQueueArgs": {"concurrency": Default(5), "min_count": Default(1)},
}
