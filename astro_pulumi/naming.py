"""Names that several modules share: components of a Deployment, and names of its objects."""

from typing import Final

from astro_pulumi.pod_files import astro_shared_names

WEBSERVER: Final = "webserver"
POSTGRESQL: Final = astro_shared_names.POSTGRESQL
REDIS: Final = "redis"
PGBOUNCER: Final = "pgbouncer"
STATSD: Final = "statsd"
RELEASE_JOB: Final = astro_shared_names.RELEASE_JOB
PYTEST: Final = "pytest"
ROLLOUT: Final = "rollout"

# Airflow's own container in each of its pods. Other containers may stand beside it.
AIRFLOW_CONTAINER: Final = astro_shared_names.AIRFLOW


def object_name(deployment: str, component: str) -> str:
    """Return the name of an object that others find by name, and of its Pulumi resource."""
    return f"{deployment}-{component}"


# Labels that every object and pod of a Deployment has, and the beginning of further labels and annotations.
OWN_LABELS: Final = (
    astro_shared_names.NAME_LABEL,
    astro_shared_names.INSTANCE_LABEL,
    astro_shared_names.COMPONENT_LABEL,
    astro_shared_names.MANAGED_BY_LABEL,
    "app.kubernetes.io/part-of",
)
OWN_PREFIX: Final = astro_shared_names.PREFIX
