"""Decide whether the database is migrated or downgraded to fit this image's Airflow, and downgrade it.

Airflow's own tables and those of its providers (FAB's users and roles) each have a migration head. Heads
are a mapping here: `{"core": "d2f4e1b3c5a7", "fab": "02ca36b0235b"}`.

Only the newer Airflow can downgrade, so two Jobs share the work. The release Job, in the older image, finds
an image that knows the database's migrations and starts a second Job in it. The second Job checks that it can
downgrade, stops the clients of the database, and downgrades. Every step can be repeated: the next release
Job continues from the state in which a killed one left the database.
"""

from __future__ import annotations

import json
import os
import pkgutil
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import astro_child_jobs as jobs
import astro_database_backup as backup
import astro_release_records
import astro_shared_names
import astro_stop_database_clients as workloads
from astro_termination_message import ReleaseRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from astro_kubernetes_client import Cluster, Say

    Heads = Mapping[str, str | None]

CORE = "core"
MOVED_RUNS = "_airflow_moved__3_0_0__offending_dag_run"
FAB_MANAGER = "airflow.providers.fab.auth_manager.models.db.FABDBManager"


def needed_change() -> str:
    """Return the change that the database needs: "create", "migrate", "downgrade" or "none"."""
    current, wanted = current_heads(), image_heads()
    if current.get(CORE) is None:
        return "create"
    if all(current.get(name) == head for name, head in wanted.items()):
        return "none"  # without `knows`, which reads all migrations once more
    if any(not knows(name, head) for name, head in current.items() if head and name in wanted):
        return "downgrade"
    return "migrate"


def current_heads() -> Heads:
    """Return the heads of the database, with None for tables that do not exist."""
    from airflow.settings import Session
    from airflow.utils import db

    with Session() as session:
        heads = {CORE: db._get_current_revision(session)}
        for name, manager in managers().items():
            heads[name] = manager(session).get_current_revision()
    return heads


def waiting_triggers() -> int:
    """Return the number of triggers, of deferred tasks and of watched assets."""
    from airflow.settings import Session
    from sqlalchemy import text

    with Session() as session:
        return int(session.execute(text('SELECT count(*) FROM "trigger"')).scalar() or 0)


def put_moved_runs_aside() -> str | None:
    """Rename the table of DAG runs that an earlier downgrade to Airflow 2 moved there.

    Airflow's migration creates that table without checking that it exists. It fails half-way, and the
    database cannot be migrated forward either.

    Returns:
        The new name of the table, or None if there is no such table.
    """
    from airflow.settings import Session
    from sqlalchemy import inspect, text

    with Session() as session:
        if not inspect(session.connection()).has_table(MOVED_RUNS):
            return None
        name = f"{MOVED_RUNS}_{datetime.now(timezone.utc):%Y%m%d%H%M%S}"  # noqa: UP017 Python 3.8 as well
        session.execute(text(f"ALTER TABLE {MOVED_RUNS} RENAME TO {name}"))
        session.commit()
    return name


def image_heads() -> dict[str, str]:
    """Return the heads of this image's Airflow."""
    return {name: scripts(name).get_current_head() for name in (CORE, *managers())}


def knows(name: str, revision: str) -> bool:
    """Return whether this image has the migration."""
    from alembic.util import CommandError

    try:
        scripts(name).get_revision(revision)
    except CommandError:
        return False
    return True


def scripts(name: str) -> Any:
    """Return Alembic's script directory of the tables with this name."""
    from airflow.utils import db

    return db._get_script_object() if name == CORE else managers()[name](None).get_script_object()


def managers() -> dict[str, Any]:
    """Return the manager classes of the providers' tables, by short name.

    Airflow's `RunDBManager` finds the same classes, but creates an auth manager for it, which costs 0.4 s.
    """
    from airflow.configuration import conf
    from airflow.providers_manager import ProvidersManager

    paths = {*getattr(ProvidersManager(), "db_managers", ())}
    configured = conf.get("database", "external_db_managers", fallback=None) or ""
    paths.update(filter(None, map(str.strip, configured.split(","))))
    # Airflow before 3.3 asks the auth manager; before 3.0 these tables are Airflow's own.
    if "fab" in (conf.get("core", "auth_manager", fallback="") or "") and has_managers():
        paths.add(FAB_MANAGER)
    found = [pkgutil.resolve_name(path) for path in sorted(paths)]
    return {short_name(manager): manager for manager in found}


def has_managers() -> bool:
    """Return whether this image's Airflow has managers of tables: since Airflow 3."""
    try:
        import airflow.utils.db_manager  # noqa: F401
    except ImportError:
        return False
    from airflow import __version__

    return int(__version__.split(".")[0]) >= 3


def short_name(manager: Any) -> str:
    """Return the short name of a manager's tables: "fab" for "alembic_version_fab"."""
    name = str(manager.version_table_name)
    return name[len("alembic_version_") :] if name.startswith("alembic_version_") else name


def described(heads: Heads) -> str:
    """Return heads in words."""
    return ", ".join(f"{name} {head}" for name, head in heads.items() if head)


def run_airflow(*arguments: str) -> None:
    """Run a command of Airflow's command line in this process."""
    from airflow.cli import cli_parser

    parsed = cli_parser.get_parser().parse_args(arguments)
    parsed.func(parsed)


def run_downgrade_job(
    cluster: Cluster, deployment: str, job: str, records: list[dict[str, Any]], say: Say
) -> None:
    """In the older image: run the Job that downgrades, and wait for it."""
    own_job = cluster.request("GET", jobs.JOBS, job)
    heads = current_heads()
    running = [
        workloads.image(workload) for workload in workloads.find_workloads(cluster, deployment)
    ]
    found = astro_release_records.newest_image(records, running, heads, workloads.image(own_job))
    if found is None:
        raise ReleaseRefusedError(
            f"The database is at {described(heads)}, which is newer than this image's Airflow, "
            "and no known release has an image that can downgrade it; nothing was changed. Deploy the "
            "newer version of Airflow again."
        )
    image, origin = found
    say(f"the database is newer than this image: downgrading it in {image} ({origin})")
    from airflow import __version__

    manifest = downgrade_job(deployment, own_job, image, image_heads(), __version__)
    jobs.run(
        cluster, manifest, f"The database has to be downgraded in {image} ({origin}), but the image"
    )


def downgrade_job(
    deployment: str,
    own_job: dict[str, Any],
    image: str,
    target_heads: Mapping[str, str],
    target_version: str,
) -> dict[str, Any]:
    """Build the release Job's manifest with another image, owned by the release Job."""
    pod = own_job["spec"]["template"]["spec"]
    container = dict(workloads.airflow_container(pod), image=image)
    values = {
        astro_shared_names.DOWNGRADES_FOR: own_job["metadata"]["name"],
        astro_shared_names.HEADS: json.dumps(target_heads),
        astro_shared_names.TARGET_AIRFLOW: target_version,
    }
    container["env"] = [
        *(variable for variable in container["env"] if variable["name"] not in values),
        *({"name": name, "value": value} for name, value in values.items()),
    ]
    pod = dict(pod, containers=[container])
    made: dict[str, Any] = jobs.manifest(f"{deployment}-downgrade-", pod, own_job)
    return made


def downgrade_database(
    cluster: Cluster, deployment: str, target_heads: Mapping[str, str], say: Say
) -> None:
    """In the newer image: stop the clients of the database and downgrade."""
    import airflow.settings  # noqa: F401
    from airflow import __version__

    current, own = current_heads(), image_heads()
    steps = downgrade_steps(current, target_heads, own, knows, __version__)
    target_version = os.environ[astro_shared_names.TARGET_AIRFLOW]
    refuse_unsafe_downgrade(__version__, target_version, waiting_triggers())
    say(f"database: {described(current)} -> {described(target_heads)}")
    try:
        workloads.stop_all(cluster, deployment, say)
        # A task that was still running may have been deferred.
        refuse_unsafe_downgrade(__version__, target_version, waiting_triggers())
        if claim := os.environ.get(astro_shared_names.BACKUP_CLAIM):
            backup.dump(cluster, deployment, claim, say)
        if aside := put_moved_runs_aside():
            say(f"runs that an earlier downgrade to Airflow 2 moved are now in the table {aside}")
        for name, revision in steps:
            start = time.monotonic()
            downgrade(name, revision)
            say(f"downgraded {name} to {revision} {time.monotonic() - start:.2f} s")
    except BaseException:
        # Each migration is one transaction, so this image can continue after a failed one.
        if needed_change() == "migrate":
            run_airflow("db", "migrate")
        workloads.start_again(cluster, deployment, lambda _: True)
        raise


def downgrade_steps(
    current: Heads,
    target: Mapping[str, str],
    own: Heads,
    knows: Callable[[str, str], bool],
    version: str,
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
        if name != CORE and current.get(name) and revision != current[name]
    ]
    core = target[CORE]
    return [*providers, *([(CORE, core)] if core != current[CORE] else [])]


def refuse_unsafe_downgrade(version: str, target: str, triggers: int) -> None:
    """Refuse downgrades that `airflow db downgrade` accepts and that break the older Airflow.

    Before 3.0.5, Airflow could not go back to Airflow 2 (apache/airflow pull request 54371). Airflow 3.2
    stores triggers, and the arguments of what they resume, in a form that older versions cannot read: their
    triggerer and scheduler end with an error (apache/airflow issue 68317).

    Args:
        version: The Airflow version of this image.
        target: The Airflow version to go back to.
        triggers: Number of triggers in the database.
    """
    own, to = astro_release_records.version_key(version), astro_release_records.version_key(target)
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
    if name == CORE:
        run_airflow("db", "downgrade", "--to-revision", revision, "--yes")
        return
    from airflow.settings import Session

    with Session() as session:
        managers()[name](session).downgrade(to_revision=revision)
