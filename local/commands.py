"""Run other programs: their output goes to a log and to the progress, never to the terminal."""

import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local.errors import CommandError

TAIL_LINES = 25

_running: set[subprocess.Popen[str]] = set()


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a command to its end and return its output; raise with its last lines when it fails.

    `what` completes the sentence "Could not ...". Standard error is part of the output, so this is
    for commands whose output is read by people; `capture` is for those whose output is data.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    lines: list[str] = []
    with subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=cwd,
        env=env,
    ) as process:
        assert process.stdin is not None  # noqa: S101 - Popen was given a pipe
        assert process.stdout is not None  # noqa: S101 - Popen was given a pipe
        _running.add(process)
        try:
            process.stdin.write(stdin)
            process.stdin.close()
            for line in process.stdout:
                lines.append(line)
                tail.append(line.rstrip())
                if on_line and line.strip():
                    on_line(line)
        finally:
            _running.discard(process)
    if process.returncode != 0:
        raise CommandError(
            f"Could not {what}: {Path(command[0]).name} exited with {process.returncode}.",
            why="\n".join(tail),
        )
    return "".join(lines)


def stop_all() -> None:
    """End the commands that `run` is running in other threads, since nobody wants them any more."""
    for process in tuple(_running):
        process.terminate()


def capture(command: Sequence[str | Path], *, what: str, stdin: str | None = None) -> str:
    """Run a short command and return its standard output alone."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise CommandError(
            f"Could not {what}: {Path(command[0]).name} exited with {done.returncode}.",
            why="\n".join((done.stderr or done.stdout).splitlines()[-TAIL_LINES:]),
        )
    return done.stdout
