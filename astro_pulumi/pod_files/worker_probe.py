"""Probe: the Celery worker of this pod consumes its queue.

Asks for the queues that it is consuming, which also finds a worker that answers pings and takes no
tasks. A bare Celery application costs 0.5 s of CPU, Airflow's own 3 s.
Usage: worker_probe.py QUEUE
"""

import os
import socket
import sys

from celery import Celery

queue = sys.argv[1]
worker = f"celery@{socket.gethostname()}"
application = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
answer = application.control.inspect([worker], timeout=3, limit=1).active_queues() or {}
queues = [entry["name"] for entry in answer.get(worker, [])]
sys.exit(0 if queue in queues else f"{worker} consumes {queues}, not {queue}")
