"""Downgrade the database to an older Airflow. Only the newer Airflow can do it.

Two Jobs share the work. The release Job, in the older image, finds an image that knows the database's
migrations and starts a second Job in it. The second Job checks that it can downgrade, stops the clients of
the database, and downgrades. Every step can be repeated: the next release Job continues from the state in
which a killed one left the database.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import astro_backup as backup
import astro_jobs as jobs
import astro_migrations as migrations
import astro_names
import astro_records as ledger
import astro_workloads as workloads
from astro_refusal import ReleaseRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_cluster import Cluster, Say
    from astro_migrations import Heads


def have_it_done(
    cluster: Cluster, deployment: str, job: str, records: list[dict[str, Any]], say: Say
) -> None:
    """In the older image: run the Job that downgrades, and wait for it."""
    own_job = cluster.request("GET", jobs.JOBS, job)
    heads = migrations.current_heads()
    running = [
        workloads.image(workload) for workload in workloads.find_workloads(cluster, deployment)
    ]
    found = ledger.newest_image(records, running, heads, workloads.image(own_job))
    if found is None:
        raise ReleaseRefusedError(
            f"The database is at {migrations.described(heads)}, which is newer than this image's Airflow, "
            "and no known release has an image that can downgrade it; nothing was changed. Deploy the "
            "newer version of Airflow again."
        )
    image, origin = found
    say(f"the database is newer than this image: downgrading it in {image} ({origin})")
    from airflow import __version__

    manifest = downgrade_job(deployment, own_job, image, migrations.image_heads(), __version__)
    jobs.run(
        cluster, manifest, f"The database has to be downgraded in {image} ({origin}), but the image"
    )


def downgrade_job(
    deployment: str, own_job: dict[str, Any], image: str, target_heads: Heads, target_version: str
) -> dict[str, Any]:
    """Build the release Job's manifest with another image, owned by the release Job."""
    pod = own_job["spec"]["template"]["spec"]
    container = dict(workloads.airflow_container(pod), image=image)
    replaced = (astro_names.DOWNGRADES_FOR, astro_names.HEADS, astro_names.TARGET_AIRFLOW)
    container["env"] = [
        *(variable for variable in container["env"] if variable["name"] not in replaced),
        {"name": astro_names.DOWNGRADES_FOR, "value": own_job["metadata"]["name"]},
        {"name": astro_names.HEADS, "value": json.dumps(target_heads)},
        {"name": astro_names.TARGET_AIRFLOW, "value": target_version},
    ]
    pod = dict(pod, containers=[container])
    made: dict[str, Any] = jobs.manifest(f"{deployment}-downgrade-", pod, own_job)
    return made


def carry_out(cluster: Cluster, deployment: str, target_heads: Heads, say: Say) -> None:
    """In the newer image: stop the clients of the database and downgrade."""
    import airflow.settings  # noqa: F401
    from airflow import __version__

    current, own = migrations.current_heads(), migrations.image_heads()
    steps = way_back(current, target_heads, own, migrations.knows, __version__)
    target_version = os.environ[astro_names.TARGET_AIRFLOW]
    refuse_what_airflow_cannot(__version__, target_version, migrations.waiting_triggers())
    say(f"database: {migrations.described(current)} -> {migrations.described(target_heads)}")
    try:
        workloads.stop_all(cluster, deployment, say)
        # A task that was still running may have been deferred.
        refuse_what_airflow_cannot(__version__, target_version, migrations.waiting_triggers())
        if claim := os.environ.get(astro_names.BACKUP_CLAIM):
            backup.dump(cluster, deployment, claim, say)
        if aside := migrations.put_moved_runs_aside():
            say(f"runs that an earlier downgrade to Airflow 2 moved are now in the table {aside}")
        for name, revision in steps:
            start = time.monotonic()
            downgrade(name, revision)
            say(f"downgraded {name} to {revision} {time.monotonic() - start:.2f} s")
    except BaseException:
        # Each migration is one transaction, so this image can continue after a failed one.
        if migrations.direction() == "migrate":
            migrations.run_airflow("db", "migrate")
        workloads.start_again(cluster, deployment, lambda _: True)
        raise


def way_back(
    current: Heads, target: Heads, own: Heads, knows: Callable[[str, str], bool], version: str
) -> list[tuple[str, str]]:
    """Return the downgrades in order: [("fab", revision), ("core", revision)].

    Raises:
        ReleaseRefusedError: This image cannot make them. The database was not changed.
    """
    unknown = [
        f"{name} {revision}"
        for heads in (current, target)
        for name, revision in heads.items()
        if revision and name in own and not knows(name, revision)
    ]
    if unknown:
        raise ReleaseRefusedError(
            f"The database cannot be downgraded: Airflow {version}, the newest known version, has "
            f"no migration {' and no '.join(unknown)}. Nothing was changed."
        )
    providers = [
        (name, revision)
        for name, revision in target.items()
        if name != migrations.CORE and current.get(name) and revision != current[name]
    ]
    core = target[migrations.CORE]
    return [*providers, *([(migrations.CORE, core)] if core != current[migrations.CORE] else [])]


def refuse_what_airflow_cannot(version: str, target: str, triggers: int) -> None:
    """Refuse downgrades that `airflow db downgrade` accepts and that break the older Airflow.

    Before 3.0.5, Airflow could not go back to Airflow 2 (apache/airflow pull request 54371). Airflow 3.2
    stores triggers, and the arguments of what they resume, in a form that older versions cannot read: their
    triggerer and scheduler end with an error (apache/airflow issue 68317).

    Args:
        version: The Airflow version of this image.
        target: The Airflow version to go back to.
        triggers: Number of triggers in the database.
    """
    own, to = ledger.version_key(version), ledger.version_key(target)
    if own[0] >= 3 > to[0] and own < (3, 0, 5):
        raise ReleaseRefusedError(
            f"Airflow {version} cannot downgrade its database to Airflow 2; 3.0.5 and later can. "
            "Nothing was changed. Deploy such a version first."
        )
    if triggers and own >= (3, 2) > to:
        raise ReleaseRefusedError(
            f"{triggers} deferred task{'s wait' if triggers > 1 else ' waits'} for a trigger that Airflow "
            f"{target} could not read. The database was not changed. Deploy again when "
            f"{'they are' if triggers > 1 else 'it is'} done."
        )


def downgrade(name: str, revision: str) -> None:
    """Downgrade the tables of Airflow, or of one of its providers, to a revision."""
    if name == migrations.CORE:
        migrations.run_airflow("db", "downgrade", "--to-revision", revision, "--yes")
        return
    from airflow.settings import Session

    with Session() as session:
        migrations.managers()[name](session).downgrade(to_revision=revision)
