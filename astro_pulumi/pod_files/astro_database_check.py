"""Check the database before any change, and explain why a Deployment cannot use it.

Only the driver is used: Airflow reports the same problems with a traceback, or not at all. Every problem is
one line with its remedy.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from astro_database_connection import connect
from astro_termination_message import ReleaseRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

POOL_SIZE = 5  # Airflow's default
# Names of Airflow's tables that other applications use too.
COMMON_TABLES = ("connection", "dag", "job", "log", "variable")
AIRFLOW_TABLES = (*COMMON_TABLES, "dag_run", "task_instance", "ab_user")
# A table of every version since Airflow 3.0, and of none before.
AIRFLOW_3_TABLE = "dag_version"
# Queries of the values that Airflow encrypts, by kind. The values are never printed.
ENCRYPTED = {
    "Connections": (
        "SELECT password FROM {connection} WHERE is_encrypted AND password <> ''",
        "SELECT extra FROM {connection} WHERE is_extra_encrypted AND extra <> ''",
    ),
    "Variables": ("SELECT val FROM {variable} WHERE is_encrypted AND val <> ''",),
}
MOST_VALUES = 1000


@dataclass
class Database:
    """The state of a database."""

    version: str = ""  # as the server writes it: "PostgreSQL 15.18 (Debian ..."
    version_number: int = 0  # 150018
    name: str = ""
    user: str = ""
    encoding: str = "UTF8"
    is_replica: bool = False
    is_read_only: bool = False
    schema: str | None = (
        "public"  # where unqualified names are made; None if there is no such schema
    )
    search_path: str = ""
    may_create: bool = True
    max_connections: int = 0
    reserved: int = 0
    user_limit: int = -1  # -1: none
    database_limit: int = -1
    # schema -> tables of Airflow's names in it, `alembic_version` included
    tables: dict[str, set[str]] = field(default_factory=dict)
    not_owned: list[str] = field(default_factory=list)
    not_usable: list[str] = field(default_factory=list)
    # What is encrypted -> (number of values, those that the key cannot decrypt)
    encrypted: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def own_tables(self) -> set[str]:
        """The tables in the schema that the Deployment uses."""
        return self.tables.get(self.schema or "", set())

    @property
    def has_airflow(self) -> bool:
        """Whether the schema of the Deployment has Airflow's tables."""
        return is_airflow(self.own_tables)


def check(environment: Mapping[str, str], needs: Mapping[str, Any]) -> tuple[Database, list[str]]:
    """Return the state of the database and warnings about it, without a change.

    Args:
        environment: Environment variables of the release Job.
        needs: See `database_needs` of the package.

    Raises:
        ReleaseRefusedError: The Deployment cannot use the database.
    """
    import psycopg2

    connection = connect(environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], psycopg2.connect)
    with contextlib.closing(connection):
        schema = environment.get("AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA") or None
        decrypts = decrypts_with(environment["AIRFLOW__CORE__FERNET_KEY"])
        found = look(connection, schema, decrypts)
    pool_size = int(environment.get("AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE") or POOL_SIZE)
    refuse(problems(found, needs, pool_size))
    return found, warnings(found, needs, pool_size)


def check_change(found: Database, change: str, airflow: str) -> None:
    """Refuse a database that cannot be brought to the image's Airflow.

    Args:
        found: The state of the database.
        change: See `astro_migrate_or_downgrade.needed_change`.
        airflow: The Airflow version of the image.

    Raises:
        ReleaseRefusedError: With everything that is missing.
    """
    refuse([*too_old(found, change, airflow)] or [*missing_rights(found, change)])


def refuse(lines: list[str]) -> None:
    """Raise the refusal of a release, with all problems."""
    if lines:
        raise ReleaseRefusedError(
            "\n".join(["The database does not fit the Deployment; nothing was changed.", *lines])
        )


def is_airflow(tables: set[str]) -> bool:
    """Return whether a schema has Airflow's tables and their migration head."""
    return {"alembic_version", "dag_run"} <= tables


def look(connection: Any, schema: str | None, decrypts: Callable[[str], bool]) -> Database:
    """Read the state of the database, without a change.

    Args:
        connection: A connection to the database.
        schema: The schema in the settings, or None.
        decrypts: Returns whether the Fernet key of this Deployment decrypts a value.
    """
    cursor = connection.cursor()
    cursor.execute(SERVER, (schema,))
    names = [column[0] for column in cursor.description]
    found = Database(**dict(zip(names, cursor.fetchone())))  # noqa: B905 Python 3.8 as well
    found.version_number = int(found.version_number)
    found.search_path = schema or found.search_path
    cursor.execute(TABLES, (["alembic_version", AIRFLOW_3_TABLE, *AIRFLOW_TABLES],))
    for schema_name, table, is_owned, is_usable in cursor.fetchall():
        found.tables.setdefault(schema_name, set()).add(table)
        if schema_name == found.schema:
            found.not_owned += [] if is_owned else [table]
            found.not_usable += [] if is_usable else [table]
    if found.has_airflow and not found.not_usable:
        found.encrypted = dict(count_encrypted(cursor, str(found.schema), decrypts))
    return found


SERVER = """
SELECT version() AS version,
       current_setting('server_version_num') AS version_number,
       current_database()::text AS name,
       current_user::text AS user,
       current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS is_replica,
       current_setting('transaction_read_only') = 'on' AS is_read_only,
       nspname::text AS schema,
       current_setting('search_path') AS search_path,
       coalesce(has_schema_privilege(n.oid, 'CREATE'), false) AS may_create,
       current_setting('max_connections')::int AS max_connections,
       CASE WHEN rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int
         + coalesce(current_setting('reserved_connections', true), '0')::int END AS reserved,
       rolconnlimit AS user_limit,
       datconnlimit AS database_limit
FROM pg_roles
CROSS JOIN pg_database
LEFT JOIN pg_namespace n ON nspname = coalesce(%s, current_schema())
WHERE rolname = current_user AND datname = current_database()
"""
TABLES = """
SELECT nspname::text, relname::text, pg_has_role(relowner, 'USAGE'),
       has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
         AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p') AND relname = ANY(%s) AND nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY nspname, relname
"""


def count_encrypted(
    cursor: Any, schema: str, decrypts: Callable[[str], bool]
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield kind, number and number of undecryptable values, for each kind of encrypted values."""
    quoted = '"{}"'.format(schema.replace('"', '""'))
    names = {table: f"{quoted}.{table}" for table in ("connection", "variable")}
    for kind, queries in ENCRYPTED.items():
        values: list[str] = []
        for query in queries:
            cursor.execute(f"{query.format(**names)} LIMIT {MOST_VALUES}")
            values += [row[0] for row in cursor.fetchall()]
        if values:
            yield kind, (len(values), sum(not decrypts(value) for value in values))


def decrypts_with(keys: str) -> Callable[[str], bool]:
    """Return a function that tells whether one of several Fernet keys, with commas between, decrypts a value.

    Raises:
        ReleaseRefusedError: One of them is not a Fernet key.
    """
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet

    try:
        fernet = MultiFernet([Fernet(key.strip().encode()) for key in keys.split(",")])
    except ValueError as error:
        raise ReleaseRefusedError(
            "Fernet key: the given value is not a Fernet key. A key is 32 random bytes in url-safe "
            "base64, 44 characters; "
            "several have commas between them. Nothing was changed."
        ) from error

    def decrypts(value: str) -> bool:
        with contextlib.suppress(InvalidToken, ValueError):
            fernet.decrypt(value.encode())
            return True
        return False

    return decrypts


def problems(found: Database, needs: Mapping[str, Any], pool_size: int) -> list[str]:
    """Return a line for each reason not to use a database, whatever the change."""
    return [
        *of_server(found, needs),
        *of_schema(found),
        *of_encryption(found),
        *of_connections(found, needs["least_connections"], pool_size),
    ]


def of_server(found: Database, needs: Mapping[str, Any]) -> Iterator[str]:
    """Yield problems of the server, or of the database as a whole."""
    major = found.version_number // 10000
    if "CockroachDB" in found.version or "Redshift" in found.version:
        yield f"Database: Airflow needs PostgreSQL, and this is {found.version.split(' on ')[0]}."
    elif major < needs["postgresql"]:
        yield (
            f"Database: PostgreSQL {major} is too old for Airflow {needs['airflow']}, which needs "
            f"{needs['postgresql']} or newer. Upgrade the server."
        )
    if found.is_replica:
        yield (
            "Database: the server is a read-only replica. Give the address of the primary, or of the "
            "writer endpoint."
        )
    elif found.is_read_only:
        yield (
            "Database: transactions are read-only. Set default_transaction_read_only to off for the user "
            f"{found.user} and the database {found.name}, or give the primary's address."
        )
    if found.encoding != "UTF8":
        yield (
            f"Database: its encoding is {found.encoding}, and Airflow needs UTF8. Create another one: CREATE "
            f"DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and copy the data with pg_dump."
        )


def of_schema(found: Database) -> Iterator[str]:
    """Yield problems of the existing tables."""
    if found.schema is None:
        yield (
            f"Database: the user {found.user} has no schema: {found.search_path} does not exist, or may not "
            f"be used. CREATE SCHEMA ..., or GRANT USAGE, CREATE ON SCHEMA ... TO {found.user}."
        )
        return
    own = found.own_tables
    elsewhere = [name for name, tables in found.tables.items() if is_airflow(tables)]
    taken = sorted(own & {*COMMON_TABLES, "ab_user"})
    if "alembic_version" in own and "dag_run" not in own:
        yield (
            f"Database: the schema {found.schema} belongs to another application, which has a table "
            "alembic_version as well. Give Airflow a database of its own."
        )
    elif "dag_run" in own and "alembic_version" not in own:
        yield (
            f"Database: the schema {found.schema} has tables of Airflow without alembic_version, which says "
            "what version they are of. Restore the whole database, or use an empty one."
        )
    elif not own and elsewhere and found.schema == "public":
        yield (
            f"Database: Airflow's tables are in the schema {elsewhere[0]}, and this Deployment uses "
            f"{found.schema}. Set the user's search path: ALTER ROLE {found.user} IN DATABASE "
            f"{found.name} SET "
            f"search_path = {elsewhere[0]}. Or use another database."
        )
    elif taken and not found.has_airflow:
        yield (
            f"Database: the schema {found.schema} has a table {taken[0]} of another application. Give "
            "Airflow a database of its own."
        )


def of_encryption(found: Database) -> Iterator[str]:
    """Yield a line if the key of this Deployment decrypts none of the encrypted values."""
    total, lost = sums(found.encrypted.values())
    if total and lost == total:
        kinds = " and ".join(f"{count} in {kind}" for kind, (count, _) in found.encrypted.items())
        yield (
            f"Fernet key: all encrypted values of the database ({kinds}) were encrypted with "
            f"another key. Give the key of the Airflow that made them as fernet_key, or delete them."
        )


def sums(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Return the sum of the first numbers and the sum of the second numbers."""
    known = list(pairs)
    return sum(first for first, _ in known), sum(second for _, second in known)


def of_connections(found: Database, needs: Mapping[str, Any], pool_size: int) -> Iterator[str]:
    """Yield a line if the processes keep more connections open than the database or PgBouncer allows."""
    pools, tasks = needs["pools"], needs["tasks"]
    wanted = pools * pool_size + tasks
    what = f"{pools * pool_size} in pools of {pool_size}" + (f", {tasks} of tasks" if tasks else "")
    if needs["clients"] is not None and wanted > needs["clients"]:
        yield (
            f"Connections: PgBouncer takes {needs['clients']} clients, and Airflow's processes keep up to "
            f"{wanted}: {what}. Raise pgbouncer.max_client_connections."
        )
    helps = "use `pgbouncer`, or lower AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE"
    if needs["servers"] is not None:
        direct = needs["direct_pools"] * pool_size
        wanted = needs["servers"] + direct
        what = f"{needs['servers']} of PgBouncer" + (
            f", {direct} in pools that bypass it" if direct else ""
        )
        helps = "or lower pgbouncer.pool_size"
    limit, why = connection_limit(found)
    if wanted > limit:
        yield (
            f"Connections: the user {found.user} may have {limit} ({why}), and the Deployment keeps up to "
            f"{wanted}: {what}. Raise the limit, {helps}."
        )


def connection_limit(found: Database) -> tuple[int, str]:
    """Return the number of connections that the user may have, and the name of that limit."""
    limits = [
        (
            found.max_connections - found.reserved,
            f"max_connections {found.max_connections}, {found.reserved} of them reserved",
        ),
        (found.user_limit, "CONNECTION LIMIT of the user"),
        (found.database_limit, "CONNECTION LIMIT of the database"),
    ]
    return min(limit for limit in limits if limit[0] >= 0)


def too_old(found: Database, change: str, airflow: str) -> Iterator[str]:
    """Yield a line about a database whose migration Airflow 3 no longer knows, and takes for a newer one."""
    forgotten = int(airflow.split(".")[0]) >= 3 and AIRFLOW_3_TABLE not in found.own_tables
    if change == "downgrade" and forgotten:
        yield (
            f"Database: it belongs to an Airflow before 2.7, which Airflow {airflow} cannot migrate. Deploy "
            "Airflow 2.11 on it first."
        )


def missing_rights(found: Database, change: str) -> Iterator[str]:
    """Yield a line for each right that the change needs and the user does not have."""
    if found.not_usable:
        yield (
            f"Rights: the user {found.user} may not read and write {', '.join(found.not_usable)}. As their "
            f"owner: GRANT ALL ON ALL TABLES IN SCHEMA {found.schema} TO {found.user}, and the same for ALL "
            "SEQUENCES."
        )
        return
    if change == "none":
        return
    if not found.may_create:
        yield (
            f"Rights: the user {found.user} may not create tables in the schema {found.schema}. As its "
            f"owner: GRANT CREATE ON SCHEMA {found.schema} TO {found.user}."
        )
    if found.not_owned:
        yield (
            f"Rights: Airflow's tables belong to another user than {found.user}, and only their owner can "
            f"migrate them. As their owner: REASSIGN OWNED BY ... TO {found.user}. Or give the owner's login."
        )


def warnings(found: Database, needs: Mapping[str, Any], pool_size: int) -> list[str]:
    """Return warnings about a database that can be used."""
    total, lost = sums(found.encrypted.values())
    lines = []
    if lost and lost < total:
        lines.append(
            f"Fernet key: {lost} of {total} encrypted values of Connections and Variables were "
            f"encrypted with another key. Add that key to fernet_key behind a comma, or set them again."
        )
    least = {*of_connections(found, needs["least_connections"], pool_size)}
    most = [*of_connections(found, needs["most_connections"], pool_size)]
    lines += [
        f"{line} This is the number with all workers, and with the old and new processes of a deploy."
        for line in most
        if not least
    ]
    return lines
