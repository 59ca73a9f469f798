"""Migration heads of the database and of this image's Airflow, and the direction from one to the other.

Airflow's own tables and those of its providers (FAB's users and roles) each have a migration head. Heads
are a mapping here: `{"core": "d2f4e1b3c5a7", "fab": "02ca36b0235b"}`.
"""

from __future__ import annotations

import pkgutil
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Heads = dict[str, str | None]

CORE = "core"
MOVED_RUNS = "_airflow_moved__3_0_0__offending_dag_run"
FAB_MANAGER = "airflow.providers.fab.auth_manager.models.db.FABDBManager"


def direction() -> str:
    """Return the change that the database needs: "create", "migrate", "downgrade" or "none"."""
    current, wanted = current_heads(), image_heads()
    if current.get(CORE) is None:
        return "create"
    if any(not knows(name, head) for name, head in current.items() if head and name in wanted):
        return "downgrade"
    return "none" if all(current.get(name) == head for name, head in wanted.items()) else "migrate"


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


def image_heads() -> Heads:
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
