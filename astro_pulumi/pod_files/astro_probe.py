"""Asks a question for a probe: once, or while a pod starts until the answer is yes.

A startup probe that asks every second would start a Python each time, of 0.1 to 0.5 s of CPU, on a machine
that is busy with starting Airflow. So Kubernetes starts one, and that one waits.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 0.5


def answer(ask: Callable[[], str | None], wait: float) -> None:
    """Exits with 0 as soon as `ask()` is None, with its last answer after `wait` seconds.

    Whatever it raises is an answer, too: a database or a broker may be away for a moment.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            problem = ask()
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        if problem is None:
            sys.exit(0)
        if time.monotonic() >= deadline:
            sys.exit(problem)
        time.sleep(INTERVAL)
