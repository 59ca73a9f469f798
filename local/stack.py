"""Run `astro-pulumi` on one stack, as a user would."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from astro_pulumi.cli.options import Engine
from local.errors import LocalError


class StackError(LocalError):
    """`astro-pulumi` failed; it has said why itself."""


@dataclass(frozen=True)
class Stack:
    """One stack of the Pulumi project in `directory`."""

    directory: Path
    name: str
    # Where cluster, Docker, backend and passphrase are.
    environment: Mapping[str, str] = field(default_factory=dict)
    # None: the Pulumi CLI if it is on PATH, else the embedded one.
    engine: Engine | None = None

    @property
    def config_file(self) -> Path:
        """Where Pulumi keeps the stack's configuration."""
        return self.directory / f"Pulumi.{self.name}.yaml"

    @property
    def full_environment(self) -> dict[str, str]:
        """Our own environment variables with those of the stack."""
        return {**os.environ, **self.environment}

    def configure(self, values: Mapping[str, str | int]) -> None:
        """Set configuration values; the others stay."""
        file = self.config_file
        settings = (yaml.safe_load(file.read_text()) if file.exists() else None) or {}
        before = settings.get("config") or {}
        config = {**before, **values}
        if config != before:
            file.write_text(yaml.safe_dump({**settings, "config": config}))

    def forget_encryption(self) -> None:
        """Drop the salt of a passphrase that is gone, with the state that it was for."""
        if self.config_file.exists():
            lines = self.config_file.read_text().splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith("encryptionsalt:")]
            self.config_file.write_text("".join(kept))

    def up(self, log: IO[str] | None = None) -> None:
        """Deploy; progress and errors go to the terminal, or to `log`."""
        self._run("up", log)

    def destroy(self, log: IO[str] | None = None) -> None:
        """Remove everything that the stack made."""
        self._run("destroy", log)

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the last deploy, secrets in plain text; empty before the first."""
        done = subprocess.run(
            self.command("outputs", "--json", "--show-secrets"),
            cwd=self.directory,
            env=self.full_environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if "no stack named" in done.stderr:
            return {}
        if done.returncode != 0:
            raise StackError(f"The outputs of stack {self.name} cannot be read.", why=done.stderr)
        outputs: dict[str, Any] = json.loads(done.stdout or "{}")
        return outputs

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `astro-pulumi` for this stack."""
        program = Path(sys.executable).with_name("astro-pulumi")
        return [str(program), *arguments, "--stack", self.name]

    def start(
        self,
        command: str,
        *options: str,
        stdout: int | IO[str] | None = subprocess.PIPE,
        stderr: int | IO[str] | None = subprocess.STDOUT,
        own_group: bool = False,
    ) -> subprocess.Popen[str]:
        """Start `up`, `preview` or the like, with nobody there to answer a question.

        :param own_group: whether it gets a process group of its own, to be killed as a whole.
        """
        yes = [] if command == "preview" else ["--yes"]
        engine = ["--engine", self.engine.value] if self.engine else []
        return subprocess.Popen(
            self.command(command, *yes, *engine, *options),
            cwd=self.directory,
            env=self.full_environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=own_group,
        )

    def _run(self, command: str, log: IO[str] | None) -> None:
        code = self.start(command, stdout=log, stderr=log and subprocess.STDOUT).wait()
        if code != 0:
            raise StackError(
                f"`astro-pulumi {command}` ended with exit code {code}.",
                why="Its own message is above." if log is None else "",
            )
