"""Run `pulumi` on one stack, as a user would."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import yaml

from local.errors import LocalError

# A preview before the update would repeat what the update shows anyway.
_NO_QUESTIONS: Final = dict.fromkeys(("up", "destroy", "refresh"), ("--yes", "--skip-preview"))


class StackError(LocalError):
    """`pulumi` failed; its own message says why."""


@dataclass(frozen=True)
class Stack:
    """One stack of the Pulumi project in `directory`."""

    directory: Path
    name: str
    # Where `pulumi`, cluster, Docker, backend and passphrase are.
    environment: Mapping[str, str] = field(default_factory=dict)

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

    def create(self) -> None:
        """Create the stack unless it exists, and select it for further `pulumi` commands."""
        done = self.capture(
            ["pulumi", "stack", "select", "--create", self.name, "--non-interactive"]
        )
        if done.returncode != 0:
            raise StackError(f"The stack {self.name} cannot be created.", why=done.stderr.strip())

    def up(self, log: IO[str] | None = None) -> None:
        """Deploy; progress and errors go to the terminal, or to `log`."""
        self.create()
        self._run("up", log)

    def destroy(self, log: IO[str] | None = None) -> None:
        """Remove everything that the stack made."""
        self._run("destroy", log)

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the last deploy, secrets in plain text; empty before the first."""
        done = self.capture(self.command("stack", "output", "--json", "--show-secrets"))
        if "no stack named" in done.stderr:
            return {}
        if done.returncode != 0:
            raise StackError(f"The outputs of stack {self.name} cannot be read.", why=done.stderr)
        outputs: dict[str, Any] = json.loads(done.stdout or "{}")
        return outputs

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `pulumi` for this stack."""
        return ["pulumi", *arguments, "--stack", self.name]

    def start(
        self,
        command: str,
        *options: str,
        stdout: int | IO[str] | None = subprocess.PIPE,
        stderr: int | IO[str] | None = subprocess.STDOUT,
    ) -> subprocess.Popen[str]:
        """Start `up`, `preview` or the like, with nobody there to answer a question."""
        return subprocess.Popen(
            self.command(command, *_NO_QUESTIONS.get(command, ()), *options),
            cwd=self.directory,
            env=self.full_environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )

    def capture(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command line on this stack to its end, with nobody there to answer a question."""
        return subprocess.run(
            command,
            cwd=self.directory,
            env=self.full_environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _run(self, command: str, log: IO[str] | None) -> None:
        code = self.start(command, stdout=log, stderr=log and subprocess.STDOUT).wait()
        if code != 0:
            raise StackError(
                f"`pulumi {command}` ended with exit code {code}.",
                why="Its own message is above." if log is None else "",
            )
