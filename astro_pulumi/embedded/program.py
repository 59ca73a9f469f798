"""Runs a Pulumi program as Pulumi's Python language host does: in its own process, with the project's
interpreter, connected to the engine by gRPC."""

import importlib
import json
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

from astro_pulumi.embedded.events import Emit, Printed
from astro_pulumi.embedded.project import Config, Project
from astro_pulumi.errors import EngineError

# Pulumi's exit code of a program that has told the user what is wrong.
SAID_SO = 32
_SERVER = "astro_pulumi.embedded.server"
_HOST = Path(__file__).with_name("program_host.py")


class Program:
    """A program being run."""

    def __init__(self, project: Project) -> None:
        """Starts the interpreter, which loads the SDK at once; the program itself starts with `go`.
        Meanwhile this process loads gRPC, which takes as long."""
        threading.Thread(target=importlib.import_module, args=(_SERVER,), daemon=True).start()
        self._project = project
        try:
            self._process = subprocess.Popen(
                [interpreter(project), "-u", str(_HOST)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=project.root,
                text=True,
                # Ctrl-C is the engine's to handle: what is under way must be finished.
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(f"the program's interpreter cannot be run: {error}") from error
        self._readers: list[threading.Thread] = []

    def go(self, address: str, stack: str, preview: bool, config: Config, emit: Emit) -> None:
        """Lets the program run, with the engine at `address`."""
        directory, entry = self._project.program
        settings = {
            "monitor": address,
            "engine": address,
            "project": self._project.name,
            "stack": stack,
            "organization": "organization",
            "root_directory": str(self._project.root),
            "directory": str(directory),
            "program": entry,
            "parallel": 32,
            "dry_run": preview,
            "config": dict(config.values),
            "secret_keys": sorted(config.secret_keys),
        }
        self._readers = [
            forward(self._process.stdout, "stdout", emit),
            forward(self._process.stderr, "stderr", emit),
        ]
        stdin = self._process.stdin
        with suppress(BrokenPipeError):  # it ended already: its exit code says why
            if stdin:
                stdin.write(json.dumps(settings))
                stdin.close()

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end. -> exit code."""
        code = self._process.wait(timeout)
        for reader in self._readers:
            reader.join(5)
        return code

    def stop(self) -> None:
        """Ends it at once, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def forward(
    stream: IO[str] | None, name: Literal["stdout", "stderr"], emit: Emit
) -> threading.Thread:
    """Passes on what a process writes, line by line."""

    def read() -> None:
        for line in stream or ():
            emit(Printed(line.rstrip("\n"), name))

    thread = threading.Thread(target=read, name=f"program-{name}", daemon=True)
    thread.start()
    return thread


def interpreter(project: Project, fallback: str | None = None) -> str:
    """The Python that the project's runtime options name, else the one that runs this. `fallback` is
    used where that environment was not made."""
    options = project.runtime_options
    virtualenv = options.get("virtualenv")
    if not virtualenv and options.get("toolchain") in ("uv", "poetry"):
        virtualenv, fallback = ".venv", fallback or sys.executable
    if not virtualenv:
        return sys.executable
    python = project.root / str(virtualenv) / "bin" / "python"
    if not python.exists():
        if fallback:
            return fallback
        raise EngineError(
            f"{project.file}: virtualenv {virtualenv}: {python} does not exist. Make it with "
            f"`python -m venv {virtualenv}` and install the program's requirements into it."
        )
    return str(python)
