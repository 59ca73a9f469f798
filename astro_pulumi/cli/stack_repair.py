"""Detect stacks with an interrupted update, and repair them with Pulumi's own commands.

A CLI that is killed leaves its lock, and operations with an unknown outcome.
"""

import json
import os
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import typer

from astro_pulumi.cli import pulumi_cli
from astro_pulumi.cli.options import say
from astro_pulumi.cli.pulumi_cli import Project, State
from astro_pulumi.errors import PulumiError

# Seconds between the start of the CLI and its lock, with the inaccuracy of the clocks.
_TOLERANCE: Final = timedelta(seconds=2)
_IMAGE: Final = "docker:index/image:Image"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock of a stack in a `file://` backend."""

    pid: int
    user: str
    host: str
    since: datetime

    def __str__(self) -> str:
        """Return the owner of the lock, for a message."""
        return f"process {self.pid} of {self.user}@{self.host}, {self.since:%Y-%m-%d %H:%M:%S}"

    @property
    def is_stale(self) -> bool:
        """Whether the process of the lock has certainly ended: it was on this host, and no longer runs."""
        return self.host == socket.gethostname() and not _runs(self.pid, self.since)


@dataclass(frozen=True, slots=True)
class Pending:
    """An operation that started and did not end."""

    type: str  # creating, updating, deleting, reading, importing
    urn: str

    def __str__(self) -> str:
        """Return the operation and its resource, for a message."""
        return f"{self.type} {self.urn.rsplit('::', 1)[-1]} ({self._type})"

    @property
    def is_create(self) -> bool:
        """Whether the state does not contain the resource yet."""
        return self.type == "creating"

    @property
    def is_ours(self) -> bool:
        """Whether the resource is a part of a component of this package.

        The next update adopts such a resource, or it is deleted with the Deployment. So the state may forget
        the attempt to create it.
        """
        return "astro:index:" in self.urn.split("::")[2]

    @property
    def is_kept_elsewhere(self) -> bool:
        """Whether the resource may differ from the state now. An image is rebuilt if necessary."""
        return not self.is_create and self._type != _IMAGE

    @property
    def _type(self) -> str:
        return self.urn.split("::")[2].rsplit("$", 1)[-1]


def repair(project: Project, stack: str, state: State, *, yes: bool) -> bool:
    """Repair the remains of an interrupted update, after a question unless `yes`.

    Returns:
        Whether objects may exist that are not in the state, which the next update has to adopt.

    Raises:
        PulumiError: The stack is locked by an update that may still run, or the user declines.
    """
    found = locks(project, stack)
    running = [lock for lock in found if not lock.is_stale]
    if running:
        raise PulumiError(
            f"stack {stack} is locked by another update: {'; '.join(map(str, running))}. Wait until that has "
            f"ended. If it no longer runs: pulumi cancel --stack {stack}"
        )
    if found:
        say(f"An update of stack {stack} was interrupted and has left its lock: {found[0]}.")
        _confirm("Remove the lock with `pulumi cancel`?", yes)
        pulumi_cli.run("cancel", "--yes", "--stack", stack)
        state = pulumi_cli.read_state(stack) or state
    pending = [Pending(str(one["type"]), str(one["resource"]["urn"])) for one in state.pending]
    if pending:
        _repair_pending(stack, pending, yes)
    return any(one.is_create for one in pending)


def locks(project: Project, stack: str) -> list[Lock]:
    """Return the locks of a stack in a `file://` backend. Locks of other backends cannot be read."""
    directory = pulumi_cli.local_backend()
    if directory is None:
        return []
    name = pulumi_cli.short(stack)
    # Since 3.61 stacks belong to projects. Older backends without an upgrade have only names of stacks.
    folders = (f"organization/{project.settings['name']}/{name}", name)
    files = [file for folder in folders for file in (directory / "locks" / folder).glob("*.json")]
    return [lock for file in files if (lock := _read(file))]


def _read(file: Path) -> Lock | None:
    try:
        content = json.loads(file.read_text())
        return Lock(
            pid=int(content["pid"]),
            user=str(content["username"]),
            host=str(content["hostname"]),
            since=datetime.fromisoformat(content["timestamp"]),
        )
    except FileNotFoundError:  # the update has just ended
        return None
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise PulumiError(f"the lock {file} cannot be read: {error}") from error


def _runs(pid: int, since: datetime) -> bool:
    """Return whether the process that had this id at a time still runs.

    Ids are reused: a process that started later is another one.
    """
    if os.name != "posix":
        return True  # there, signal 0 is not a question
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    try:
        # After the name in brackets: state, ..., start in clock ticks since the machine was booted.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(
            float(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime ")
        )
    except (OSError, StopIteration):
        return True  # no Linux
    if fields[0] == "Z":  # ended; whoever started it has not asked for its exit code
        return False
    started = boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(started, UTC) <= since + _TOLERANCE


def _repair_pending(stack: str, pending: Sequence[Pending], yes: bool) -> None:
    say(
        f"An update of stack {stack} was interrupted. It is not known whether these were completed:"
    )
    for one in pending:
        say(f"  {one}")
    foreign = [one for one in pending if one.is_create and not one.is_ours]
    changed = sorted({one.urn for one in pending if one.is_kept_elsewhere})
    if changed:
        _confirm("Read their actual state with `pulumi refresh`?", yes)
        targets = [word for urn in changed for word in ("--target", urn)]
        pulumi_cli.run(
            *("refresh", "--yes", "--skip-preview", "--skip-pending-creates"),
            *("--stack", stack, *targets),
        )
    if foreign:
        # Only the user knows whether another component's resource exists, and its id.
        say(
            "Find out whether these exist, and tell Pulumi with "
            f"`pulumi refresh --stack {stack}`: {', '.join(map(str, foreign))}"
        )
    elif any(one.is_create for one in pending):
        _confirm(
            "Forget the attempts to create them? This deploy adopts the existing objects.", yes
        )
        _forget_pending(stack)


def _forget_pending(stack: str) -> None:
    """Export and import the state, which drops all pending operations.

    `pulumi refresh --clear-pending-creates` would ask about each of them in a terminal.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = str(Path(directory) / "state.json")
        pulumi_cli.run("stack", "export", "--stack", stack, "--file", file)
        pulumi_cli.run("stack", "import", "--stack", stack, "--file", file)


def _confirm(question: str, yes: bool) -> None:
    if not yes and not typer.confirm(question, default=True):
        raise PulumiError("the stack was not repaired: nothing was changed")
