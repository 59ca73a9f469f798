"""Probe: the Celery worker of this pod consumes its queue.

Asks for the queues that it is consuming, which also finds a worker that answers pings and takes no
tasks. A bare Celery application costs 0.5 s of CPU, Airflow's own 3 s. While a worker starts, it is asked
every other second, so the cheap question comes first: without a connection to the broker nobody is there
to answer.
Usage: worker_probe.py QUEUE
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
REDIS_PORT = 6379


def is_connected(port: int, tables: tuple[Path, ...] = TABLES) -> bool:
    """Whether this pod has an established connection to a port, by the kernel's table of them."""
    established = f":{port:04X} 01 "
    return any(established in table.read_text() for table in tables if table.exists())


def consumed_queues(broker: str, worker: str) -> list[str]:
    """The queues that a worker says it consumes; none when it does not answer."""
    from celery import Celery

    inspect = Celery(broker=broker).control.inspect([worker], timeout=3, limit=1)
    return [entry["name"] for entry in (inspect.active_queues() or {}).get(worker, [])]


if __name__ == "__main__":
    broker, queue = os.environ["AIRFLOW__CELERY__BROKER_URL"], sys.argv[1]
    if not is_connected(urlsplit(broker).port or REDIS_PORT):
        sys.exit("the worker has not connected to its broker yet")
    worker = f"celery@{socket.gethostname()}"
    queues = consumed_queues(broker, worker)
    sys.exit(0 if queue in queues else f"{worker} consumes {queues}, not {queue}")
