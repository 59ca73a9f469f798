"""`astro-pulumi refresh`."""

from pathlib import Path

import typer

from astro_pulumi.cli.options import Cwd, EngineChoice, Json, StackName, Yes


def refresh(
    context: typer.Context,
    cwd: Cwd = Path(),
    stack: StackName = None,
    yes: Yes = False,
    json: Json = False,
    engine: EngineChoice = None,
) -> None:
    """Take over into the stack's state what its resources really are."""
    from astro_pulumi.cli import session

    session.run_without_program("refresh", context, cwd, stack, yes, json, engine)
