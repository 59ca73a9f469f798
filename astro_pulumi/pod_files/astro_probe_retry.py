"""Ask a question for a probe: once, or repeatedly while a pod starts until the answer is yes.

A startup probe that asks every second would start a Python process each time, of 0.1 to 0.5 s of CPU, on a
machine that is busy with starting Airflow. So Kubernetes starts one process, which asks repeatedly.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 0.5


def answer(ask: Callable[[], str | None], wait: float) -> None:
    """Exit with 0 as soon as `ask()` returns None, or with its last answer after `wait` seconds.

    An exception is an answer too: a database or a broker may be unavailable for a moment.
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
