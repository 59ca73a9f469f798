"""Give up: when one piece of `up` fails, or a person interrupts it, the others end soon too.

Threads cannot be ended from outside, so whatever takes long asks `check` now and then. The state is
the process' own, as are its threads; one `up` runs at a time.
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
    """End the commands that run in other threads, and make `check` raise in all of them."""
    _cancelled.set()
    for process in tuple(_commands):
        process.terminate()


def check() -> None:
    """Raise if this work is not wanted any more."""
    if _cancelled.is_set():
        raise CancelledError("Given up, since something else failed.")


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
