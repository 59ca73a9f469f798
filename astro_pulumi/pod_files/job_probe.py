"""Probe: the Airflow job of this pod has sent a heartbeat lately.

`airflow jobs check` does the same, and imports Airflow for it: 2.8 s of CPU against 0.1 s here.
Usage: job_probe.py JOB_TYPE [SECONDS]
"""

import os
import socket
import sys
from urllib.parse import urlsplit, urlunsplit

job_type, seconds = sys.argv[1], int((*sys.argv[2:], "60")[0])
url = urlsplit(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
dsn = urlunsplit(url._replace(scheme="postgresql"))
try:
    import psycopg2 as driver
except ImportError:
    import psycopg as driver
with driver.connect(dsn, connect_timeout=5) as connection, connection.cursor() as cursor:
    cursor.execute(
        "SELECT count(*) FROM job WHERE job_type = %s AND hostname = %s AND state = 'running'"
        " AND latest_heartbeat > now() - %s * interval '1 second'",
        (job_type, socket.gethostbyname(socket.gethostname()), seconds),
    )
    alive = cursor.fetchone()[0]
sys.exit(0 if alive else f"no heartbeat of a {job_type} here in the last {seconds} s")
