"""Runs one operation in front of a user: shows it, asks, handles Ctrl-C, sets the exit code."""

import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from astro_pulumi.cli.display import Display, make_display
from astro_pulumi.cli.options import is_terminal
from astro_pulumi.errors import EngineError

if TYPE_CHECKING:
    from astro_pulumi.embedded.events import Emit
    from astro_pulumi.embedded.operations import Control, Kind, Result, Stack


def require_consent(yes: bool, json: bool) -> None:
    """Refuses to change things when nobody can be asked and --yes was not given."""
    if not yes and (json or not is_terminal()):
        raise EngineError("--yes must be passed in to proceed when running in non-interactive mode")


def run(
    stack: "Stack",
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


def _show(stack: "Stack", kind: "Kind", json: bool, act: "Callable[[Emit], Result]") -> None:
    display = make_display(kind, stack.name, json)
    _on_interrupt(stack.control, display)
    with display:
        result = act(display.hear)
    display.summary(result)
    if not result.ok:
        sys.exit(1)


def _on_interrupt(control: "Control", display: Display) -> None:
    def handle(number: int, frame: object) -> None:
        del number, frame
        control.interrupt()
        if control.presses > 2:
            os._exit(130)  # what is under way is in state as pending: the next run takes it up
        display.remark(
            "interrupted: waiting for what is under way; press Ctrl-C again to give it up"
            if control.presses == 1
            else "interrupted again: giving up what is under way"
        )

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
