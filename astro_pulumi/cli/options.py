"""Options of several commands, and functions for them."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astro_pulumi.errors import ArgumentError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Cwd = Annotated[
    Path,
    typer.Option("--cwd", "-C", help="Run as if started in this directory.", show_default="here"),
]
StackName = Annotated[
    str | None,
    typer.Option("--stack", "-s", help="Name of the stack. Default: the selected stack."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Skip confirmation prompts.")]
Json = Annotated[bool, typer.Option("--json", help="Print the output as JSON.")]


def go_to(cwd: Path) -> None:
    """Change the working directory to `--cwd`, for `pulumi` too."""
    if not cwd.is_dir():
        raise ArgumentError("--cwd", f"{cwd} is not a directory")
    os.chdir(cwd)


def is_terminal() -> bool:
    """Return whether a user can answer questions."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def console() -> "Console":
    """Return a console for tables."""
    from rich.console import Console

    made = Console(highlight=False, soft_wrap=False)
    if not made.is_terminal:
        made.width = 160  # a log is not as narrow as the terminal that is not there
    return made


def table(*titles: str) -> "Table":
    """Return a table with a line below its titles. Long text is folded."""
    from rich import box
    from rich.table import Column, Table

    columns = (Column(title, overflow="fold") for title in titles)
    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)


def say(text: str) -> None:
    """Print a remark on standard error: standard output is for the result."""
    sys.stderr.write(text + "\n")
