"""Find processes in /proc that this platform's containerd left running."""

import contextlib
import itertools
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

GONE_SECONDS = 5.0


def shims(socket: Path) -> list[int]:
    """Return the shims of the containerd that listens on a socket."""
    found: list[int] = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it ended while we looked
        if is_shim(arguments, socket):
            found.append(int(directory.name))
    return found


def is_shim(arguments: list[str], socket: Path) -> bool:
    """Return whether a command line belongs to a shim of the containerd behind a socket."""
    if not Path(arguments[0]).name.startswith("containerd-shim"):
        return False
    return ("-address", str(socket)) in itertools.pairwise(arguments)


def descendants(pid: int) -> list[int]:
    """Return all current descendants of a process."""
    children: dict[int, list[int]] = defaultdict(list)
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            stat = (directory / "stat").read_text()
        except OSError:
            continue
        children[int(stat.rpartition(")")[2].split()[1])].append(int(directory.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children[queue.pop()]
        found += below
        queue += below
    return found


def kill_all(pids: Iterable[int]) -> None:
    """Kill processes that were found just now, and wait for their end."""
    left = set(pids)
    for pid in left:
        _kill(pid)
    deadline = time.monotonic() + GONE_SECONDS
    while left and time.monotonic() < deadline:
        left = {pid for pid in left if Path(f"/proc/{pid}").exists()}
        time.sleep(0.02)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def mounts_below(directory: Path) -> list[str]:
    """Return the mount points below a directory, the innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    own = [point for point in points if point.startswith(f"{directory}/")]
    return sorted(own, key=lambda point: point.count("/"), reverse=True)


def remove_cgroups(name: str) -> None:
    """Remove the empty cgroups that match a name at the top of any hierarchy, v1 or v2."""
    root = Path("/sys/fs/cgroup")
    for top in [*root.glob(name), *root.glob(f"*/{name}")]:
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):  # not empty: then it is not ours alone
                Path(directory).rmdir()
