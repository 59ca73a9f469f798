"""Run programs. Their output goes to the progress and into errors, never to the terminal."""

import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local import cancellation
from local.errors import CommandError

TAIL_LINES = 25


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Run a command to its end.

    Standard error counts as output, so use this for commands whose output is read by people, and `capture`
    for those whose output is data.

    Args:
        command: The command with its arguments.
        what: Completes the sentence "Could not ...".
        cwd: Working directory.
        env: Environment variables. Default: those of this process.
        stdin: Standard input.
        on_line: Called with each line of the output.

    Raises:
        CommandError: The command failed; with its last lines.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with (
        subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=cwd,
            env=env,
        ) as process,
        cancellation.cancellable(process),
    ):
        assert process.stdin is not None  # noqa: S101 - Popen was given a pipe
        assert process.stdout is not None  # noqa: S101 - Popen was given a pipe
        process.stdin.write(stdin)
        process.stdin.close()
        for line in process.stdout:
            tail.append(line.rstrip())
            if on_line and line.strip():
                on_line(line)
    _judge(command, process.returncode, what, "\n".join(tail))


def capture(command: Sequence[str | Path], *, what: str, stdin: str | None = None) -> str:
    """Run a command, and return its standard output alone."""
    with (
        subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process,
        cancellation.cancellable(process),
    ):
        output, errors = process.communicate(stdin)
    _judge(command, process.returncode, what, errors or output)
    return output


def _judge(command: Sequence[str | Path], code: int, what: str, output: str) -> None:
    cancellation.check()
    if code != 0:
        raise CommandError(
            f"Could not {what}: {Path(command[0]).name} exited with {code}.",
            why="\n".join(output.splitlines()[-TAIL_LINES:]),
        )
