"""The Pulumi CLI: its version, its projects and stacks, and their state.

No function needs a passphrase: secrets in states stay encrypted.
"""

import functools
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from astro_pulumi.errors import PulumiError

if TYPE_CHECKING:
    from pulumi.automation import LocalWorkspace, PulumiCommand, StackSummary

INSTALL: Final = "https://www.pulumi.com/docs/install/"
DEPLOYMENT: Final = "astro:index:Deployment"
_BROKEN_STATE: Final = (
    "failed to load checkpoint",
    "unexpected end of JSON input",
    "invalid character",
)
_NO_STACK: Final = "no stack named"
_NO_LOGIN: Final = ("PULUMI_ACCESS_TOKEN must be set for login", "pulumi login")


@dataclass(frozen=True, slots=True)
class Project:
    """A Pulumi project on disk."""

    file: Path
    settings: Mapping[str, Any]

    def stack_file(self, stack: str) -> Path:
        """Return the path of the stack's configuration."""
        directory = self.file.parent / str(self.settings.get("stackConfigDir") or "")
        return directory / f"Pulumi.{short(stack)}.yaml"

    def config(self, stack: str) -> dict[str, Any]:
        """Return the stack's configuration from its file, with encrypted secrets."""
        return dict(_read_yaml(self.stack_file(stack)).get("config") or {})


@dataclass(frozen=True, slots=True)
class State:
    """The resources of a stack."""

    resources: Sequence[Mapping[str, Any]]
    pending: Sequence[Mapping[str, Any]]  # operations that were begun and not ended


def find_project(directory: Path) -> Project:
    """Return the project of a directory: that of the nearest `Pulumi.yaml` upwards.

    Raises:
        PulumiError: There is no such file.
    """
    directory = directory.resolve()
    for candidate in (directory, *directory.parents):
        for file in (candidate / "Pulumi.yaml", candidate / "Pulumi.yml"):
            if file.is_file():
                settings = _read_yaml(file)
                if not settings.get("name"):
                    raise PulumiError(f"{file}: 'name' is missing")
                return Project(file, settings)
    raise PulumiError(
        f"no Pulumi.yaml in {directory} or above it: run this in the Pulumi project that deploys, or name "
        "its directory with --cwd"
    )


def short(stack: str) -> str:
    """Return the name of a stack without organization and project."""
    return stack.rsplit("/", 1)[-1]


def is_installed() -> bool:
    """Return whether `pulumi` is on PATH."""
    return shutil.which("pulumi") is not None


@functools.cache
def command() -> "PulumiCommand":
    """Return the Pulumi CLI on PATH.

    Raises:
        PulumiError: There is no CLI, or it is too old.
    """
    if not is_installed():
        raise PulumiError(f"the Pulumi CLI is not on PATH: install it from {INSTALL}")
    from pulumi.automation import PulumiCommand

    from astro_pulumi.pulumi_version import OLDEST

    try:
        found = PulumiCommand(skip_version_check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PulumiError(
            f"`pulumi version` fails: {error}. Install Pulumi from {INSTALL}"
        ) from error
    # A CLI without a version is a user's own build, and is accepted.
    if found.version and found.version < OLDEST:
        raise PulumiError(
            f"Pulumi {found.version} is too old: version {OLDEST} or later is required. "
            f"Upgrade it: {INSTALL}"
        )
    return found


def capture(*arguments: str) -> str:
    """Run `pulumi` without interaction, and return its output.

    Raises:
        PulumiError: It failed; with its own message.
    """
    from pulumi.automation.errors import CommandError

    try:
        return command().run(list(arguments), str(Path.cwd()), {}).stdout
    except CommandError as error:
        raise _explained(error) from error


def run(*arguments: str) -> None:
    """Run `pulumi` in front of the user, who may have to answer questions.

    Without a terminal, its output goes to standard error: standard output is for the result.

    Raises:
        PulumiError: It failed, and has printed the reason.
    """
    stdout = None if sys.stdout.isatty() else sys.__stderr__
    line = [command().command, *arguments]
    code = subprocess.run(line, check=False, stdout=stdout).returncode
    if code != 0:
        raise PulumiError(
            f"`pulumi {' '.join(arguments[:2])}` ended with exit code {code}: see above"
        )


def stacks() -> "list[StackSummary]":
    """Return every stack of the project here."""
    from pulumi.automation.errors import CommandError

    try:
        return _workspace().list_stacks()
    except CommandError as error:
        raise _explained(error) from error


def set_config(stack: str, values: Mapping[str, str | None]) -> None:
    """Set values in the stack's configuration. None removes a value."""
    from pulumi.automation import ConfigValue
    from pulumi.automation.errors import CommandError

    given = {key: ConfigValue(value) for key, value in values.items() if value is not None}
    removed = [key for key, value in values.items() if value is None]
    workspace = _workspace()
    try:
        if given:
            workspace.set_all_config(stack, given)
        if removed:
            workspace.remove_all_config(stack, removed)
    except CommandError as error:
        raise _explained(error) from error


def read_state(stack: str) -> State | None:
    """Return the state of the stack; None if there is no such stack.

    Raises:
        PulumiError: The state cannot be read.
    """
    try:
        exported = json.loads(capture("stack", "export", "--stack", stack))
    except PulumiError as error:
        if _NO_STACK in str(error):
            return None
        raise
    deployment = exported.get("deployment") or {}
    return State(deployment.get("resources") or (), deployment.get("pending_operations") or ())


def local_backend() -> Path | None:
    """Return the directory of a `file://` backend; None for other backends."""
    url = os.environ.get("PULUMI_BACKEND_URL") or str(
        json.loads(capture("whoami", "--json"))["url"]
    )
    scheme, found, directory = url.partition("://")
    if not found or scheme != "file":
        return None
    return Path(unquote(directory.partition("?")[0])).expanduser().absolute() / ".pulumi"


def _workspace() -> "LocalWorkspace":
    from pulumi.automation import LocalWorkspace

    return LocalWorkspace(work_dir=str(Path.cwd()), pulumi_command=command())


def _explained(error: Exception) -> PulumiError:
    """Return the CLI's own message in an error of the Automation API."""
    text = str(error).partition("stderr:")[2].strip() or str(error).strip()
    if any(words in text for words in _NO_LOGIN):
        return PulumiError(
            "Pulumi is not logged in to a backend, where it keeps the states of stacks: run `pulumi login`, "
            "or set PULUMI_BACKEND_URL"
        )
    message = "pulumi: " + text.removeprefix("error: ")
    is_about_state = any(words in text for words in _BROKEN_STATE)
    return PulumiError("\n".join([message, *(_ways_back() if is_about_state else [])]))


def _ways_back() -> list[str]:
    """Return instructions to restore half-written states of this project; empty for other backends."""
    directory = local_backend()
    if directory is None:
        return []
    lines = []
    stacks = directory / "stacks" / str(find_project(Path.cwd()).settings["name"])
    for file in sorted(stacks.glob("*.json")):
        if not _is_json(file):
            copy = file.with_name(f"{file.name}.bak")
            lines += [
                f"The state of stack {file.stem} is damaged. To return to the one before it:",
                f"  cp {shlex.quote(str(copy))} {shlex.quote(str(file))}",
            ]
    for file in sorted(stacks.glob("*.json*.attrs")):
        if not _is_json(file):
            lines += [
                "A file with attributes of a state is damaged. Pulumi does not need it. To remove it:",
                f"  rm {shlex.quote(str(file))}",
            ]
    return lines


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text())
    except ValueError:
        return False
    return True


def _read_yaml(file: Path) -> dict[str, Any]:
    """Return a YAML mapping; empty if the file does not exist."""
    import yaml

    try:
        data = yaml.safe_load(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError) as error:
        raise PulumiError(f"{file}: {error}") from error
    if data is not None and not isinstance(data, dict):
        raise PulumiError(f"{file}: expected a mapping")
    return data or {}
