"""`astro-pulumi destroy`."""

from pathlib import Path

import typer

from astro_pulumi.cli.options import Cwd, EngineChoice, Json, StackName, Yes


def destroy(
    context: typer.Context,
    cwd: Cwd = Path(),
    stack: StackName = None,
    yes: Yes = False,
    json: Json = False,
    engine: EngineChoice = None,
) -> None:
    """Delete all resources of the stack. The stack itself and its history stay."""
    from astro_pulumi.cli import session

    session.run_without_program("destroy", context, cwd, stack, yes, json, engine)
