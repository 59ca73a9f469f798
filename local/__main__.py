"""Entry point of `python -m local up|down|status|env`."""

import shlex
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local import platform
from local.choice import Choice
from local.daemons import Daemons
from local.errors import LocalError
from local.paths import Paths
from local.platform import Platform
from local.progress import Progress

app = typer.Typer(
    help="A Kubernetes, a Docker and a registry on this machine, from package registries alone.",
    no_args_is_help=True,
    add_completion=False,
)
console = Console(stderr=True, highlight=False)


@app.command()
def up(
    context: Annotated[
        str | None, typer.Option(help="Use this Kubernetes context; make no cluster.")
    ] = None,
    registry: Annotated[
        str | None, typer.Option(help="Push images here; needed with --context.")
    ] = None,
) -> None:
    """Bring the platform up; do only what is not done yet."""
    choice = Choice.make(context, registry)
    if estimate := platform.estimate(choice):
        console.print(estimate, soft_wrap=True)
    with Progress(console) as progress:
        up_platform = platform.up(progress, choice)
    console.print(f"Ready: context {up_platform.context}, registry {up_platform.registry}")
    console.print('Use it in this shell with: eval "$(python -m local env)"')


@app.command()
def down(
    *,
    stop: Annotated[
        bool, typer.Option("--stop", help="Only stop the daemons; pods run on until the next up.")
    ] = False,
) -> None:
    """Remove all that `up` made, with its data; caches stay."""
    with Progress(console) as progress:
        if stop:
            platform.stop(progress)
        else:
            platform.down(progress)


@app.command()
def status() -> None:
    """Show the platform and its daemons; exit with 1 if one of them does not run."""
    paths = Paths.from_environment()
    loaded = Platform.load(paths)
    table = Table.grid(padding=(0, 2))
    for name, value in vars(loaded).items():
        table.add_row(name, Text(str(value), overflow="fold"))
    daemons = Daemons(paths)
    stopped = (loaded.own_cluster or loaded.own_docker) and not daemons.names()
    if stopped:
        table.add_row("daemons", "stopped; `python -m local up` starts them")
    dead = int(stopped)
    for name in daemons.names():
        record = daemons.record(name)
        dead += record is None
        table.add_row(name, f"runs, pid {record.pid}" if record else "does not run")
    Console(highlight=False).print(table)
    if dead:
        raise typer.Exit(1)


@app.command()
def runtime(
    airflow: Annotated[str, typer.Argument(help="An Airflow version, for example 3.2.2.")],
    tag: Annotated[
        str | None, typer.Option(help="The image's tag; by default <Airflow minor>-1.")
    ] = None,
) -> None:
    """Build the runtime image of another Airflow version and print its name."""
    with Progress(console) as progress:
        image = platform.runtime(airflow, progress, tag)
    typer.echo(image)


@app.command()
def env() -> None:
    """Print export lines for the shell."""
    for name, value in Platform.load().environment().items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def main() -> None:
    """Run the command line. A `LocalError` is shown as a message, without a traceback."""
    try:
        app()
    except LocalError as error:
        console.print(f"[bold red]error:[/] {error.what}", soft_wrap=True)
        for text in (error.why, error.to_do):
            if text:
                console.print(text, markup=False, soft_wrap=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
