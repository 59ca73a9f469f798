"""Run the tests of the Astro project in the new image, before any workload changes.

The tests get the settings of the Deployment but none of its secrets: their output is shown to the user, and
they must not be able to change production data. An empty SQLite file takes the place of the metadata
database. The termination message is the end of pytest's output, which Kubernetes cuts at 4096 bytes.
"""

from __future__ import annotations

import collections
import importlib.util
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from astro_termination_message import (
    TERMINATION_BYTES,
    StoppedError,
    last_that_fit,
    leave_message,
    raise_when_stopped,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# Where the tests are mounted if the image does not have them.
ARCHIVE = Path("/run/astro-tests/tests.tar.gz")
# Settings that need PostgreSQL or Celery. Without them Airflow's defaults hold.
REMOVED = ("AIRFLOW__DATABASE__", "AIRFLOW__CELERY__", "AIRFLOW__CORE__EXECUTOR")
UNCHANGED = "no running workload was changed"
KEPT_LINES = 200
REASONS = {
    1: "Tests of the project have failed",
    2: "The tests of the project were interrupted, for example by a file that cannot be imported",
    5: "pytest has found no test in tests/",
}


def main() -> int:
    """Return 0 if all tests have passed; otherwise leave a message."""
    raise_when_stopped(
        lambda: (
            f"The tests took longer than timeouts.release_job allows, or the Job was deleted; {UNCHANGED}."
        )
    )
    leave_message(f"The Job that runs the tests of the project was killed; {UNCHANGED}.")
    try:
        message = run(Path(os.environ.get("AIRFLOW_HOME") or Path.cwd()))
    except StoppedError as error:
        message = str(error)
    if message:
        print(message.partition("\n")[0], file=sys.stderr, flush=True)
    leave_message(message)
    return 1 if message else 0


def run(home: Path, archive: Path = ARCHIVE) -> str:
    """Run pytest, and return the reason why the tests did not pass; empty if they did."""
    folder = unpack(archive, home) if archive.is_file() else home
    if not (folder / "tests").is_dir():
        return (
            f"The image has no directory {home}/tests; {UNCHANGED}. An image that is built elsewhere has to "
            "contain the tests: .dockerignore must not exclude them."
        )
    if importlib.util.find_spec("pytest") is None:
        return f"The image has no pytest; {UNCHANGED}. Add pytest to requirements.txt."
    command = [sys.executable, "-m", "pytest", "tests", "--color=no", "-p", "no:cacheprovider"]
    lines: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
    with subprocess.Popen(
        command,
        cwd=folder,
        env=isolated(os.environ, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line.rstrip())
    return explain(process.returncode, list(lines))


def unpack(archive: Path, home: Path) -> Path:
    """Return a directory like `home`, with the tests of the archive. `home` itself is read-only."""
    folder = Path(tempfile.mkdtemp())
    for entry in home.iterdir():
        if entry.name != "tests":
            (folder / entry.name).symlink_to(entry)
    with tarfile.open(archive) as tests:
        # The archive is ours, and `filter` is missing in the Python of some images.
        tests.extractall(folder)  # noqa: S202
    return folder


def isolated(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the environment variables of the tests."""
    kept = {name: value for name, value in environment.items() if not name.startswith(REMOVED)}
    path = [str(folder), *filter(None, [environment.get("PYTHONPATH")])]
    return {
        **kept,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tempfile.gettempdir()}/airflow.db",
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def explain(code: int, lines: list[str]) -> str:
    """Return the reason of an exit code with the last lines of the output; empty for 0."""
    if code == 0:
        return ""
    reason = REASONS.get(code, f"pytest has ended with exit code {code}")
    if code < 0:
        reason = f"pytest was killed ({signal.Signals(-code).name}), possibly because of its memory limit"
    head = f"{reason}; {UNCHANGED}. The end of the output:"
    return "\n".join([head, *last_that_fit(lines, TERMINATION_BYTES - len(head.encode()) - 1)])


if __name__ == "__main__":
    sys.exit(main())
