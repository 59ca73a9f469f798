"""PgBouncer: Airflow's processes reach the database through it, migrations past it."""

from configparser import ConfigParser
from typing import Any

import pytest

from astro_pulumi.airflow.database_and_broker_urls import pooled_url
from astro_pulumi.errors import ArgumentError
from astro_pulumi.kubernetes.pgbouncer import configuration_file
from tests.mock_engine import Program, deploy, secrets
from tests.specs import VERSIONS, arguments, spec

PGBOUNCER = {"image": "ghcr.io/acme/pgbouncer:1.24"}
DATABASE = {"host": "db.test", "port": 5433, "username": "u@x", "password": "p\"'/w"}


def read(ini: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.read_string(ini)
    return parser


def secret(program: Program, name: str) -> dict[str, str]:
    found: dict[str, str] = program.get(f"analytics-{name}", "Secret").inputs["stringData"]
    return found


def database_url(made: dict[str, dict[str, str]], reads: tuple[str, ...]) -> str:
    """What a process has of the groups that it reads, the last one of a name being the one that counts."""
    name = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    return [made[group][name] for group in reads if name in made.get(group, {})][-1]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("database", [{}, DATABASE, {"url": "postgresql://u:p@db.test/airflow"}])
def test_processes_are_pooled_and_migrations_are_not(version: str, database: Any) -> None:
    pooled = spec(airflow_version=version, pgbouncer=PGBOUNCER, database=database)
    made = secrets(pooled)
    readers = [process for process in pooled.processes if "metadata" in process.reads]
    assert {"webserver", "scheduler", "triggerer"} <= {process.component for process in readers}
    for process in readers:
        assert "@analytics-pgbouncer:6432/airflow" in database_url(made, process.reads)
    if pooled.facts.results_in_database:
        result = made["broker"]["AIRFLOW__CELERY__RESULT_BACKEND"]
        assert "@analytics-pgbouncer:6432/airflow" in result
    direct = database_url(made, pooled.facts.release_job.reads)
    assert "pgbouncer" not in direct
    assert ("@db.test" if database else "@analytics-postgresql:5432/airflow") in direct


def test_the_pods_read_their_groups_in_that_order() -> None:
    program = deploy(arguments(pgbouncer=PGBOUNCER))

    def read_by(workload: str, kind: str) -> list[str]:
        sources = program.get(f"analytics-{workload}", kind).container["envFrom"]
        return [source["secretRef"]["name"] for source in sources if "secretRef" in source]

    direct, pooled = "analytics-migration-abc123", "analytics-metadata-abc123"
    assert direct not in read_by("scheduler", "Deployment")
    job = read_by("release-job", "Job")
    assert job.index(pooled) < job.index(direct)


def test_without_pgbouncer_there_is_one_url() -> None:
    program = deploy(arguments())
    assert not [r for r in program if "pgbouncer" in r.name or "migration" in r.name]
    made = secrets(spec())
    for reads in (spec().processes[0].reads, spec().facts.release_job.reads):
        assert "analytics-postgresql" in database_url(made, reads)


def test_no_workload_starts_before_its_database_can_be_reached() -> None:
    program = deploy(arguments(pgbouncer=PGBOUNCER))
    pool = program.get("analytics-pgbouncer", "Deployment")
    assert "analytics-postgresql" in pool.dependencies
    # The pool is not awaited itself: its watch is, which runs beside the release Job.
    watch = program.get("analytics-rollout-pgbouncer", "Job")
    assert "analytics-pgbouncer" in watch.dependencies
    assert "analytics-release-job" not in watch.dependencies
    for workload in program.kinds("Deployment")[1:]:
        if workload.name != "analytics-pgbouncer":
            assert "analytics-rollout-pgbouncer" in workload.dependencies, workload.name


def test_login_and_address_come_from_the_database() -> None:
    program = deploy(arguments(pgbouncer=PGBOUNCER, database={**DATABASE, "name": "it's"}))
    made = secret(program, "pgbouncer")
    ini = read(made["pgbouncer.ini"])
    assert ini["databases"]["airflow"] == "host='db.test' port=5433 dbname='it''s'"
    assert ini["pgbouncer"]["server_tls_sslmode"] == "require"
    assert ini["pgbouncer"]["pool_mode"] == "transaction"
    assert made["userlist.txt"] == '"u@x" "p""\'/w"\n'


def test_tls_is_spoken_with_the_database() -> None:
    url = "postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=/x&application_name=a"
    ini = read(configuration_file({}, url, has_certificate=True, has_login=True))
    assert ini["pgbouncer"]["server_tls_sslmode"] == "verify-full"
    assert ini["pgbouncer"]["server_tls_ca_file"] == "/etc/pgbouncer/server-ca.pem"
    assert pooled_url(spec(), url) == (
        "postgresql://u:p@analytics-pgbouncer:6432/airflow?application_name=a"
    )


def test_several_pods_are_spread_and_kept() -> None:
    program = deploy(arguments(pgbouncer={**PGBOUNCER, "replicas": 2}))
    assert program.get("analytics-pgbouncer", "PodDisruptionBudget")
    assert program.get("analytics-pgbouncer", "Deployment").pod["topologySpreadConstraints"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:p@a,b/d", "must have one host"),
        ("postgresql://u:p@a:1,b:2/d", "must have one host"),
        ("postgresql://h/d", "must have one host, a user"),
        ("postgresql://u:p@h", "a database name"),
        ("postgresql://u:p@h/d?sslcert=/x", "has a client certificate"),
        ("postgresql://u:p@h/d?sslmode=verify-ca", "database.ca_certificate: is required"),
    ],
)
def test_what_pgbouncer_cannot_do_is_said(url: str, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        configuration_file({}, url, has_certificate=False, has_login=True)
