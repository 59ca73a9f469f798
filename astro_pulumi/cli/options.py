"""Options that several commands share, and what follows from them."""

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from astro_pulumi.errors import ArgumentError, EngineError

if TYPE_CHECKING:
    from rich.console import Console

    from astro_pulumi.embedded.operations import Stack
    from astro_pulumi.embedded.project import Project


class Engine(StrEnum):
    """What carries out an update."""

    EMBEDDED = "embedded"
    PULUMI = "pulumi"


Cwd = Annotated[
    Path,
    typer.Option("--cwd", "-C", help="Run as if started in this directory.", show_default="here"),
]
StackName = Annotated[
    str | None, typer.Option("--stack", "-s", help="The stack. Default: the selected one.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable output.")]
EngineChoice = Annotated[
    Engine | None,
    typer.Option("--engine", help="Default: the Pulumi CLI if it is on PATH, else embedded."),
]
ConfigValues = Annotated[
    list[str] | None,
    typer.Option("--config", "-c", help="key=value, saved in the stack's configuration file."),
]


# Lets a command take what it does not know: `pulumi_flags` looks at it.
TAKES_PULUMI_FLAGS: Final = {"allow_extra_args": True, "ignore_unknown_options": True}


def pulumi_flags(context: typer.Context, pulumi: bool) -> list[str]:
    """Arguments that are not the command's own, `--target` for instance: for the Pulumi CLI, and refused
    by name without it."""
    given = list(context.args)
    if given and not pulumi:
        raise ArgumentError(
            given[0].partition("=")[0],
            "the embedded engine does not offer this. If it is an option of the Pulumi CLI, install that "
            "(https://www.pulumi.com/docs/install/) and run this again: it takes over the stack as it is",
        )
    return given


def use_pulumi(engine: Engine | None, *, quiet: bool = False) -> bool:
    """Whether the Pulumi CLI does the work. Says which engine it is, unless `quiet`: where the output is
    a value that scripts read."""
    found = shutil.which("pulumi")
    if engine is Engine.PULUMI and not found:
        raise ArgumentError("--engine", "the Pulumi CLI is not on PATH")
    chosen = engine or (Engine.PULUMI if found else Engine.EMBEDDED)
    if not quiet and chosen is Engine.PULUMI:
        say(f"Engine: Pulumi CLI ({found})")
    elif not quiet:
        why = "" if engine else ": the Pulumi CLI is not on PATH"
        say(f"Engine: embedded{why}")
    return chosen is Engine.PULUMI


def make_pulumi_stack(cwd: Path, stack: str | None) -> None:
    """Makes the stack that `pulumi up` is to use if it is missing: `pulumi up` itself does not."""
    if stack:
        command = ["pulumi", "stack", "select", "--create", stack, "--cwd", str(cwd)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise EngineError(f"pulumi stack select --create {stack}: {done.stderr.strip()}")


def run_pulumi(command: str, cwd: Path, stack: str | None, *rest: str) -> NoReturn:
    """Becomes `pulumi <command>`."""
    arguments = ["pulumi", *command.split(), "--cwd", str(cwd), *rest]
    if stack:
        arguments += ["--stack", stack]
    sys.stderr.flush()
    os.execvp("pulumi", arguments)  # noqa: S606


def find_project(cwd: Path) -> "Project":
    """The project that `cwd` is in."""
    from astro_pulumi.embedded import project

    if not cwd.is_dir():
        raise ArgumentError("--cwd", f"{cwd} is not a directory")
    os.chdir(cwd)
    return project.find_project(Path.cwd())


def open_stack(project: "Project", name: str | None, *, create: bool = False) -> "Stack":
    """The stack that `--stack` names, or the selected one. `create` makes it if it is missing."""
    from astro_pulumi.embedded import operations
    from astro_pulumi.embedded.backend import open_backend
    from astro_pulumi.embedded.project import select_stack, selected_stack

    name = name.rsplit("/", 1)[-1] if name else selected_stack(project)
    backend = open_backend(project, os.environ)
    if not name:
        stacks = backend.stacks()
        if len(stacks) != 1:
            known = ", ".join(stacks) or "none yet"
            raise EngineError(f"no stack is selected (there: {known}): name one with --stack")
        name = stacks[0]
    if create and backend.read(name) is None:
        stack = operations.create_stack(project, name, os.environ, ask_secret())
        select_stack(project, name)
        say(f"Created stack '{name}'")
        return stack
    return operations.open_stack(project, name, os.environ, ask_secret())


def save_config(stack: "Stack", values: list[str] | None) -> None:
    """What `--config key=value` asks for."""
    from astro_pulumi.embedded.project import write_config

    for item in values or ():
        key, equals, value = item.partition("=")
        if not equals:
            raise ArgumentError("--config", f"{item!r} is not of the form key=value")
        write_config(stack.project, stack.name, key, value, None)


def is_terminal() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask_secret() -> Callable[[str], str] | None:
    """Asks for a passphrase without echo; None without a terminal."""
    return (lambda prompt: getpass.getpass(f"{prompt}: ")) if is_terminal() else None


def console() -> "Console":
    """For tables."""
    from rich.console import Console

    made = Console(highlight=False, soft_wrap=False)
    if not made.is_terminal:
        made.width = 160  # a log is not as narrow as the terminal that is not there
    return made


def say(text: str) -> None:
    """A remark: on standard error, so that standard output stays the result's."""
    sys.stderr.write(text + "\n")
