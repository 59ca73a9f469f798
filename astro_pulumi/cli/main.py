"""The `astro-pulumi` command: a list of sub-commands, each in a module of its own.

Their modules are imported when they run: `--help` must not wait for the SDK.
"""

import os
import sys

import typer

from astro_pulumi.cli import (
    config,
    deploy,
    destroy,
    history,
    lint,
    logs,
    open,
    outputs,
    preview,
    refresh,
    rollback,
    status,
    up,
)
from astro_pulumi.cli.options import TAKES_PULUMI_FLAGS
from astro_pulumi.errors import AstroError

app = typer.Typer(
    name="astro-pulumi",
    help="Deploy Astro projects to any Kubernetes cluster, with Pulumi or its embedded engine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (up.up, preview.preview, refresh.refresh, destroy.destroy):
    app.command(context_settings=TAKES_PULUMI_FLAGS)(command)
app.command()(outputs.outputs)
app.command()(lint.lint)
app.command()(deploy.deploy)
app.command()(history.history)
app.command()(rollback.rollback)
app.command()(status.status)
app.command()(logs.logs)
app.command("open")(open.open_ui)
app.add_typer(config.app, name="config")


def main() -> None:
    """Entry point. Errors made on purpose are shown as their message alone."""
    # gRPC's own remarks ("Got goaway") are not for users, here and in the program that is run.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        app()
    except AstroError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
