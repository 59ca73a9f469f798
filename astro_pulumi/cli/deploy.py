"""`astro-pulumi deploy`: as `astro deploy`, for a Deployment of a Pulumi program."""

import contextlib
import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astro_pulumi.cli import updates
from astro_pulumi.cli.deployments import (
    Deployed,
    Name,
    connect,
    in_stack,
    of_stack,
    stacks,
)
from astro_pulumi.cli.options import (
    Cwd,
    EngineChoice,
    Json,
    StackName,
    Yes,
    is_terminal,
    say,
    use_pulumi,
)
from astro_pulumi.errors import ArgumentError, AstroError

if TYPE_CHECKING:
    from astro_pulumi.cli.phases import Phases
    from astro_pulumi.embedded.project import Project
    from astro_pulumi.release.ledger import Release


def deploy(
    name: Name = None,
    description: Annotated[
        str | None,
        typer.Option("--description", "-m", help="What it is about; kept with the release."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Do not parse the DAGs first.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do.")] = False,
    cwd: Cwd = Path(),
    stack: StackName = None,
    yes: Yes = False,
    json: Json = False,
    engine: EngineChoice = None,
) -> None:
    """Deploy the project, and show what runs then. Ends a pin to an earlier release."""
    from astro_pulumi.cli.phases import Phases

    pulumi = use_pulumi(engine)
    project = updates.go_to_project(cwd)
    stack = _choose_stack(project, name, stack)
    pin = updates.pins(project, stack)
    settings = {"description": description, "skipDagParse": "true" if force else None}
    phases = Phases()
    try:
        with (
            updates.pinned_to(project, stack, None, phases),
            updates.for_this_update(project, stack, settings),
        ):
            if dry_run:
                updates.preview(project, stack, json=json, pulumi=pulumi)
            else:
                updates.up(project, stack, phases, yes=yes, json=json, pulumi=pulumi)
    finally:
        if pin is not None and dry_run:
            updates.set_config(project, stack, updates.ROLLBACK, pin)
    if dry_run:
        return
    if pin is not None:
        say(f"The stack is no longer pinned to release {pin}.")
    _show_live(project, stack, phases, json)


def _choose_stack(project: "Project", name: str | None, given: str | None) -> str:
    """The stack that `--stack` names; else the one whose Deployment is called `name`; else asks."""
    if given:
        return given
    known = stacks(project)
    if not known:
        raise ArgumentError("--stack", "there is no stack yet: name the one to make")
    here = {stack: in_stack(project, stack) for stack in known}
    matching = [
        stack
        for stack, found in here.items()
        if name is None or name == stack or name in {one.name for one in found}
    ]
    if len(matching) == 1:
        return matching[0]
    lines = [_described(stack, [one.name for one in here[stack]]) for stack in matching or known]
    if not matching and name:
        raise ArgumentError("name", f"no stack has a Deployment {name!r}. {'; '.join(lines)}")
    if not is_terminal():
        raise ArgumentError("--stack", f"which Deployment? Name its stack: {'; '.join(lines)}")
    for number, line in enumerate(_with_health(project, matching, lines), 1):
        typer.echo(f"{number}. {line}")
    answer: int = typer.prompt("Which Deployment", type=int)
    if not 1 <= answer <= len(matching):
        raise ArgumentError("--stack", f"there is no choice {answer}")
    return matching[answer - 1]


def _described(stack: str, deployments: list[str]) -> str:
    return f"{stack} ({', '.join(deployments) or 'nothing deployed yet'})"


def _with_health(project: "Project", stacks: list[str], lines: list[str]) -> list[str]:
    """The lines with Airflow version, release and health of those that can be found in the cluster."""
    from astro_pulumi.cli.status import read

    told = []
    for stack, line in zip(stacks, lines, strict=True):
        health = []
        with contextlib.suppress(AstroError):  # the choice can be made without
            health = [
                f"Airflow {one.airflow_version}, release {one.current}, "
                + ("healthy" if read(one).healthy else "not healthy")
                for one in of_stack(connect(None, stack), in_stack(project, stack))
            ]
        told.append(f"{line}: {'; '.join(health)}" if health else line)
    return told


def _show_live(project: "Project", stack: str, phases: "Phases", json: bool) -> None:
    """What runs now: URL, release, DAGs, and what still drains."""
    from astro_pulumi.cli.open import webserver_url
    from astro_pulumi.cli.status import read, when

    ours = in_stack(project, stack)
    for one in of_stack(connect(None, stack), ours) if ours else ():
        release = _current(one)
        status = read(one)
        dags = list(release.dags or ()) if release else []
        url = webserver_url(one)
        if json:
            typer.echo(
                json_format.dumps(
                    {
                        "name": one.name,
                        "url": url,
                        "release": one.current,
                        "dags": dags,
                        "draining": [pod.pod for pod in status.draining],
                        "phases": phases.seconds(),
                    }
                )
            )
            continue
        typer.echo(f"\n{one.name}: release {one.current}, Airflow {one.airflow_version}")
        if url:
            typer.echo(f"  {url}")
        for line in phases.lines():
            typer.echo(f"  {line}")
        if dags:
            typer.echo(f"  {len(dags)} DAGs: {', '.join(dags)}")
        workers = [pod for pod in status.draining if pod.component == "worker"]
        if workers:
            typer.echo(
                f"  {len(workers)} workers of before finish their tasks, until "
                f"{when(workers[-1].until)} at the latest"
            )


def _current(deployed: Deployed) -> "Release | None":
    return next((one for one in deployed.releases() if one.number == deployed.current), None)
