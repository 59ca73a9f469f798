"""Stand-ins as processes, started as the CLI starts them, and what remains of them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

ROOT = Path(__file__).parents[4]
# A process of its own in the place of the CLI: starts a stand-in and passes on its port and its number.
CLI = """
import subprocess, sys, time
plugin = subprocess.Popen([sys.executable, "-P", "-m", *sys.argv[1:]], stdout=subprocess.PIPE)
print(int(plugin.stdout.readline()), plugin.pid, flush=True)
time.sleep(1000)
"""


def start(module: str, engine: str, **environment: str) -> "subprocess.Popen[bytes]":
    """Start a stand-in in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", f"local.pulumi.{module}", engine],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
        env=_environment(environment),
    )


@contextmanager
def started_by_a_cli(
    module: str, engine: str
) -> Iterator[tuple["subprocess.Popen[bytes]", int, int]]:
    """Start a stand-in from another process; yield that process, the port, the stand-in's number."""
    cli = subprocess.Popen(
        [sys.executable, "-c", CLI, f"local.pulumi.{module}", engine],
        stdout=subprocess.PIPE,
        env=_environment({}),
    )
    try:
        port, number = map(int, output(cli).readline().split())
        yield cli, port, number
    finally:
        cli.kill()
        cli.wait()
        output(cli).close()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | dict(more)


def output(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    """Return the output of a process that was started with a pipe."""
    assert process.stdout
    return process.stdout


def eventually_gone(*numbers: int, seconds: float = 20) -> bool:
    """Wait until none of the processes runs; return whether that came true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(_runs(number) for number in numbers):
            return True
        time.sleep(0.05)
    return False


def _runs(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def written_number(file: Path, seconds: float = 30) -> int:
    """Wait for a process number that a program writes to a file."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if file.exists() and file.read_text().endswith("\n"):
            return int(file.read_text())
        time.sleep(0.05)
    raise AssertionError(f"no number in {file}")
