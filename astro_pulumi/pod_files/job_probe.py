"""Probe: the Airflow job of this pod has sent a heartbeat in the last minute.

`airflow jobs check` does the same, and imports Airflow for it: 2.8 s of CPU against 0.1 s here.
Usage: job_probe.py JOB_TYPE [SECONDS TO WAIT FOR THE FIRST]
"""

from __future__ import annotations

import os
import socket
import sys
from urllib.parse import urlsplit, urlunsplit

from astro_probe import answer
from astro_urls import compose_urls

try:
    import psycopg2 as driver
except ImportError:
    import psycopg as driver

compose_urls(os.environ)
job_type, wait = sys.argv[1], float((*sys.argv[2:], "0")[0])
url = urlsplit(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
dsn = urlunsplit(url._replace(scheme="postgresql"))


def ask() -> str | None:
    with driver.connect(dsn, connect_timeout=5) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM job WHERE job_type = %s AND hostname = %s"
            " AND state = 'running' AND latest_heartbeat > now() - interval '1 minute'",
            (job_type, socket.gethostbyname(socket.gethostname())),
        )
        alive = cursor.fetchone()[0]
    connection.close()
    return None if alive else f"no heartbeat of a {job_type} here in the last minute"


answer(ask, wait)
