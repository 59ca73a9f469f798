"""Cancellation: if a part of `up` fails, or a person interrupts it, the other parts end soon too.

Threads cannot be ended from outside, so long work calls `check` now and then. The state belongs to the
process, as its threads do. One `up` runs at a time.
"""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from local.errors import CancelledError

_cancelled = threading.Event()
_commands: set[subprocess.Popen[str]] = set()


def reset() -> None:
    """Forget an earlier cancellation."""
    _cancelled.clear()


def cancel() -> None:
    """End the commands of other threads, and make `check` raise in all threads."""
    _cancelled.set()
    for process in tuple(_commands):
        process.terminate()


def check() -> None:
    """Raise `CancelledError` if the work was cancelled."""
    if _cancelled.is_set():
        raise CancelledError("Cancelled, because another step failed.")


@contextmanager
def cancellable(process: subprocess.Popen[str]) -> Iterator[None]:
    """Let `cancel` end a command."""
    _commands.add(process)
    try:
        check()  # it may have been cancelled just before
        yield
    except CancelledError:
        process.terminate()
        raise
    finally:
        _commands.discard(process)
