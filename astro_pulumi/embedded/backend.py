"""Pulumi's `file://` backend: where stacks, backups, history and locks lie.

.pulumi/meta.yaml                                        layout version, 1
.pulumi/stacks/<project>/<stack>.json                    checkpoint (.bak: the one before)
.pulumi/backups/<project>/<stack>/<stack>.<ns>.json      checkpoint before each update
.pulumi/history/<project>/<stack>/<stack>-<ns>.*.json    each update and its checkpoint
.pulumi/locks/organization/<project>/<stack>/<uuid>.json who is at work
"""

import getpass
import gzip
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from astro_pulumi.embedded.project import Project, pulumi_home
from astro_pulumi.embedded.state import compact
from astro_pulumi.errors import StateError


@dataclass(frozen=True, slots=True)
class Backend:
    """One project's part of a `file://` backend."""

    root: Path  # the directory that holds .pulumi
    project: str

    def stacks(self) -> list[str]:
        """Names of the project's stacks."""
        names = {
            file.name.removesuffix(".gz").removesuffix(".json")
            for file in self._directory("stacks").glob("*.json*")
            if file.name.removesuffix(".gz").endswith(".json")
        }
        return sorted(names)

    def checkpoint_file(self, stack: str) -> Path:
        """Where the stack's state is, or will be."""
        return self._directory("stacks") / f"{stack}.json"

    def read(self, stack: str) -> dict[str, Any] | None:
        """The stack's checkpoint; None when there is no such stack."""
        file = self.checkpoint_file(stack)
        try:
            if not file.exists() and (packed := file.with_name(f"{file.name}.gz")).exists():
                text = gzip.decompress(packed.read_bytes()).decode()
            else:
                text = file.read_text()
            data: dict[str, Any] = json.loads(text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StateError(f"{file}: the stack's state cannot be read: {error}") from error
        return data

    def write(self, stack: str, text: str) -> None:
        """Replaces the checkpoint as a whole or not at all."""
        file = self.checkpoint_file(stack)
        try:
            if file.exists():
                backup = file.with_name(f"{file.name}.bak")
                with suppress(FileNotFoundError):
                    backup.unlink()
                os.link(file, backup)
            write_atomically(file, text)
            with suppress(FileNotFoundError):  # written by an engine that compresses
                file.with_name(f"{file.name}.gz").unlink()
        except OSError as error:
            raise StateError(f"{file}: the stack's state cannot be written: {error}") from error

    def create(self, stack: str, text: str) -> None:
        """Adds a stack."""
        meta = self.root / ".pulumi" / "meta.yaml"
        if not meta.exists():
            write_atomically(meta, "version: 1\n")
        self.write(stack, text)

    def back_up(self, stack: str) -> None:
        """Keeps the checkpoint as it is before an update."""
        file = self.checkpoint_file(stack)
        if file.exists():
            backup = self._directory("backups") / stack / f"{stack}.{time.time_ns()}.json"
            write_atomically(backup, file.read_text())

    def add_to_history(self, stack: str, update: Mapping[str, Any]) -> None:
        """Records an update that ended, with the checkpoint that it left."""
        prefix = f"{stack}-{time.time_ns()}"
        directory = self._directory("history") / stack
        write_atomically(directory / f"{prefix}.history.json", compact(update))
        text = self.checkpoint_file(stack).read_text()
        write_atomically(directory / f"{prefix}.checkpoint.json", text)

    @contextmanager
    def lock(self, stack: str) -> Iterator[Callable[[], None]]:
        """Holds the stack against every other engine; says who holds it otherwise. Gives what releases
        it early."""
        directory = self.root / ".pulumi" / "locks" / "organization" / self.project / stack
        mine = directory / f"{uuid.uuid4()}.json"
        owner = {
            "pid": os.getpid(),
            "username": getpass.getuser(),
            "hostname": socket.gethostname(),
            "timestamp": datetime.now(UTC).isoformat(),
        }
        self._refuse_if_locked(directory, mine)
        write_atomically(mine, compact(owner))
        try:
            # Two that wrote at the same moment both see the other: better none than both.
            self._refuse_if_locked(directory, mine)
            yield partial(mine.unlink, missing_ok=True)
        finally:
            mine.unlink(missing_ok=True)

    def _refuse_if_locked(self, directory: Path, mine: Path) -> None:
        owners = []
        for file in directory.glob("*.json"):
            if file == mine:
                continue
            try:
                owner = json.loads(file.read_text())
            except (OSError, ValueError):
                owner = {}
            if _is_gone(owner):
                file.unlink(missing_ok=True)
                continue
            owners.append(
                f"\n  {file}: created by {owner.get('username')}@{owner.get('hostname')} "
                f"(pid {owner.get('pid')}) at {owner.get('timestamp')}"
            )
        if owners:
            raise StateError(
                f"the stack is currently locked by {len(owners)} lock(s). Wait for the other "
                f"process(es) to end, or delete the lock file.{''.join(owners)}"
            )

    def _directory(self, kind: str) -> Path:
        return self.root / ".pulumi" / kind / self.project


def open_backend(project: Project, environment: Mapping[str, str]) -> Backend:
    """The backend that Pulumi would use for the project; refuses every kind but `file://`."""
    url = (
        environment.get("PULUMI_BACKEND_URL")
        or (project.settings.get("backend") or {}).get("url")
        or _logged_in_to()
        or ("https://api.pulumi.com" if environment.get("PULUMI_ACCESS_TOKEN") else "file://~")
    )
    if not url.startswith("file://"):
        raise StateError(
            f"backend {url}: the embedded engine keeps state in file:// backends only. Install the "
            "Pulumi CLI for this one, or set PULUMI_BACKEND_URL to a file:// URL."
        )
    root = Path(url.removeprefix("file://").split("?")[0]).expanduser().resolve()
    meta = root / ".pulumi" / "meta.yaml"
    if meta.exists() and (yaml.safe_load(meta.read_text()) or {}).get("version") != 1:
        raise StateError(
            f"{meta}: the embedded engine knows version 1 of the layout only: run "
            "`pulumi state upgrade` with the Pulumi CLI."
        )
    return Backend(root, project.name)


def write_atomically(file: Path, text: str) -> None:
    """Writes a file so that nobody, not even after a crash, sees half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _logged_in_to() -> str | None:
    """What `pulumi login` chose."""
    try:
        credentials = json.loads((pulumi_home() / "credentials.json").read_text())
    except (OSError, ValueError):
        return None
    return credentials.get("current") or None


def _is_gone(owner: Mapping[str, Any]) -> bool:
    """Whether a lock's owner ran on this machine and is no more: killed, it could not unlock."""
    if owner.get("hostname") != socket.gethostname() or not isinstance(owner.get("pid"), int):
        return False
    return not Path(f"/proc/{owner['pid']}").exists() and Path("/proc/self").exists()
