"""Archives and pointers of DAG deploys in the metadata database.

The tables are no part of Airflow's schema: its migrations neither see nor change them. A pointer names the
version that the processes with one key follow: another image, or other settings, have another key.
Every function takes a cursor of the DB-API. None commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import astro_dags
import astro_shared_names

if TYPE_CHECKING:
    from collections.abc import Iterable

_TABLES = (
    """CREATE TABLE IF NOT EXISTS astro_dag_archive (
        version varchar(64) PRIMARY KEY,
        digest varchar(64) NOT NULL UNIQUE,
        content bytea NOT NULL,
        url text,
        stored_at timestamptz NOT NULL DEFAULT now()
    )""",
    # Compressed already.
    "ALTER TABLE astro_dag_archive ALTER COLUMN content SET STORAGE EXTERNAL",
    """CREATE TABLE IF NOT EXISTS astro_dag_pointer (
        key varchar(64) PRIMARY KEY,
        version varchar(64) NOT NULL,
        moved_at timestamptz NOT NULL DEFAULT now()
    )""",
)


def make_tables(cursor: Any) -> None:
    """Make the tables unless they exist."""
    for statement in _TABLES if not has_tables(cursor) else ():
        cursor.execute(statement)


def has_tables(cursor: Any) -> bool:
    """Return whether this database has the tables."""
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", ("astro_dag_pointer",))
    return bool(cursor.fetchone()[0])


def store(cursor: Any, release: int, digest: str, content: bytes, url: str | None) -> str:
    """Store an archive and return its version: that of an equal archive, if there is one."""
    version = astro_dags.version_name(release, digest)
    cursor.execute(
        "INSERT INTO astro_dag_archive (version, digest, content, url) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (digest) DO NOTHING",
        (version, digest, content, url),
    )
    cursor.execute("SELECT version FROM astro_dag_archive WHERE digest = %s", (digest,))
    return str(cursor.fetchone()[0])


def read(cursor: Any, version: str) -> bytes | None:
    """Return an archive, or None if it is not stored."""
    cursor.execute("SELECT content FROM astro_dag_archive WHERE version = %s", (version,))
    row = cursor.fetchone()
    return None if row is None else bytes(row[0])


def url(cursor: Any, version: str) -> str | None:
    """Return the page of a version's commit."""
    cursor.execute("SELECT url FROM astro_dag_archive WHERE version = %s", (version,))
    row = cursor.fetchone()
    return None if row is None else row[0]


def pointer(cursor: Any, key: str) -> str | None:
    """Return the version that the processes with this key follow."""
    cursor.execute("SELECT version FROM astro_dag_pointer WHERE key = %s", (key,))
    row = cursor.fetchone()
    return None if row is None else str(row[0])


def move_pointer(cursor: Any, key: str, version: str | None) -> None:
    """Let the processes with this key follow another version, or none."""
    if version is None:
        cursor.execute("DELETE FROM astro_dag_pointer WHERE key = %s", (key,))
    else:
        cursor.execute(
            "INSERT INTO astro_dag_pointer (key, version) VALUES (%s, %s) "
            "ON CONFLICT (key) DO UPDATE SET version = excluded.version, moved_at = now()",
            (key, version),
        )


def prune(cursor: Any, versions: Iterable[str], keys: Iterable[str]) -> list[str]:
    """Delete what nothing needs any more, and return the deleted versions.

    Args:
        cursor: The cursor.
        versions: Versions of the kept releases. Versions of unfinished DAG runs are kept as well.
        keys: Keys of the workloads.
    """
    # Draining workers may ask for a pointer although no workload has its key any more.
    cursor.execute(
        "DELETE FROM astro_dag_pointer WHERE NOT key = ANY(%s) "
        "AND moved_at < now() - interval '7 days'",
        (list(keys),),
    )
    cursor.execute(
        "DELETE FROM astro_dag_archive WHERE NOT version = ANY(%s) "
        "AND version NOT IN (SELECT version FROM astro_dag_pointer) "
        "AND version NOT IN (SELECT bundle_version FROM dag_run "
        "WHERE state IN ('queued', 'running') AND bundle_version IS NOT NULL) RETURNING version",
        (list(versions),),
    )
    return [str(row[0]) for row in cursor.fetchall()]


def parsed_version(cursor: Any) -> str | None:
    """Return the version that the dag-processor has."""
    cursor.execute(
        "SELECT version FROM dag_bundle WHERE name = %s", (astro_shared_names.DAG_BUNDLE_NAME,)
    )
    row = cursor.fetchone()
    return None if row is None else row[0]


def parsed_dags(cursor: Any, version: str) -> set[str]:
    """Return the ids of the DAGs that the dag-processor has parsed in a version."""
    cursor.execute(
        "SELECT dag_id FROM dag WHERE bundle_name = %s AND bundle_version = %s AND NOT is_stale",
        (astro_shared_names.DAG_BUNDLE_NAME, version),
    )
    return {str(row[0]) for row in cursor.fetchall()}


def import_errors(cursor: Any) -> dict[str, str]:
    """Return the import errors of the dag-processor by file."""
    cursor.execute(
        "SELECT filename, stacktrace FROM import_error WHERE bundle_name = %s",
        (astro_shared_names.DAG_BUNDLE_NAME,),
    )
    return dict(cursor.fetchall())


def unfinished(cursor: Any, version: str | None) -> dict[str, int]:
    """Return the number of unfinished DAG runs that are on other versions, by version."""
    cursor.execute(
        "SELECT coalesce(bundle_version, ''), count(*) FROM dag_run "
        "WHERE state IN ('queued', 'running') AND bundle_version IS DISTINCT FROM %s GROUP BY 1",
        (version,),
    )
    return {str(name): int(count) for name, count in cursor.fetchall()}
