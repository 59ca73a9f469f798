"""`astro-pulumi deploy`: the counterpart of `astro deploy` for a Deployment of a Pulumi program."""

import contextlib
import json as json_format
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astro_pulumi.cli import pulumi_cli, pulumi_up
from astro_pulumi.cli.deploy_flags import DatabaseKind, Flags, configuration
from astro_pulumi.cli.find_deployment import Deployed, Name, ask_which, connect, in_stack, of_stack
from astro_pulumi.cli.options import Cwd, Json, StackName, Yes, go_to, is_terminal, say
from astro_pulumi.errors import ArgumentError, AstroError, ClusterError
from astro_pulumi.stack_config import ROLLBACK_TO

if TYPE_CHECKING:
    from astro_pulumi.cli.phase_durations import Phases


def deploy(
    name: Name = None,
    description: Annotated[
        str | None,
        typer.Option("--description", "-m", help="Description to keep with the release."),
    ] = None,
    pytest: Annotated[
        bool,
        typer.Option(
            "--pytest", help="Run the project's tests in the new image before anything changes."
        ),
    ] = False,
    skip_dag_parse: Annotated[
        bool, typer.Option("--skip-dag-parse", help="Do not parse the DAGs in the new image.")
    ] = False,
    max_removed_dags: Annotated[
        int | None,
        typer.Option(
            "--max-removed-dags",
            min=0,
            metavar="N",
            help="Allow up to N DAGs of the last release to be gone. Default: all but one.",
        ),
    ] = None,
    confirm_database_change: Annotated[
        DatabaseKind | None,
        typer.Option(
            "--confirm-database-change",
            help="Allow changing to this kind of database. The history of runs stays in the old one.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Preview the changes without making them.")
    ] = False,
    cwd: Cwd = Path(),
    stack: StackName = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Build and deploy the project, then show the result.

    A rollback pins the stack to an earlier release. This command removes the pin.
    """
    from astro_pulumi.cli.phase_durations import Phases

    if not dry_run:
        pulumi_up.require_confirmation(yes, json)
    pulumi_cli.command()
    go_to(cwd)
    project = pulumi_cli.find_project(Path.cwd())
    stack = _choose_stack(name, stack)
    say(_announced(stack))
    adopt = not dry_run and pulumi_up.prepare(project, stack, yes=yes)
    pin = pulumi_up.pin(project, stack)
    flags = Flags(description, pytest, skip_dag_parse, max_removed_dags, confirm_database_change)
    settings = configuration(flags, stack, name, in_stack(stack), project.config(stack))
    phases = Phases()
    try:
        with (
            pulumi_up.pinned_to(project, stack, None, phases),
            pulumi_up.for_this_update(project, stack, settings),
        ):
            if dry_run:
                pulumi_up.preview(stack, json=json)
            else:
                pulumi_up.up(stack, phases, yes=yes, json=json, adopt=adopt)
    finally:
        if dry_run:
            pulumi_up.set_config(project, stack, {ROLLBACK_TO: pin})
    if dry_run:
        return
    if pin is not None:
        say(f"The stack is no longer pinned to release {pin}.")
    try:
        _show_live(stack, phases, json)
    except (
        ClusterError
    ) as error:  # the deploy itself succeeded; the program may use another cluster
        say(f"Cannot show the current state: {error}")


def _choose_stack(name: str | None, given: str | None) -> str:
    """Return the stack in `--stack`, the stack with a Deployment of this name, or the user's choice."""
    if given:
        return given
    known = [one.name for one in pulumi_cli.stacks()]
    if not known:
        raise ArgumentError("--stack", "the project has no stack: name the stack to create")
    here = {stack: [one.name for one in in_stack(stack)] for stack in known}
    matching = [stack for stack in known if name in (None, stack, *here[stack])]
    if len(matching) == 1:
        return matching[0]
    lines = [_described(stack, here[stack]) for stack in matching or known]
    if not matching and name:
        raise ArgumentError("name", f"no stack has a Deployment {name!r}. {'; '.join(lines)}")
    if not is_terminal():
        raise ArgumentError(
            "--stack", f"several Deployments match. Name a stack: {'; '.join(lines)}"
        )
    lives = (_live(stack, with_health=True) for stack in matching)
    with_state = (": ".join(filter(None, both)) for both in zip(lines, lives, strict=True))
    return matching[ask_which(with_state, "--stack")]


def _described(stack: str, deployments: Sequence[str]) -> str:
    return f"{stack} ({', '.join(deployments) or 'nothing deployed yet'})"


def _announced(stack: str) -> str:
    """Return a line with the stack to deploy and the state of its Deployments, as far as it is known."""
    known = [one.name for one in in_stack(stack)]
    what = f"{', '.join(known)} (stack {stack})" if known else f"stack {stack}"
    live = _live(stack)
    return f"Deploying {what}" + (f". Current: {live}" if live else "")


def _live(stack: str, *, with_health: bool = False) -> str:
    """Return Airflow version, release and health of a Deployment; empty if the cluster does not answer."""
    from astro_pulumi.cli.status import read

    found = []
    with contextlib.suppress(AstroError):  # only information: the deploy itself says what is wrong
        for one in _deployed(stack):
            healthy = ("healthy" if read(one).healthy else "not healthy") if with_health else ""
            text = f"Airflow {one.airflow_version}, release {one.current}"
            found.append(", ".join(filter(None, (text, healthy))))
    return "; ".join(found)


def _deployed(stack: str) -> list[Deployed]:
    ours = in_stack(stack)
    return of_stack(connect(None, stack), ours) if ours else []


def _show_live(stack: str, phases: "Phases", json: bool) -> None:
    """Print URL, release, DAGs and draining workers."""
    from astro_pulumi.cli.open import webserver_url
    from astro_pulumi.cli.status import dag_lines, read, when

    for one in _deployed(stack):
        release = one.release()
        status = read(one)
        dags = list(release.dags or ()) if release else []
        url = webserver_url(one)
        if json:
            result = {
                "name": one.name,
                "url": url,
                "release": one.current,
                "dags": dags,
                "deploy": release.deploy if release else None,
                "dag_version": release.dag_version if release else None,
                "draining": [pod.pod for pod in status.draining],
                "phases": phases.seconds(),
            }
            typer.echo(json_format.dumps(result))
            continue
        typer.echo(f"\n{one.name}: release {one.current}, Airflow {one.airflow_version}")
        if url:
            typer.echo(f"  {url}")
        for line in phases.lines():
            typer.echo(f"  {line}")
        if dags:
            typer.echo(f"  {len(dags)} DAGs: {', '.join(dags)}")
        for line in dag_lines(status):
            typer.echo(f"  {line}")
        workers = [pod for pod in status.draining if pod.component == "worker"]
        if workers:
            typer.echo(
                f"  {len(workers)} old workers are draining, until {when(workers[-1].until)} at the latest"
            )
