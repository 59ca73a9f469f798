"""Every version that the local platform pins, in one place.

Versions of Go modules are not here: `go.mod` and `go.sum` beside each program pin those.
"""

from typing import Final

DEBIAN_SUITE: Final = "bookworm"

AIRFLOW: Final = "3.3.2"
AIRFLOW_EXTRAS: Final = "celery,postgres,statsd,fab"
# Celery 5.7.0 breaks apache-airflow-providers-celery 3.26.0: its workers never consume a task.
# Astro Runtime has pytest, for `astro deploy --pytest`.
AIRFLOW_COMPANIONS: Final = ("celery<5.7", "redis", "pytest")
# What Airflow 3.3 requires itself: the API of older ones does not start with newer releases of these
# ("needs a discriminator field").
OLDER_AIRFLOW_3_COMPANIONS: Final = ("cadwyn<8", "fastapi<0.137")
UV: Final = "0.9.9"

POSTGRES_TAG: Final = "15"
REDIS_TAG: Final = "7"


def runtime_tag(airflow: str) -> str:
    """Return a runtime image's tag in the scheme of Astro Runtime 3: `<Airflow minor>-<patch>`."""
    return f"{airflow.rpartition('.')[0]}-1"


def airflow_requirements(airflow: str) -> str:
    """Return what is installed into a runtime image, for a shell that splits at spaces."""
    older = OLDER_AIRFLOW_3_COMPANIONS if (3, 0) <= _minor(airflow) < _minor(AIRFLOW) else ()
    return " ".join((f"apache-airflow[{AIRFLOW_EXTRAS}]=={airflow}", *AIRFLOW_COMPANIONS, *older))


def _minor(airflow: str) -> tuple[int, ...]:
    return tuple(int(part) for part in airflow.split(".")[:2])
