"""How the Jobs of a deploy tell the user why they have ended."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TERMINATION_MESSAGE = Path("/dev/termination-log")
TERMINATION_BYTES = 4096


class ReleaseRefusedError(Exception):
    """This release must not go on. The message is for the user."""


class StoppedError(Exception):
    """Kubernetes ends the Job. The message is for the user."""


def raise_when_stopped(describe: Callable[[], str]) -> None:
    """On SIGTERM, raises `StoppedError` with what `describe` says then. A second one ends the process."""

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise StoppedError(describe())

    signal.signal(signal.SIGTERM, stop)


def leave_message(text: str) -> None:
    """What Kubernetes, and with it Pulumi, says of this container when it has ended."""
    data = text.encode()
    if len(data) > TERMINATION_BYTES:
        end = f"\n... all of it: kubectl logs {os.environ.get('HOSTNAME', 'POD')}".encode()
        data = data[: TERMINATION_BYTES - len(end)].decode(errors="ignore").encode() + end
    with contextlib.suppress(OSError):
        TERMINATION_MESSAGE.write_bytes(data)


def last_that_fit(lines: list[str], room: int) -> list[str]:
    """Return as many of the last lines as fit into so many bytes, part of a line rather than none."""
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
