"""What Airflow reads from its environment, for each version."""

import json
import re
from importlib import resources
from typing import Any

import pytest

from astro_pulumi.airflow.environment import (
    check_environment_name,
    connections_and_variables,
    process_settings,
    settings,
)
from astro_pulumi.airflow.facts import AIRFLOW
from astro_pulumi.errors import ArgumentError
from tests.mock_engine import Program, deploy, secrets
from tests.specs import VERSIONS, arguments, spec

every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
def test_every_placeholder_is_filled(version: str) -> None:
    deployment = spec(airflow_version=version)
    own = [process_settings(deployment, process) for process in deployment.processes]
    for values in (settings(deployment), *own):
        assert not [value for value in values.values() if "{" in value]


@every_version
def test_every_group_that_a_process_reads_is_made(version: str) -> None:
    facts = spec(airflow_version=version).facts
    made = {*facts.secret_settings, "connections", "admin"}
    for process in (*facts.processes, facts.worker):
        assert set(process.reads) <= made
    assert set(facts.release_job.reads) <= made


def test_airflow_3_workers_do_not_know_the_database() -> None:
    assert "metadata" not in AIRFLOW[3].worker.reads
    assert "metadata" in AIRFLOW[2].worker.reads


@every_version
def test_tokens_are_signed_with_a_key_that_few_processes_know(version: str) -> None:
    facts = spec(airflow_version=version).facts
    readers = {process.component for process in facts.processes if "jwt" in process.reads}
    assert readers <= {"webserver", "scheduler"}


def test_airflow_2_parses_dags_in_its_scheduler_unless_told_otherwise() -> None:
    alone = spec(airflow_version="2.11")
    apart = spec(airflow_version="2.11", dag_processor={})
    name = "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR"
    assert "dag-processor" not in {process.component for process in alone.processes}
    assert settings(alone)[name] == "False"
    assert "dag-processor" in {process.component for process in apart.processes}
    assert settings(apart)[name] == "True"


def test_airflow_3_always_has_a_dag_processor() -> None:
    assert "dag-processor" in {process.component for process in spec().processes}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (
            "3.3",
            {
                "AIRFLOW__API__BASE_URL": "https://a.b/c",
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": (
                    "http://analytics-webserver:8080/c/execution/"
                ),
                "FORWARDED_ALLOW_IPS": "*",
                "AIRFLOW__FAB__COOKIE_SECURE": "True",
            },
        ),
        (
            "2.11",
            {
                "AIRFLOW__WEBSERVER__BASE_URL": "https://a.b/c",
                "AIRFLOW__WEBSERVER__ENABLE_PROXY_FIX": "True",
                "AIRFLOW__WEBSERVER__COOKIE_SECURE": "True",
            },
        ),
    ],
)
def test_behind_an_ingress(version: str, expected: dict[str, str]) -> None:
    ingress = {"host": "a.b", "path": "/c", "tls_secret": "t"}
    found = settings(spec(airflow_version=version, ingress=ingress))
    assert expected.items() <= found.items()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"remote_logging": {"folder": "s3://b/p", "connection_id": "aws", "encrypt_s3": True}},
            {
                "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
                "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "s3://b/p",
                "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "aws",
                "AIRFLOW__LOGGING__ENCRYPT_S3_LOGS": "True",
            },
        ),
        (
            {"remote_logging": {"folder": "gs://b/p"}},
            {"AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "gs://b/p"},
        ),
        (
            {"remote_logging": {"folder": "wasb://logs/a/b", "connection_id": "azure"}},
            {
                "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "wasb://a/b",
                "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "azure",
                "AIRFLOW__AZURE_REMOTE_LOGGING__REMOTE_WASB_LOG_CONTAINER": "logs",
            },
        ),
        (
            {"metrics": {"statsd_host": "statsd.test", "prefix": "p"}},
            {
                "AIRFLOW__METRICS__STATSD_ON": "True",
                "AIRFLOW__METRICS__STATSD_HOST": "statsd.test",
                "AIRFLOW__METRICS__STATSD_PORT": "8125",
                "AIRFLOW__METRICS__STATSD_PREFIX": "p",
            },
        ),
        (
            {"metrics": {"otel_host": "otel.test"}},
            {
                "AIRFLOW__METRICS__OTEL_ON": "True",
                "AIRFLOW__METRICS__OTEL_HOST": "otel.test",
                "AIRFLOW__METRICS__OTEL_PORT": "4318",
            },
        ),
        (
            {"metrics": {"exporter_image": "exporter"}},
            {
                "AIRFLOW__METRICS__STATSD_HOST": "analytics-statsd",
                "AIRFLOW__METRICS__STATSD_PORT": "9125",
            },
        ),
        (
            {"environment": {"AIRFLOW__CORE__LOAD_EXAMPLES": "True"}},
            {
                "AIRFLOW__CORE__LOAD_EXAMPLES": "True",
            },
        ),
        (
            {"auth": {"manager": "simple"}},
            {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin"},
        ),
    ],
)
def test_arguments_become_settings(given: dict[str, Any], expected: dict[str, str]) -> None:
    assert expected.items() <= settings(spec(**given)).items()


def test_a_queued_task_waits_longer_than_workers_drain() -> None:
    name = "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"
    program = deploy(arguments(termination_grace_period_seconds=3600))
    found = {
        variable["name"]: variable["value"]
        for variable in program.get("analytics-scheduler", "Deployment").container["env"]
    }
    assert int(found[name]) > 3600
    program = deploy(arguments(environment={name: "5"}))
    variables = program.get("analytics-scheduler", "Deployment").container["env"]
    assert name not in {variable["name"] for variable in variables}, "the user's own wins"


def secrets_of(program: Program, name: str) -> dict[str, str]:
    found: dict[str, str] = program.get(f"analytics-{name}", "Secret").inputs["stringData"]
    return found


def test_connections_and_variables_are_in_a_secret_that_their_readers_name() -> None:
    program = deploy(
        arguments(
            connections={
                "by_uri": {"uri": "http://h"},
                "by_fields": {"type": "postgres", "host": "h", "password": "p@/", "port": 5432.0},
            },
            variables={"greeting": "hello"},
        )
    )
    found = secrets_of(program, "connections")
    assert found["AIRFLOW_CONN_BY_URI"] == "http://h"
    assert json.loads(found["AIRFLOW_CONN_BY_FIELDS"]) == {
        "conn_type": "postgres",
        "host": "h",
        "password": "p@/",
        "port": 5432,
    }
    assert found["AIRFLOW_VAR_GREETING"] == "hello"
    readers = {
        workload.name.removeprefix("analytics-")
        for workload in (*program.kinds("Deployment"), *program.kinds("Job"))
        if workload.type.startswith("kubernetes:")
        and {"secretRef": {"name": "analytics-connections-abc123"}}
        in workload.container.get("envFrom", [])
    }
    assert readers == {"webserver", "triggerer", "dag-processor", "worker-default", "release-job"}


def test_without_connections_there_is_no_secret_for_them() -> None:
    assert connections_and_variables(spec()) == {}


@pytest.mark.parametrize(
    ("database", "url"),
    [
        (
            {"url": "postgres://u:p@h:1/d?application_name=a"},
            "postgresql://u:p@h:1/d?application_name=a",
        ),
        (
            {"host": "h", "username": "u@x", "password": "p/w", "name": "d"},
            "postgresql://u%40x:p%2Fw@h:5432/d?sslmode=require",
        ),
        (
            {"host": "fd00::1", "username": "u", "password": "p"},
            "postgresql://u:p@[fd00::1]:5432/airflow?sslmode=require",
        ),
        (
            {"url": "postgresql://u:p%3Fs@h/d?options=-c%20a@b"},
            "postgresql://u:p%3Fs@h/d?options=-c%20a@b",
        ),
        (
            {
                "host": "h",
                "username": "u",
                "password": "p",
                "ssl_mode": "verify-full",
                "ca_certificate": "PEM",
            },
            "postgresql://u:p@h:5432/airflow?sslmode=verify-full"
            "&sslrootcert=/run/secrets/astro-pulumi/database-ca.pem",
        ),
    ],
)
def test_external_database(database: dict[str, Any], url: str) -> None:
    made = secrets(spec(database=database))
    found = made["metadata"]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert found == url.replace("postgresql://", "postgresql+psycopg2://")
    assert made["broker"]["AIRFLOW__CELERY__RESULT_BACKEND"] == "db+" + found


@pytest.mark.parametrize(
    ("given", "embedded"),
    [
        ({"database": {"url": "postgres://u:p@h/d"}}, "redis"),
        ({"broker": {"host": "h"}}, "postgresql"),
    ],
)
def test_a_service_of_yours_takes_the_place_of_the_embedded_one(
    given: dict[str, Any], embedded: str
) -> None:
    program = deploy(arguments(**given))
    assert [s.name for s in program.kinds("StatefulSet")] == [f"analytics-{embedded}"]


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        (
            {"host": "h", "username": "u", "password": "p@"},
            {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "//u:p%40@h:5432/airflow?ssl=require"},
        ),
        (
            {
                "url": "postgres://u:p@h/d?sslmode=verify-full&application_name=a",
                "ca_certificate": "PEM",
            },
            {
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "//u:p@h/d?ssl=verify-full",
                "PGSSLROOTCERT": "/run/secrets/astro-pulumi/database-ca.pem",
            },
        ),
        (
            {"url": "postgres://u:p@h/d"},
            {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "//u:p@h/d"},
        ),
    ],
)
@pytest.mark.parametrize("pgbouncer", [None, {"image": "pgbouncer:1"}])
def test_asyncpg_gets_a_url_that_it_can_read(
    database: dict[str, Any], expected: dict[str, str], pgbouncer: Any
) -> None:
    found = secrets(spec(database=database, pgbouncer=pgbouncer))["metadata-async"]
    name = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"
    found[name] = found[name].removeprefix("postgresql+asyncpg:")
    assert found == expected


def test_only_the_webserver_reads_the_url_for_asyncpg() -> None:
    program = deploy(arguments(database={"url": "postgres://u:p@h/d"}))
    readers = [
        workload.name
        for workload in program.kinds("Deployment")[1:]
        if "analytics-metadata-async-abc123" in str(workload.pod)
    ]
    assert readers == ["analytics-webserver"]


def test_airflow_makes_the_url_for_asyncpg_where_it_can() -> None:
    for given in ({}, {"airflow_version": "2.11", "database": {"url": "postgres://u:p@h/d"}}):
        assert "metadata-async" not in secrets(spec(**given))


@pytest.mark.parametrize(
    ("database", "url"),
    [
        ({}, "postgresql://airflow:{password}@analytics-postgresql.data:5432/airflow"),
        (
            {"host": "h", "username": "u", "password": "p"},
            "postgresql://u:p@h:5432/airflow?sslmode=require",
        ),
        (
            {"url": "postgresql://u:p@h/d?sslmode=verify-full&a=b", "ca_certificate": "PEM"},
            "postgresql://u:p@h/d?a=b&sslmode=require",
        ),
    ],
)
def test_keda_reaches_the_database_from_its_own_namespace(
    database: dict[str, Any], url: str
) -> None:
    queues = [{"name": "default", "min_count": 0, "max_count": 2}]
    scaled = spec(
        database=database,
        worker_queues=queues,
        autoscaling={"type": "keda"},
        pgbouncer={"image": "pgbouncer"} if database else None,
    )
    password = "password-of-analytics-postgresql-password"
    found = secrets(scaled, namespace="data")["keda"]["connection"]
    assert found == url.format(password=password)


@pytest.mark.parametrize(
    ("broker", "url"),
    [
        ({"url": "redis://:p@h:1/2"}, "redis://:p@h:1/2"),
        ({"url": "rediss://:p@h:1/2"}, "rediss://:p@h:1/2?ssl_cert_reqs=CERT_REQUIRED"),
        ({"host": "h", "password": "p/w", "database": 3}, "redis://:p%2Fw@h:6379/3"),
        ({"host": "h"}, "redis://h:6379/0"),
        ({"host": "fd00::2"}, "redis://[fd00::2]:6379/0"),
        (
            {"host": "h", "username": "u", "password": "p", "tls": True, "ca_certificate": "PEM"},
            "rediss://u:p@h:6379/0?ssl_cert_reqs=CERT_REQUIRED"
            "&ssl_ca_certs=/run/secrets/astro-pulumi/broker-ca.pem",
        ),
    ],
)
def test_external_broker(broker: dict[str, Any], url: str) -> None:
    made = secrets(spec(broker=broker))
    assert made["broker"]["AIRFLOW__CELERY__BROKER_URL"] == url


def test_certificates_are_mounted_where_the_urls_say() -> None:
    program = deploy(arguments(broker={"host": "h", "tls": True, "ca_certificate": "PEM"}))
    mounts = program.get("analytics-worker-default", "Deployment").container["volumeMounts"]
    assert any(mount["mountPath"] == "/run/secrets/astro-pulumi" for mount in mounts)


@every_version
def test_what_the_deployment_is_built_around_cannot_be_set(version: str) -> None:
    """Whatever carries a secret of the Deployment's own, or the probes and the release Job rely on."""
    facts = spec(airflow_version=version).facts
    own = {name for group in facts.secret_settings.values() for name in group}
    own -= {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC", "PGSSLROOTCERT"}  # another driver may do
    for name in own:
        with pytest.raises(ArgumentError, match=r"is made by|is set by"):
            check_environment_name(name, "environment")


def test_what_the_jobs_of_a_deploy_read_cannot_be_set() -> None:
    folder = resources.files("astro_pulumi") / "pod_files"
    text = "\n".join(file.read_text() for file in folder.iterdir() if file.is_file())
    names = set(re.findall(r"\bASTRO_[A-Z_]+\b", text))
    assert len(names) > 8
    for name in names:
        with pytest.raises(ArgumentError):
            check_environment_name(name, "environment")


def test_a_connection_may_be_a_secret_environment_variable() -> None:
    name = "AIRFLOW_CONN_WAREHOUSE"
    program = deploy(arguments(secret_environment={name: "postgres://u:p@h"}))
    assert secrets_of(program, "environment")[name] == "postgres://u:p@h"
