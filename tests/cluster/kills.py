"""Kill Pulumi with everything that it started, at a moment of the test's choice."""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from local.stack import Stack


@contextlib.contextmanager
def frozen_processes(
    process: subprocess.Popen[Any], may_die: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Freeze a command and all its processes for the body of a `with`, and kill them at its end.

    The CLI puts its plugins into process groups of their own, which a signal to its own group does not reach.
    `may_die` is called while all processes are frozen. If it returns False, they continue for a moment.
    """
    while True:
        processes = _freeze(process.pid)
        if may_die():
            break
        _signal(processes, signal.SIGCONT)
        time.sleep(0.05)
    try:
        yield
    finally:
        _signal(processes, signal.SIGKILL)
        process.wait()


def has_whole_checkpoint(stack: Stack) -> bool:
    """Return whether the state and its attributes are whole: the CLI cannot recover from half of them.

    The CLI replaces the state by a rename, but writes the attributes beside it in place.
    """
    folder = Path(stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
    for file in (*folder.rglob("stacks/*/*.json"), *folder.rglob("stacks/*/*.json.attrs")):
        try:
            json.loads(file.read_text())
        except ValueError:
            return False
    return True


def _freeze(pid: int) -> list[psutil.Process]:
    """Stop the processes below `pid` until no new one appears."""
    frozen: dict[int, psutil.Process] = {}
    while True:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            found = {one.pid: one for one in (parent, *parent.children(recursive=True))}
            new = [one for number, one in found.items() if number not in frozen]
            _signal(new, signal.SIGSTOP)
            frozen |= found
            if new:
                continue
        return list(frozen.values())


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(number)
