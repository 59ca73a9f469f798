"""Runs `airflow` with composed URLs, and with few garbage collections while it starts.

Importing Airflow makes objects by the hundred thousand, none of which is garbage, and Python looks through
them again and again: more than a fourth of the webserver's start-up, a seventh of the scheduler's.
Usage: airflow_start.py ARGUMENTS OF AIRFLOW
"""

from __future__ import annotations

import gc
import os
import sys
import time

# Seconds after which collections are as usual again, in processes that were forked meanwhile, too.
START = 60


def collect_rarely() -> None:
    """For so many seconds; by a callback, since it costs no thread, which a fork would lose."""
    usual, end = gc.get_threshold(), time.monotonic() + START

    def settle(*_: object) -> None:
        if time.monotonic() > end and settle in gc.callbacks:
            gc.callbacks.remove(settle)
            gc.set_threshold(*usual)

    gc.callbacks.append(settle)
    gc.set_threshold(100_000, 10, 10)


if __name__ == "__main__":  # and not in a process that multiprocessing spawns
    from astro_urls import compose_urls

    compose_urls(os.environ)
    collect_rarely()
    # As if it were the command `airflow`: the files beside this one are no modules.
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(__file__)]  # noqa: PTH120
    sys.argv[0] = "airflow"

    from airflow.__main__ import main

    sys.exit(main())
