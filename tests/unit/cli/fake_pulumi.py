"""A `pulumi` for tests: an executable that does what a directory says, and notes what it was asked.

`FAKE_PULUMI` names the directory. `calls` there has a line of JSON for each call. A file that is named for
a command (`up`, `stack-export`) is that command: Python, run with the arguments in `argv`.
"""

import json
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.cli import pulumi_cli

_PROGRAM = """#!{python}
import json, os, sys
from pathlib import Path

home = Path(os.environ["FAKE_PULUMI"])
argv = [word for word in sys.argv[1:] if word != "--non-interactive"]
with (home / "calls").open("a") as calls:
    calls.write(json.dumps(argv) + "\\n")
for words in (argv[:2], argv[:1]):
    command = home / "-".join(words)
    if command.is_file():
        exec(command.read_text())
        sys.exit(0)
sys.exit(f"error: unknown command {{argv}}")
"""


class FakePulumi:
    """The executable on PATH, in a project with one stack, `dev`."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self.home = directory / "fake-pulumi"
        self.project = directory / "project"
        self.backend = directory / "backend"
        for made in (self.home / "bin", self.project, self.backend):
            made.mkdir(parents=True)
        program = self.home / "bin" / "pulumi"
        program.write_text(_PROGRAM.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        (self.project / "Pulumi.yaml").write_text("name: demo\nruntime: python\n")
        patch.setenv("PATH", f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("FAKE_PULUMI", str(self.home))
        patch.setenv("PULUMI_BACKEND_URL", f"file://{self.backend}")
        patch.chdir(self.project)
        pulumi_cli.command.cache_clear()
        self.version("v3.274.1")
        self.stacks("dev")
        self.state()
        self.answer("cancel", "")
        self.answer("refresh", "")
        self.answer("stack-import", "")
        self.answer("stack-init", "")

    def answer(self, command: str, code: str) -> None:
        """Say what a command does: Python."""
        (self.home / command).write_text(code)

    def version(self, text: str) -> None:
        """Say which version it is."""
        self.answer("version", f"print({text!r})")

    def stacks(self, *names: str, selected: str | None = None) -> None:
        """Say which stacks there are."""
        listed = [{"name": name, "current": name == selected} for name in names]
        self.answer("stack-ls", f"print({json.dumps(listed)!r})")

    def state(self, *resources: Mapping[str, Any], pending: Any = ()) -> None:
        """Say what the state of every stack is."""
        deployment = {"resources": list(resources), "pending_operations": list(pending)}
        text = json.dumps({"version": 3, "deployment": deployment})
        write = 'Path(argv[argv.index("--file") + 1]).write_text(text)'
        self.answer(
            "stack-export", f'text = {text!r}\n{write} if "--file" in argv else print(text)'
        )

    def fails(self, command: str, message: str) -> None:
        """Let a command fail."""
        self.answer(command, f"sys.exit({'error: ' + message!r})")

    @property
    def calls(self) -> list[list[str]]:
        """The commands so far, but for those that only ask."""
        file = self.home / "calls"
        calls = (
            [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        )
        return [call for call in calls if call[0] != "version" and call[:2] != ["stack", "ls"]]

    @property
    def changes(self) -> list[list[str]]:
        """The commands so far that change something."""
        asks = [["stack", "export"], ["stack", "ls"]]
        return [call for call in self.calls if call[:2] not in asks]
