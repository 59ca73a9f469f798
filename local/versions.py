"""Every version that the local platform pins, in one place.

Versions of Go modules are not here: `go.mod` and `go.sum` beside each program pin those.
"""

from typing import Final

DEBIAN_SUITE: Final = "bookworm"

AIRFLOW: Final = "3.3.2"
# Celery 5.7.0 breaks apache-airflow-providers-celery 3.26.0: its workers never consume a task.
AIRFLOW_REQUIREMENTS: Final = (
    f"apache-airflow[celery,postgres,statsd,fab]=={AIRFLOW}",
    "celery<5.7",
    "redis",
)
UV: Final = "0.9.9"

# `<Airflow minor>-<patch>` is the tag scheme of Astro Runtime 3.
RUNTIME_TAG: Final = "3.3-1"
POSTGRES_TAG: Final = "15"
REDIS_TAG: Final = "7"
