"""Compare the image with the assumptions of the Deployment's pods.

Packages are looked up by their metadata: importing Airflow takes seconds, and fails with a traceback if a
package is missing. Each mismatch is one line with its remedy.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import signal
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROC = Path("/proc")
# Distributions with Airflow's own code: Airflow 3 has it in the first.
AIRFLOW = ("apache-airflow-core", "apache-airflow")
# Providers whose names have two parts: `airflow.providers.microsoft.azure`.
TWO_PARTS = ("apache", "atlassian", "cncf", "common", "dbt", "microsoft")
PROVIDER_CLASS = re.compile(r"\bairflow\.providers\.[a-zA-Z0-9_.]*[a-zA-Z0-9_]")
# Folders below AIRFLOW_HOME that Airflow and the user's DAGs read.
FOLDERS = ("dags", "plugins", "include", "config")
MOST_NAMES = 3
SIGNAL_PATIENCE = 2.0  # seconds; an init passes signals on within milliseconds


def mismatches(needs: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Return a line for each assumption of the Deployment that does not hold in the image.

    Args:
        needs: See `image_needs` of the package.
        environment: Environment variables of the release Job.
    """
    installed = airflow_version()
    if installed is None:
        lines = [
            f"Airflow: `python` on the image's PATH ({sys.executable}) has no package apache-airflow. "
            f"{needs['no_airflow']}"
        ]
    else:
        lines = [
            *wrong_airflow(installed, needs),
            *missing_packages(needs["packages"], needs["add"]),
            *missing_providers(environment, needs),
        ]
    return [*lines, *nameless_user(), *unreadable_files(environment), *lost_signals()]


def version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def airflow_version() -> str | None:
    """Return the version of Airflow in this image, or None."""
    return next(filter(None, map(version, AIRFLOW)), None)


def wrong_airflow(installed: str, needs: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line if Airflow's minor version is not the one that the pods are built for.

    Command lines, settings and probes are the same in all patch versions of a minor version.
    """
    minor = ".".join(installed.split(".")[:2])
    if minor != needs["airflow"]:
        yield (
            f"Airflow: the image has {installed}, and the Deployment is made for {needs['declared']}. "
            + needs["other_airflow"].format(installed=installed, minor=minor)
        )


def missing_packages(packages: Mapping[str, str], add: str) -> Iterator[str]:
    """Yield a line for each missing distribution. Of names separated by "|", one is enough."""
    for names, purpose in packages.items():
        choices = names.split("|")
        if not any(map(version, choices)):
            yield f"{choices[0]} is missing, which {purpose} needs. Add it to {add}."


def missing_providers(environment: Mapping[str, str], needs: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each setting that names a class of a provider that the image lacks."""
    reported = {name for names in needs["packages"] for name in names.split("|")}
    for setting, value in sorted(environment.items()):
        if not setting.startswith("AIRFLOW__"):
            continue
        for named in PROVIDER_CLASS.findall(value):
            distribution = distribution_of(named)
            if distribution in reported or version(distribution) or has_module(named):
                continue
            reported.add(distribution)
            yield (
                f"{setting} names {named}, which is not in the image. Add {distribution} to "
                f"{needs['add']}."
            )


def distribution_of(path: str) -> str:
    """Return the distribution of a provider's class."""
    first, second = [*path.split("."), ""][2:4]
    name = f"{first}-{second}" if first in TWO_PARTS else first
    return f"apache-airflow-providers-{name}".replace("_", "-")


def has_module(path: str) -> bool:
    """Return whether Python's path has a file for a class or module, without importing it."""
    module = Path(*path.split("."))
    candidates = [module.with_suffix(".py"), module, module.parent.with_suffix(".py")]
    return any((Path(folder) / one).exists() for folder in sys.path for one in candidates)


def nameless_user() -> Iterator[str]:
    """Yield a line if the pod's user has no name: Airflow's processes would end at once."""
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        yield (
            f"User: the pods run as user {os.getuid()}, which has no name in the image's /etc/passwd, and "
            'Airflow needs one. Set environment={"USER": "airflow"}, or add the user in the Dockerfile.'
        )


def unreadable_files(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a line if the pods' user cannot read files that Airflow reads."""
    home = Path(environment.get("AIRFLOW_HOME") or Path.home() / "airflow")
    folders = [home / name for name in FOLDERS]
    dags = environment.get("AIRFLOW__CORE__DAGS_FOLDER")
    if dags and Path(dags) not in folders:
        folders.append(Path(dags))
    names = [str(file) for folder in folders for file in unreadable_in(folder)]
    if names:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        yield (
            f"User: the pods run as user {os.getuid()} with group {os.getgid()}, which cannot read "
            f"{', '.join(names[:MOST_NAMES])}{more}. Add `RUN chmod -R a+rX {home}` to the Dockerfile, as "
            "its owner, or set that mode at the source of the copy."
        )


def unreadable_in(folder: Path) -> Iterator[Path]:
    """Yield the files and folders below `folder` that cannot be read."""
    if folder.exists() and not os.access(str(folder), os.R_OK | os.X_OK):
        yield folder
        return
    for root, directories, files in os.walk(str(folder)):
        for name in directories:
            if not os.access(f"{root}/{name}", os.R_OK | os.X_OK):
                yield Path(root, name)
        for name in files:
            path = f"{root}/{name}"
            # A dangling link is not a problem of permissions.
            if os.path.exists(path) and not os.access(path, os.R_OK):  # noqa: PTH110
                yield Path(path)


def lost_signals() -> Iterator[str]:
    """Yield a line if SIGTERM, with which Kubernetes ends a pod, would not reach the Celery process alone.

    A deploy would then interrupt running tasks. If the signal is lost, workers are killed at the end of their
    grace period. If it reaches the processes of the pool too, each task ends at once. The check sends a
    signal that every process ignores by default to the container's first process.
    """
    above = processes_above(os.getpid())
    if not above:
        return  # this process is the first one
    names = " > ".join(process_name(pid) for pid in reversed(above))
    try:
        received, child_received = try_signal(above[-1])
    except PermissionError:
        return  # of another user, whom only Kubernetes may signal
    if child_received:
        yield (
            f"Entry point: {names} forwards signals to all processes, so that the end of a pod "
            f"interrupts running tasks. Forward them to its child alone: `tini --` without -g, or `dumb-init "
            "--single-child --`."
        )
    elif not received and any(not minds_sigterm(pid) for pid in above):
        yield (
            f"Entry point: {names} does not forward SIGTERM, so that workers are killed with their running "
            'tasks. End the script of ENTRYPOINT with `exec "$@"`, and put `tini --` or `dumb-init '
            "--single-child --` before it."
        )


def processes_above(pid: int) -> list[int]:
    """Return the parents of a process, the nearest first, up to the container's first process."""
    found: list[int] = []
    while True:
        pid = int(status_field(pid, "PPid") or "0")
        if pid == 0:
            return found
        found.append(pid)


def status_field(pid: int, name: str) -> str | None:
    """Return a field of a process's status, or None if it cannot be read."""
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return value.strip()
    return None


def process_name(pid: int) -> str:
    """Return the name of a process."""
    return status_field(pid, "Name") or str(pid)


def minds_sigterm(pid: int) -> bool:
    """Return whether a process catches SIGTERM or waits for it with `sigwait`; True if that is unknown."""
    masks = [status_field(pid, name) for name in ("SigCgt", "SigBlk")]
    bit = 1 << (signal.SIGTERM - 1)
    return None in masks or any(int(mask or "0", 16) & bit for mask in masks)


def try_signal(first: int) -> tuple[bool, bool]:
    """Send SIGURG, which is ignored by default, to the first process.

    Returns:
        Whether this process received it, and whether a child of this process received it.
    """
    seen: list[int] = []
    before = signal.signal(signal.SIGURG, lambda *_: seen.append(1))
    try:
        with contextlib.closing(Child()) as child:
            os.kill(first, signal.SIGURG)
            deadline = time.monotonic() + SIGNAL_PATIENCE
            while not seen and time.monotonic() < deadline:
                time.sleep(0.01)
            return bool(seen), child.has_received()
    finally:
        signal.signal(signal.SIGURG, before)


class Child:
    """A process of the same group, as Celery's pool has them, that records whether it received SIGURG."""

    def __init__(self) -> None:
        """Start the process, and wait until its signal handler is installed."""
        self._reader, writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            signal.signal(signal.SIGURG, lambda *_: os.write(writer, b"x"))
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.write(writer, b"ready")
            while True:
                time.sleep(60)
        os.close(writer)
        os.read(self._reader, 5)
        os.set_blocking(self._reader, False)

    def has_received(self) -> bool:
        """Return whether the process received SIGURG."""
        time.sleep(0.05)  # both are signalled at the same time
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self._reader, 1))
        return False

    def close(self) -> None:
        """End the process."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._reader)
