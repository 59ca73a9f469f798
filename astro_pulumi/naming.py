"""Names that several modules share: components of a Deployment, and the objects made of them."""

from typing import Final

WEBSERVER: Final = "webserver"
POSTGRESQL: Final = "postgresql"
REDIS: Final = "redis"
PGBOUNCER: Final = "pgbouncer"
STATSD: Final = "statsd"
RELEASE_JOB: Final = "release-job"
PYTEST: Final = "pytest"
ROLLOUT: Final = "rollout"


def object_name(deployment: str, component: str) -> str:
    """Return the name of an object that others find by name, and of its Pulumi resource."""
    return f"{deployment}-{component}"
