"""Names that several modules share: components of a Deployment, and names of its objects."""

from typing import Final

WEBSERVER: Final = "webserver"
POSTGRESQL: Final = "postgresql"
REDIS: Final = "redis"
PGBOUNCER: Final = "pgbouncer"
STATSD: Final = "statsd"
RELEASE_JOB: Final = "release-job"
PYTEST: Final = "pytest"
ROLLOUT: Final = "rollout"

# Airflow's own container in each of its pods. Other containers may stand beside it.
AIRFLOW_CONTAINER: Final = "airflow"


def object_name(deployment: str, component: str) -> str:
    """Return the name of an object that others find by name, and of its Pulumi resource."""
    return f"{deployment}-{component}"


# Labels that every object and pod of a Deployment has, and the beginning of further labels and annotations.
OWN_LABELS: Final = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
)
OWN_PREFIX: Final = "astro-pulumi/"
