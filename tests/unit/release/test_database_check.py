"""The release Job looks at the database before it changes anything, and says why it cannot be used."""

import copy
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.unit.release.pod_file import load

connecting = load("astro_database_connection")
database = load("astro_database_check")
ReleaseRefusedError = load("astro_termination_message").ReleaseRefusedError

AIRFLOW_TABLES = {"alembic_version", "dag", "dag_run", "dag_version", "connection", "ab_user"}
COUNTS = {"pools": 5, "tasks": 0, "clients": None, "servers": None, "direct_pools": 1}
NEEDS = {
    "airflow": "3.1",
    "postgresql": 13,
    "least_connections": COUNTS,
    "most_connections": {**COUNTS, "pools": 10},
}


def found(**more: Any) -> Any:
    """Return an empty database that fits, with other facts."""
    return database.Database(
        **{
            "version": "PostgreSQL 15.18",
            "version_number": 150018,
            "name": "airflow",
            "user": "af",
            "max_connections": 100,
            "reserved": 3,
            **more,
        }
    )


def problems(needs: dict[str, Any] | None = None, pool_size: int = 5, **more: Any) -> list[str]:
    lines: list[str] = database.problems(found(**more), {**NEEDS, **(needs or {})}, pool_size)
    return lines


def test_an_empty_database_and_one_of_airflow_are_taken() -> None:
    assert problems() == []
    assert problems(tables={"public": AIRFLOW_TABLES}) == []


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"version_number": 120009}, "PostgreSQL 12 is too old for Airflow 3.1, which needs 13"),
        ({"version": "CockroachDB CCL v23.1"}, "this is CockroachDB CCL v23.1"),
        ({"is_replica": True, "is_read_only": True}, "is a read-only replica"),
        ({"is_read_only": True}, "Set default_transaction_read_only to off"),
        ({"encoding": "LATIN1"}, "its encoding is LATIN1"),
        ({"encoding": "SQL_ASCII"}, "ENCODING 'UTF8' TEMPLATE template0"),
        ({"schema": None, "search_path": '"$user"'}, '"$user" does not exist'),
        ({"tables": {"public": {"alembic_version", "ab_user"}}}, "belongs to another application"),
        ({"tables": {"public": {"log"}}}, "has a table log of another application"),
        ({"tables": {"public": {"dag_run", "dag"}}}, "without alembic_version"),
        (
            {"tables": {"airflow": AIRFLOW_TABLES}},
            "ALTER ROLE af IN DATABASE airflow SET search_path = airflow",
        ),
        (
            {"encrypted": {"Connections": (2, 2), "Variables": (1, 1)}},
            "(2 in Connections and 1 in Variables)",
        ),
        ({"max_connections": 25}, "may have 22 (max_connections 25, 3 of them reserved)"),
        ({"user_limit": 10}, "may have 10 (CONNECTION LIMIT of the user)"),
        ({"database_limit": 0}, "may have 0 (CONNECTION LIMIT of the database)"),
    ],
)
def test_each_reason_is_one_line(facts: dict[str, Any], says: str) -> None:
    (line,) = problems(**facts)
    assert says in line
    assert "\n" not in line


def test_all_reasons_are_listed() -> None:
    lines = problems(version_number=120009, encoding="LATIN1", max_connections=10)
    assert [line.split(":")[0] for line in lines] == ["Database", "Database", "Connections"]


def test_a_schema_that_was_chosen_is_filled_beside_another_airflow() -> None:
    assert problems(schema="analytics", tables={"airflow": AIRFLOW_TABLES}) == []
    assert problems(tables={"public": AIRFLOW_TABLES, "airflow": AIRFLOW_TABLES}) == []


def test_smaller_pools_need_fewer_connections() -> None:
    assert problems(user_limit=25) == []
    assert "lower AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE" in problems(user_limit=24)[0]
    assert problems(user_limit=24, pool_size=4) == []


def test_connections_of_tasks_count() -> None:
    needs = {"least_connections": {**COUNTS, "tasks": 32}}
    (line,) = problems(needs, user_limit=56)
    assert "keeps up to 57: 25 in pools of 5, 32 of tasks" in line
    assert problems(needs, user_limit=57) == []


def test_pgbouncer_has_limits_on_both_sides() -> None:
    def needs(clients: int, servers: int) -> dict[str, Any]:
        return {"least_connections": {**COUNTS, "clients": clients, "servers": servers}}

    assert problems(needs(25, 40), user_limit=45) == []
    (line,) = problems(needs(24, 40), user_limit=45)
    assert "Raise pgbouncer.max_client_connections" in line
    (line,) = problems(needs(25, 40), user_limit=44)
    assert "keeps up to 45: 40 of PgBouncer, 5 in pools that bypass it" in line
    assert "lower pgbouncer.pool_size" in line


def test_too_few_for_a_deploy_or_all_workers_is_a_warning() -> None:
    (line,) = database.warnings(found(user_limit=30), NEEDS, 5)
    assert "keeps up to 50" in line
    assert "with the old and new processes of a deploy" in line
    assert database.warnings(found(user_limit=50), NEEDS, 5) == []


def test_a_key_that_decrypts_some_is_a_warning() -> None:
    facts: dict[str, Any] = {"encrypted": {"Connections": (3, 1), "Variables": (1, 1)}}
    assert problems(**facts) == []
    (line,) = database.warnings(found(**facts), NEEDS, 5)
    assert "2 of 4 encrypted values" in line


def test_a_key_decrypts_what_it_has_encrypted() -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    value = Fernet(old).encrypt(b"hunter2").decode()
    assert database.decrypts_with(old.decode())(value)
    assert database.decrypts_with(f"{new.decode()}, {old.decode()}")(value)
    assert not database.decrypts_with(new.decode())(value)
    assert not database.decrypts_with(new.decode())("no token")
    with pytest.raises(ReleaseRefusedError, match="the given value is not a Fernet key"):
        database.decrypts_with("abc")


def change(direction: str, airflow: str = "3.3.2", **more: Any) -> str:
    """Return what is said of a change to the database; "" if it is allowed."""
    try:
        database.check_change(found(**more), direction, airflow)
    except ReleaseRefusedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("direction", ["create", "migrate", "downgrade"])
def test_a_change_needs_the_right_to_create_tables(direction: str) -> None:
    facts: dict[str, Any] = {"may_create": False, "tables": {"public": AIRFLOW_TABLES}}
    assert "GRANT CREATE ON SCHEMA public TO af" in change(direction, **facts)
    assert change("none", **facts) == ""


def test_only_the_owner_of_tables_can_migrate_them() -> None:
    facts: dict[str, Any] = {"not_owned": ["dag_run"], "tables": {"public": AIRFLOW_TABLES}}
    assert "REASSIGN OWNED BY ... TO af" in change("migrate", **facts)
    assert change("none", **facts) == ""


def test_tables_must_be_readable_and_writable_in_any_case() -> None:
    said = change("none", not_usable=["dag", "dag_run"])
    assert "may not read and write dag, dag_run" in said
    assert "nothing was changed" in said


def test_airflow_3_cannot_migrate_what_it_has_forgotten() -> None:
    """Such a revision is as unknown to it as one of a newer Airflow."""
    old = {"public": AIRFLOW_TABLES - {"dag_version"}}
    assert "Deploy Airflow 2.11 on it first" in change("downgrade", tables=old)
    assert change("downgrade", tables={"public": AIRFLOW_TABLES}) == ""
    assert change("downgrade", "2.10.5", tables=old) == ""


SERVER = 'connection to server at "10.0.0.1", port 5432 failed: '
NO_ENTRY = SERVER + 'FATAL: no pg_hba.conf entry for host "10.0.0.2", user "af", database "d", '


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (NO_ENTRY + "no encryption", 'Set database.ssl_mode="require"'),
        (NO_ENTRY + "SSL off", 'Set database.ssl_mode="require"'),  # before PostgreSQL 14
        (
            f"{NO_ENTRY}SSL encryption {NO_ENTRY}no encryption",
            "does not accept the user from this",
        ),
        (
            f'{SERVER}FATAL: password authentication failed for user "af" {NO_ENTRY}no encryption',
            "refuses the login",
        ),
        (SERVER + 'FATAL: database "d" does not exist', "CREATE DATABASE"),
        (SERVER + "server does not support SSL, but SSL was required", 'ssl_mode="disable"'),
        (
            'server certificate for "db.acme.com" does not match host name "10.0.0.1"',
            'database.ssl_mode="verify-ca"',
        ),
        (SERVER + "SSL error: certificate verify failed", "database.ca_certificate"),
        ('root certificate file "/root/.postgresql/root.crt" does not exist', "ca_certificate"),
        (SERVER + "FATAL: something new", "it refuses the connection"),
    ],
)
def test_a_refused_connection_is_explained_at_once(text: str, says: str) -> None:
    attempts = []

    def refuse(dsn: str, **_: Any) -> None:
        attempts.append(dsn)
        raise ConnectionError(text)

    with pytest.raises(ReleaseRefusedError, match="Nothing was changed") as refused:
        connecting.connect("postgresql+psycopg2://af:hunter2@h/d", refuse)
    assert says in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert attempts == ["postgresql://af:hunter2@h/d"]


@pytest.mark.parametrize(
    "text",
    [
        SERVER + "Connection refused",
        'could not translate host name "db" to address: Name or service not known',
        SERVER + "FATAL: the database system is starting up",
        SERVER + 'FATAL: too many connections for role "af"',
    ],
)
def test_what_may_pass_is_tried_again(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting.time, "sleep", lambda seconds: None)
    answers: list[Any] = [ConnectionError(text), ConnectionError(text), "a connection"]
    left = copy.copy(answers)

    def connect(dsn: str, **_: Any) -> Any:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert connecting.connect("postgresql+psycopg2://h/d", connect) == "a connection"
    left = copy.copy(answers)
    with pytest.raises(ReleaseRefusedError, match="Nothing was changed"):
        connecting.connect("postgresql+psycopg2://h/d", connect, patience=0)
