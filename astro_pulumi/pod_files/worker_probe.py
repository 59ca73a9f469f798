"""Probe: the Celery worker of this pod consumes its queue.

Asks for the queues that it is consuming, which also finds a worker that answers pings and takes no
tasks. A bare Celery application costs 0.5 s of CPU, Airflow's own 3 s.
Usage: worker_probe.py QUEUE [SECONDS TO WAIT FOR IT]
"""

from __future__ import annotations

import os
import socket
import sys

from astro_probe import answer
from astro_urls import compose_urls
from celery import Celery

compose_urls(os.environ)
queue, wait = sys.argv[1], float((*sys.argv[2:], "0")[0])
worker = f"celery@{socket.gethostname()}"
application = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
# A worker that is not there yet never answers: while it starts, ask again soon.
patience = 1 if wait else 3


def ask() -> str | None:
    inspect = application.control.inspect([worker], timeout=patience, limit=1)
    queues = [entry["name"] for entry in (inspect.active_queues() or {}).get(worker, [])]
    return None if queue in queues else f"{worker} consumes {queues}, not {queue}"


answer(ask, wait)
