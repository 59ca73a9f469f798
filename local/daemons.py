"""Daemons that outlive the command that started them. Only their own platform may stop them.

A record identifies a daemon by process id *and* start time: after a reboot, or when ids are reused, another
program may have the id, and must not get a signal. The record also has a digest of the daemon's arguments and
configuration, so that `up` restarts only daemons with changes.
"""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local import cancellation
from local.errors import DaemonError
from local.paths import Paths
from local.progress import Phase

LOG_LINES = 20
POLL_SECONDS = 0.05
# The API server would wait for every open watch, up to a minute. All its data is in etcd, so nothing is lost
# if it ends sooner.
STOP_SECONDS = 3.0
KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Daemon:
    """A long-running program, with its start and its readiness check."""

    name: str
    command: Sequence[str]
    ready: Callable[[], bool]
    config_files: Sequence[Path] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ready_timeout: float = 60.0

    @property
    def fingerprint(self) -> str:
        """Digest of everything that determines the behaviour of the process."""
        digest = hashlib.sha256(json.dumps([*self.command, sorted(self.env.items())]).encode())
        for path in self.config_files:
            digest.update(path.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Record:
    """The record of a started process."""

    pid: int
    start_time: int
    fingerprint: str

    @classmethod
    def read(cls, path: Path) -> "Record | None":
        """Return the record in a file; None if it is missing or damaged."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def alive(self) -> bool:
        """Whether the process that was started still runs."""
        return process_start_time(self.pid) == self.start_time


def process_start_time(pid: int) -> int | None:
    """Return the start of a process in clock ticks since boot; None if it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in parentheses and may hold anything, spaces included.
    fields = stat.rpartition(")")[2].split()
    state, start_time = fields[0], fields[19]
    return None if state in ("Z", "X") else int(start_time)


class Daemons:
    """The daemons of one platform, with their records below its state directory."""

    def __init__(self, paths: Paths) -> None:
        """Take the paths of the platform."""
        self._run = paths.run
        self._logs = paths.logs

    def record(self, name: str) -> Record | None:
        """Return the record of a running daemon, or None."""
        record = Record.read(self._file(name))
        return record if record and record.alive else None

    def names(self) -> list[str]:
        """Return the names of all started daemons, the latest first."""
        files = sorted(self._run.glob("*.json"), key=lambda path: path.stat().st_mtime)
        return [path.stem for path in reversed(files)]

    def log(self, name: str) -> Path:
        """Return the log file of a daemon."""
        return self._logs / f"{name}.log"

    def start(self, daemon: Daemon) -> bool:
        """Start a daemon unless it runs unchanged, and return whether it was started."""
        record = self.record(daemon.name)
        if record:
            if record.fingerprint == daemon.fingerprint:
                return False
            self.stop(daemon.name, timeout=STOP_SECONDS)
        self._run.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(daemon.name).open("ab") as log:
            process = subprocess.Popen(
                daemon.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=os.environ | daemon.env,
                start_new_session=True,
            )
        start_time = process_start_time(process.pid)
        if start_time is None:
            raise self._died(daemon.name)
        record = Record(process.pid, start_time, daemon.fingerprint)
        self._file(daemon.name).write_text(json.dumps(record.__dict__))
        return True

    def wait(self, daemon: Daemon, phase: Phase) -> None:
        """Return when a daemon is ready.

        Raises:
            DaemonError: It is not ready in time; with its last log lines.
        """
        deadline = time.monotonic() + daemon.ready_timeout
        while not daemon.ready():
            cancellation.check()
            if not self.record(daemon.name):
                raise self._died(daemon.name)
            if time.monotonic() > deadline:
                raise DaemonError(
                    f"{daemon.name} runs, but was not ready in {daemon.ready_timeout:.0f} s.",
                    why=self._last_lines(daemon.name),
                    to_do=f"Its whole log is {self.log(daemon.name)}.",
                )
            phase.note(f"waiting for {daemon.name} to be ready")
            time.sleep(POLL_SECONDS)

    def stop(self, *names: str, timeout: float) -> None:
        """End daemons of this platform, all at once: by SIGTERM, then by SIGKILL."""
        records = [record for name in names if (record := self.record(name))]
        if timeout > 0:
            for record in records:
                _signal(record, signal.SIGTERM)
        if not _gone(records, timeout):
            for record in records:
                _signal(record, signal.SIGKILL)
            _gone(records, KILL_SECONDS)
        for name in names:
            self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._run / f"{name}.json"

    def _last_lines(self, name: str) -> str:
        try:
            text = self.log(name).read_text(errors="replace")
        except OSError:
            return "It wrote no log."
        return "\n".join(text.splitlines()[-LOG_LINES:])

    def _died(self, name: str) -> DaemonError:
        return DaemonError(
            f"{name} ended instead of becoming ready.",
            why=self._last_lines(name),
            to_do=f"Its whole log is {self.log(name)}.",
        )


def _signal(record: Record, number: signal.Signals) -> None:
    if record.alive:
        try:
            os.kill(record.pid, number)
        except ProcessLookupError:
            return


def _gone(records: Sequence[Record], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while any(record.alive for record in records):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
