"""`astro-pulumi outputs`."""

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from astro_pulumi.cli.options import (
    Cwd,
    EngineChoice,
    Json,
    StackName,
    find_project,
    open_stack,
    run_pulumi,
    use_pulumi,
)
from astro_pulumi.errors import ArgumentError


def outputs(
    name: Annotated[str | None, typer.Argument(help="Only this output, without its name.")] = None,
    cwd: Cwd = Path(),
    stack: StackName = None,
    json: Json = False,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Show secret ones.")] = False,
    engine: EngineChoice = None,
) -> None:
    """Print what the program exported."""
    if use_pulumi(engine, quiet=True):
        flags = [*(["--json"] * json), *(["--show-secrets"] * show_secrets)]
        run_pulumi("stack output", cwd, stack, *([name] if name else []), *flags)
    from astro_pulumi.cli.display import as_json, outputs_lines
    from astro_pulumi.embedded.state import stack_outputs
    from astro_pulumi.embedded.values import reveal

    opened = open_stack(find_project(cwd), stack)
    values = stack_outputs(opened.snapshot())
    if show_secrets:
        values = reveal(values)
    if name is not None:
        if name not in values:
            raise ArgumentError("name", f"the stack has no output {name!r}: {', '.join(values)}")
        value = as_json(values[name])
        typer.echo(value if isinstance(value, str) and not json else json_format.dumps(value))
    elif json:
        typer.echo(json_format.dumps(as_json(values), indent=2))
    else:
        typer.echo("\n".join(outputs_lines(values)) or "The stack has no outputs.")
