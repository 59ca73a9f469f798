"""Probe: the Airflow job of this pod sent a heartbeat recently.

`airflow jobs check` answers the same question, but imports Airflow: 2.8 s of CPU against 0.1 s here.
Usage: heartbeat_probe.py JOB_TYPE [SECONDS TO WAIT FOR THE FIRST]
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from astro_probe_retry import answer
from astro_urls_with_login import compose_urls

try:
    import psycopg2 as driver
except ImportError:
    import psycopg as driver

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_ARGS = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS"
# Settings with the seconds between two heartbeats.
HEARTBEATS = (
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC",
)


def connect_arguments(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return Airflow's connection arguments besides the URL: the dictionary that a setting names."""
    path = environment.get(CONNECT_ARGS)
    if not path:
        return {}
    home = environment.get("AIRFLOW_HOME", os.path.expanduser("~/airflow"))  # noqa: PTH111
    sys.path += [f"{home}/config", f"{home}/plugins"]
    module, _, name = path.rpartition(".")
    found: dict[str, Any] = getattr(importlib.import_module(module), name)
    return found


def patience(environment: Mapping[str, str]) -> float:
    """Return the age in seconds up to which a heartbeat counts."""
    return max(60, *(3 * float(environment.get(name) or 0) for name in HEARTBEATS))


def main(job_type: str, wait: float) -> None:
    """Exit with 0 as soon as there is a recent heartbeat."""
    compose_urls(os.environ)
    url = urlsplit(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    dsn = urlunsplit(url._replace(scheme="postgresql"))
    arguments = {"connect_timeout": 5, **connect_arguments(os.environ)}
    seconds = patience(os.environ)

    def ask() -> str | None:
        with closing(driver.connect(dsn, **arguments)) as connection:
            # Without a transaction there is nothing to roll back, which would hide why a query failed.
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(
                "SELECT count(*) FROM job WHERE job_type = %s AND hostname = %s"
                " AND state = 'running' AND latest_heartbeat > now() - %s * interval '1 second'",
                (job_type, socket.gethostbyname(socket.gethostname()), seconds),
            )
            alive = cursor.fetchone()[0]
        return None if alive else f"no heartbeat of a {job_type} here in {seconds:.0f} seconds"

    answer(ask, wait)


if __name__ == "__main__":
    main(sys.argv[1], float((*sys.argv[2:], "0")[0]))
