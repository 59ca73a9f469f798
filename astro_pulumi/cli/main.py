"""The `astro-pulumi` command, with its sub-commands in modules of their own.

Their imports happen when they run: `--help` must not wait for the SDK.
"""

import sys

import typer

from astro_pulumi.cli import deploy, history, lint, logs, open, rollback, status
from astro_pulumi.errors import AstroError

app = typer.Typer(
    name="astro-pulumi",
    help="Deploy Astro projects to any Kubernetes cluster, with Pulumi.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(lint.lint)
app.command()(deploy.deploy)
app.command()(history.history)
app.command()(rollback.rollback)
app.command()(status.status)
app.command()(logs.logs)
app.command("open")(open.open_ui)


def main() -> None:
    """Run the command line. An `AstroError` is shown as its message alone."""
    try:
        app()
    except AstroError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
