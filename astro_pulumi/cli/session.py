"""Runs one operation in front of a user: shows it, asks, handles Ctrl-C, sets the exit code."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import typer

from astro_pulumi.cli.display import Display, make_display
from astro_pulumi.cli.options import (
    Engine,
    find_project,
    is_terminal,
    open_stack,
    pulumi_flags,
    run_pulumi,
    use_pulumi,
)
from astro_pulumi.errors import EngineError

if TYPE_CHECKING:
    from astro_pulumi.embedded.events import Emit
    from astro_pulumi.embedded.operations import Control, Kind, Result
    from astro_pulumi.embedded.project import Project


class Runnable(Protocol):
    """A stack, whichever engine has it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def project(self) -> "Project":
        """What it is a stack of."""

    @property
    def control(self) -> "Control":
        """How Ctrl-C reaches what is under way."""


def require_consent(yes: bool, json: bool) -> None:
    """Refuses to change things when nobody can be asked and --yes was not given."""
    if not yes and (json or not is_terminal()):
        raise EngineError("--yes must be passed in to proceed when running in non-interactive mode")


def run_without_program(
    kind: Literal["destroy", "refresh"],
    context: typer.Context,
    cwd: Path,
    stack: str | None,
    yes: bool,
    json: bool,
    engine: Engine | None,
) -> None:
    """An operation that needs the stack's state only, on whichever engine is to be used."""
    pulumi = use_pulumi(engine)
    more = pulumi_flags(context, pulumi)
    if pulumi:
        run_pulumi(kind, cwd, stack, *(["--yes"] * yes), *(["--json"] * json), *more)
    require_consent(yes, json)
    opened = open_stack(find_project(cwd), stack)
    run(
        opened,
        kind,
        json,
        preview=None if yes else lambda emit: opened.preview(emit, of=kind),
        act={"destroy": opened.destroy, "refresh": opened.refresh}[kind],
    )


def run(
    stack: Runnable,
    kind: "Kind",
    json: bool,
    *,
    act: "Callable[[Emit], Result]",
    preview: "Callable[[Emit], Result] | None" = None,
) -> None:
    """Shows `preview` and asks, if there is one; then acts. Ends the process when it did not go well.

    Providers take relative paths (a build context, a kubeconfig) from the program's directory, as
    Pulumi's do, which are processes that run there.
    """
    os.chdir(stack.project.program[0])
    if preview:
        _show(stack, "preview", json, preview)
        if not typer.confirm(f"Do you want to perform this {kind} on stack '{stack.name}'?"):
            raise EngineError(f"{kind} was not confirmed: nothing was changed")
    _show(stack, kind, json, act)


def _show(stack: Runnable, kind: "Kind", json: bool, act: "Callable[[Emit], Result]") -> None:
    display = make_display(kind, stack.name, json)
    with display, _interruptible(stack.control, display):
        result = act(display.hear)
    display.summary(result)
    if not result.ok:
        sys.exit(1)


@contextmanager
def _interruptible(control: "Control", display: Display) -> Iterator[None]:
    """Ctrl-C once: stop cleanly. Twice: at once."""

    def stop() -> None:
        if control.interrupt() == 1:
            display.remark(
                "interrupted: cancelling what is under way; press Ctrl-C again to terminate at once"
            )
            return
        # What is under way stands in state as pending: the next run takes it up.
        display.__exit__(None, None, None)
        display.remark("interrupted again: terminating")
        os._exit(130)

    def handle(number: int, frame: object) -> None:
        del number, frame
        # In a thread of its own: the handler itself may run while this one holds any lock.
        threading.Thread(target=stop, daemon=True).start()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
