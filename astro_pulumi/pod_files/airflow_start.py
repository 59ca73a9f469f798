"""Run `airflow` with composed URLs, and with few garbage collections while it starts.

Importing Airflow creates hundreds of thousands of objects, none of which is garbage. Python's collector
examines them again and again: more than a fourth of the webserver's start-up, a seventh of the scheduler's.
Usage: airflow_start.py ARGUMENTS OF AIRFLOW
"""

from __future__ import annotations

import gc
import os
import sys
import time
from typing import TYPE_CHECKING

import astro_shared_names

if TYPE_CHECKING:
    from collections.abc import MutableMapping

# Seconds until the usual thresholds apply again, also in processes that were forked meanwhile.
START = 60


_BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"


def use_dag_bundle(environment: MutableMapping[str, str]) -> None:
    """Let this process and its children import the bundle of DAG deploys, if Airflow shall use it.

    Last on the path, and only here: as a variable of the pod, PYTHONPATH would replace that of the image.
    """
    if astro_shared_names.DAG_BUNDLE not in environment:
        return
    environment[_BUNDLES] = environment[astro_shared_names.DAG_BUNDLE]
    folder, given = astro_shared_names.DAG_FILES_PATH, environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{given}{os.pathsep}{folder}" if given else folder
    sys.path.append(folder)


def collect_rarely() -> None:
    """Raise the thresholds of the garbage collector for `START` seconds.

    A callback of the collector restores them. A thread would be lost in a fork.
    """
    usual, end = gc.get_threshold(), time.monotonic() + START

    def settle(*_: object) -> None:
        if time.monotonic() > end and settle in gc.callbacks:
            gc.callbacks.remove(settle)
            gc.set_threshold(*usual)

    gc.callbacks.append(settle)
    gc.set_threshold(100_000, 10, 10)


if __name__ == "__main__":  # not in a process that multiprocessing spawns
    from astro_urls_with_login import compose_urls

    compose_urls(os.environ)
    collect_rarely()
    # As for the command `airflow`: the files beside this one are not importable modules.
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(__file__)]  # noqa: PTH120
    use_dag_bundle(os.environ)
    sys.argv[0] = "airflow"

    from airflow.__main__ import main

    sys.exit(main())
