"""Termination messages of the Jobs of a deploy, and the errors behind them."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TERMINATION_MESSAGE = Path("/dev/termination-log")
TERMINATION_BYTES = 4096


class ReleaseRefusedError(Exception):
    """This release must not continue. The message is for the user."""


class StoppedError(Exception):
    """Kubernetes ends the Job. The message is for the user."""


def raise_when_stopped(describe: Callable[[], str]) -> None:
    """Raise `StoppedError` on SIGTERM, with the text of `describe`. A second signal ends the process."""

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise StoppedError(describe())

    signal.signal(signal.SIGTERM, stop)


def failure_message(error: BaseException, phase: str) -> str:
    """Return the termination message of a Job that has failed.

    Args:
        error: The reason.
        phase: What the Job was doing.
    """
    if isinstance(error, (ReleaseRefusedError, StoppedError)):
        return str(error)
    # Of psycopg2 or SQLAlchemy, which are not imported here.
    if any(one.__name__ == "OperationalError" for one in type(error).__mro__):
        first = str(error).strip().partition("\n")[0]
        return f"The database failed at: {phase}. When it works again, deploy again.\n{first}"
    last = traceback.format_exception(type(error), error, error.__traceback__)[-4:]
    return f"{error}\n{''.join(last)}"


def leave_message(text: str) -> None:
    """Write the termination message, which Kubernetes and Pulumi show of an ended container."""
    data = text.encode()
    if len(data) > TERMINATION_BYTES:
        end = f"\n... full text: kubectl logs {os.environ.get('HOSTNAME', 'POD')}".encode()
        data = data[: TERMINATION_BYTES - len(end)].decode(errors="ignore").encode() + end
    with contextlib.suppress(OSError):
        TERMINATION_MESSAGE.write_bytes(data)


def last_that_fit(lines: list[str], room: int) -> list[str]:
    """Return the last lines that fit into `room` bytes, or the end of the last line if none fits."""
    chosen: list[str] = []
    for line in reversed(lines):
        size = len(line.encode()) + 1
        if size > room:
            if not chosen and room > 100:
                chosen.append(line.encode()[1 - room :].decode(errors="ignore"))
            break
        chosen.insert(0, line)
        room -= size
    return chosen
