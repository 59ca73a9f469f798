"""`astro-pulumi rollback`."""

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from astro_pulumi.cli import pulumi_cli, pulumi_up
from astro_pulumi.cli.find_deployment import (
    NameOption,
    find,
    in_stack,
    require_releases,
    require_stack,
)
from astro_pulumi.cli.options import Cwd, Json, StackName, Yes, go_to, say
from astro_pulumi.stack_config import DESCRIPTION, with_value


def rollback(
    release: Annotated[
        str, typer.Argument(help="Number or image digest of a release, or `previous`.")
    ] = "previous",
    name: NameOption = None,
    description: Annotated[
        str | None,
        typer.Option("--description", "-m", help="Description to keep with the release."),
    ] = None,
    cwd: Cwd = Path(),
    stack: StackName = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Roll back a Deployment to an earlier release: its image and configuration, without a build.

    The stack is pinned to the release until the next `astro-pulumi deploy`. Neither the project nor Docker is
    needed.
    """
    from astro_pulumi.cli.phase_durations import Phases
    from astro_pulumi.release.find_release import ReleaseList, choose

    pulumi_up.require_confirmation(yes, json)
    pulumi_cli.command()
    go_to(cwd)
    project = pulumi_cli.find_project(Path.cwd())
    stack = require_stack(stack)
    deployed = find(name, None, None, stack)
    known = in_stack(stack)
    releases = require_releases(deployed)
    number = choose(ReleaseList.from_releases(releases), release)
    target = next(one for one in releases if one.number == number)
    say(
        f"Rolling back {deployed.name} (stack {stack}) from release {deployed.current} "
        f"(Airflow {deployed.airflow_version}) to release {number} (Airflow {target.airflow_version}, image "
        f"{target.digest.removeprefix('sha256:')[:12]})"
    )
    adopt = pulumi_up.prepare(project, stack, yes=yes)
    pin = with_value(
        pulumi_up.pin(project, stack), deployed.name, str(number), [one.name for one in known]
    )
    phases = Phases()
    with (
        pulumi_up.pinned_to(project, stack, pin, phases),
        pulumi_up.for_this_update(project, stack, {DESCRIPTION: description}),
    ):
        pulumi_up.up(stack, phases, yes=yes, json=json, adopt=adopt, flags=pulumi_up.WITHOUT_IMAGES)
    now = find(deployed.name, deployed.namespace, None, stack)
    if json:
        result = {"name": now.name, "release": now.current, "restores": number}
        typer.echo(json_format.dumps({**result, "phases": phases.seconds()}))
    for line in phases.lines():
        say(line)
    if now.current == deployed.current:
        say(f"Nothing changed: release {now.current} already has the content of release {number}.")
    else:
        say(f"Rolled back: release {now.current} has the content of release {number}.")
    say(
        f"The stack is pinned to release {number}. To deploy the project again: astro-pulumi deploy"
    )
