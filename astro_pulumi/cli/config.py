"""`astro-pulumi config set|get|rm`."""

from pathlib import Path
from typing import Annotated

import typer

from astro_pulumi.cli.options import (
    Cwd,
    EngineChoice,
    StackName,
    ask_secret,
    find_project,
    open_stack,
    run_pulumi,
    use_pulumi,
)
from astro_pulumi.errors import ArgumentError

app = typer.Typer(help="Read and write the stack's configuration.", no_args_is_help=True)


@app.command("set")
def set_value(
    key: Annotated[str, typer.Argument(help="key, or namespace:key")],
    value: Annotated[
        str | None, typer.Argument(help="Default: asked for, or standard input.")
    ] = None,
    secret: Annotated[bool, typer.Option("--secret", help="Encrypt it.")] = False,
    cwd: Cwd = Path(),
    stack: StackName = None,
    engine: EngineChoice = None,
) -> None:
    """Set a value in Pulumi.<stack>.yaml."""
    if use_pulumi(engine, quiet=True):
        given = [] if value is None else [value]
        run_pulumi("config set", cwd, stack, *(["--secret"] * secret), key, *given)
    from astro_pulumi.embedded.project import write_config

    project = find_project(cwd)
    opened = open_stack(project, stack, create=True)
    if value is None:
        ask = ask_secret()
        value = ask("value") if ask else typer.get_text_stream("stdin").read().rstrip("\n")
    write_config(project, opened.name, key, value, opened.crypter if secret else None)


@app.command("get")
def get_value(
    key: str, cwd: Cwd = Path(), stack: StackName = None, engine: EngineChoice = None
) -> None:
    """Print a value, decrypted."""
    if use_pulumi(engine, quiet=True):
        run_pulumi("config get", cwd, stack, key)
    from astro_pulumi.embedded.project import full_key

    project = find_project(cwd)
    values = open_stack(project, stack).config().values
    if full_key(project, key) not in values:
        raise ArgumentError("key", f"configuration key '{full_key(project, key)}' is not set")
    typer.echo(values[full_key(project, key)])


@app.command("rm")
def remove_value(
    key: str, cwd: Cwd = Path(), stack: StackName = None, engine: EngineChoice = None
) -> None:
    """Remove a value from Pulumi.<stack>.yaml."""
    if use_pulumi(engine, quiet=True):
        run_pulumi("config rm", cwd, stack, key)
    from astro_pulumi.embedded.project import write_config

    project = find_project(cwd)
    write_config(project, open_stack(project, stack).name, key, None, None)
