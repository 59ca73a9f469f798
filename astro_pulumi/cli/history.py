"""`astro-pulumi history`."""

import json as json_format
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from astro_pulumi.cli.find_deployment import Context, Name, Namespace, find, require_releases
from astro_pulumi.cli.options import Json, StackName, console, table

if TYPE_CHECKING:
    from astro_pulumi.release.release_records import Release


def history(
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    stack: StackName = None,
    json: Json = False,
) -> None:
    """List the releases of a Deployment."""
    deployed = find(name, namespace, context, stack)
    releases = require_releases(deployed)
    if json:
        listed = [{**as_json(one), "current": one.number == deployed.current} for one in releases]
        typer.echo(json_format.dumps(listed, indent=2))
        return
    show(releases, deployed.current)


def as_json(release: "Release") -> dict[str, Any]:
    """Return a release for `--json`, without empty fields."""
    return {key: value for key, value in asdict(release).items() if value not in (None, "", {})}


def show(releases: "list[Release]", current: int) -> None:
    """Print the table of releases."""
    # Only with DAG deploys: `dags` or `image`.
    kinds = any(release.deploy for release in releases)
    shown = table(
        *("Release", "Deployed", "Airflow", "Image"),
        *(("Deploy", "DAGs") if kinds else ()),
        *("Commit", "By", "What"),
    )
    for column in shown.columns[:-2]:
        column.no_wrap = True
    now = datetime.now(UTC)
    for release in releases:
        mark = " (current)" if release.number == current else ""
        shown.add_row(
            f"{release.number}{mark}",
            age(release.created, now),
            release.airflow_version,
            release.digest.removeprefix("sha256:")[:12],
            *((release.deploy or "", release.dag_version or "") if kinds else ()),
            commit(release),
            by(release),
            what(release),
            style="bold" if mark else None,
        )
    console().print(shown)


def commit(release: "Release") -> str:
    """Return the commit: `3f2a91c+ (main)`. The plus stands for uncommitted changes."""
    short = str(release.git.get("commit", ""))[:7]
    dirty = "+" if release.git.get("dirty") else ""
    branch = f" ({release.git['branch']})" if release.git.get("branch") else ""
    return f"{short}{dirty}{branch}" if short else ""


def by(release: "Release") -> str:
    """Return the user and the place of the deploy: `octocat, GitHub Actions`."""
    return ", ".join(filter(None, (release.by.get("who"), release.by.get("where"))))


def what(release: "Release") -> str:
    """Return the description of a release, or the release that it restored."""
    words = [release.description] if release.description else []
    if release.restores:
        words.append(f"rollback from {release.rolled_back_from} to {release.restores}")
    return "; ".join(words)


def age(created: str, now: datetime) -> str:
    """Return the age of a Kubernetes time stamp: `4m ago`."""
    try:
        seconds = (now - datetime.fromisoformat(created)).total_seconds()
    except ValueError:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit} ago"
    return f"{max(0, seconds):.0f}s ago"
