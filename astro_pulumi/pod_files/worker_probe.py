"""Probe: the Celery worker of this pod consumes its queue.

The probe asks for the queues that the worker consumes, which also finds a worker that answers pings and takes
no tasks. A bare Celery application costs 0.5 s of CPU, Airflow's own 3 s.
Usage: worker_probe.py QUEUE [SECONDS TO WAIT FOR IT]
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

from astro_probe_retry import answer
from astro_urls_with_login import compose_urls
from celery import Celery

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTING = "AIRFLOW__CELERY__"
OPTION = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__"


def application(environment: Mapping[str, str]) -> Any:
    """Return a Celery application that reaches the broker as the worker does."""
    if f"{SETTING}CELERY_CONFIG_OPTIONS" in environment:
        # A configuration in Python, which usually extends Airflow's own.
        from airflow.providers.celery.executors.celery_executor_utils import app

        return app
    made = Celery(broker=environment[f"{SETTING}BROKER_URL"])
    made.conf.update(celery_settings(environment))
    return made


def celery_settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return Celery's settings in the environment besides the broker's URL."""
    found: dict[str, Any] = {
        "broker_transport_options": {
            name[len(OPTION) :].lower(): converted(text)
            for name, text in environment.items()
            if name.startswith(OPTION)
        }
    }
    if is_true(environment.get(f"{SETTING}SSL_ACTIVE", "False")):
        found["broker_use_ssl"] = tls(environment)
    return {**found, **json.loads(environment.get(f"{SETTING}EXTRA_CELERY_CONFIG", "{}"))}


def converted(text: str) -> Any:
    """Return the value of a transport option as Airflow reads it."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if text.lower() in ("t", "true", "f", "false"):
        return is_true(text)
    return json.loads(text) if text.startswith("{") else text


def tls(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return Celery's TLS options for the broker."""
    files = {"ssl_ca_certs": "SSL_CACERT"}
    if is_true(environment.get(f"{SETTING}SSL_MUTUAL_TLS", "True")):
        files |= {"ssl_keyfile": "SSL_KEY", "ssl_certfile": "SSL_CERT"}
    found = {key: environment.get(f"{SETTING}{name}") for key, name in files.items()}
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        **{key: file for key, file in found.items() if file},
    }


def is_true(text: str) -> bool:
    """Return whether a setting is true, as Airflow reads it."""
    return text.lower() in ("t", "true", "1")


def main(queue: str, wait: float) -> None:
    """Exit with 0 as soon as the worker consumes `queue`."""
    compose_urls(os.environ)
    worker = f"celery@{socket.gethostname()}"
    control = application(os.environ).control
    # A worker that has not started yet never answers: during the start, ask again soon.
    patience = 1 if wait else 3

    def ask() -> str | None:
        inspect = control.inspect([worker], timeout=patience, limit=1)
        queues = [entry["name"] for entry in (inspect.active_queues() or {}).get(worker, [])]
        return None if queue in queues else f"{worker} consumes {queues}, not {queue}"

    answer(ask, wait)


if __name__ == "__main__":
    main(sys.argv[1], float((*sys.argv[2:], "0")[0]))
