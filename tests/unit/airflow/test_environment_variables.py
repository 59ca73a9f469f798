"""What Airflow reads from its environment, for each version."""

import json
import re
from importlib import resources
from typing import Any

import pulumi
import pytest

from astro_pulumi.airflow.environment_variables import (
    check_environment_name,
    connections_and_variables,
    process_settings,
    secret_settings,
    settings,
)
from astro_pulumi.airflow.version_differences import AIRFLOW
from astro_pulumi.errors import ArgumentError
from tests.mock_engine import Program, deploy, secrets
from tests.specs import VERSIONS, arguments, spec

every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
def test_every_placeholder_is_filled(version: str) -> None:
    deployment = spec(airflow_version=version)
    own = [process_settings(deployment, process) for process in deployment.processes]
    for values in (settings(deployment), *own):
        assert not [value for value in values.values() if "{" in str(value)]


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
            {"remote_logging": {"folder": "wasb://logs/a/b", "connection_id": "azure"}},
            {
                "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "wasb://a/b",
                "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "azure",
                "AIRFLOW__AZURE_REMOTE_LOGGING__REMOTE_WASB_LOG_CONTAINER": "logs",
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


QUEUED_TIMEOUT = "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"
TOKEN_LIFETIME = "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME"
PARALLELISM = "AIRFLOW__CORE__PARALLELISM"
BROKER_OPTION = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__"
RESULT_OPTION = "AIRFLOW__CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS__"
VISIBILITY_TIMEOUT = f"{BROKER_OPTION}VISIBILITY_TIMEOUT"
KEY_PREFIX = f"{BROKER_OPTION}GLOBAL_KEYPREFIX"
CELERY_CONFIG = "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"


def own(component: str = "scheduler", **given: Any) -> dict[str, Any]:
    """Return the variables of one process alone."""
    deployment = spec(**given)
    processes = (*deployment.processes, deployment.facts.worker)
    return process_settings(deployment, next(p for p in processes if p.component == component))


def test_a_queued_task_waits_longer_than_workers_drain() -> None:
    assert int(own(termination_grace_period_seconds=3600)[QUEUED_TIMEOUT]) > 3600
    assert QUEUED_TIMEOUT not in own(environment={QUEUED_TIMEOUT: "5"}), "the user's own wins"


@pytest.mark.parametrize("version", ["3.0", "3.1", "3.2", "3.2.1"])
def test_a_task_token_outlives_the_wait_in_the_queue(version: str) -> None:
    found = own(airflow_version=version, termination_grace_period_seconds=3600)
    assert int(found[TOKEN_LIFETIME]) > int(found[QUEUED_TIMEOUT])
    waiting: dict[str, Any] = {"airflow_version": version, "environment": {QUEUED_TIMEOUT: "7200"}}
    assert int(own(**waiting)[TOKEN_LIFETIME]) > 7200, "the user's wait counts"
    assert TOKEN_LIFETIME not in own(airflow_version=version, environment={TOKEN_LIFETIME: "5"})


@pytest.mark.parametrize("version", ["2.11", "3.2.2", "3.3"])
def test_later_versions_make_the_token_live_as_long_as_the_wait(version: str) -> None:
    assert TOKEN_LIFETIME not in own(airflow_version=version)


def test_a_wait_that_is_no_number_is_refused() -> None:
    with pytest.raises(ArgumentError, match="must be a number of seconds"):
        own(airflow_version="3.1", environment={QUEUED_TIMEOUT: "long"})


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        ([{"name": "a"}], 32),
        ([{"name": "a", "concurrency": 16, "max_count": 10}], 160),
        ([{"name": "a", "concurrency": 16, "min_count": 2}, {"name": "b", "max_count": 8}], 72),
    ],
)
@every_version
def test_airflow_may_fill_the_slots_of_all_workers(
    version: str, queues: list[dict[str, Any]], expected: int
) -> None:
    assert own(airflow_version=version, worker_queues=queues)[PARALLELISM] == str(expected)


def test_the_users_parallelism_wins() -> None:
    given: dict[str, Any] = {"environment": {PARALLELISM: "4"}}
    assert PARALLELISM not in own(**given)
    assert settings(spec(**given))[PARALLELISM] == "4"


@pytest.mark.parametrize("component", ["scheduler", "worker"])
@pytest.mark.parametrize(("grace", "expected"), [(600, 86_400), (100_000, 200_000)])
@every_version
def test_a_message_is_not_sent_again_while_its_task_may_run(
    version: str, component: str, grace: int, expected: int
) -> None:
    found = own(component, airflow_version=version, termination_grace_period_seconds=grace)
    assert found[VISIBILITY_TIMEOUT] == str(expected)


def test_the_users_visibility_timeout_wins() -> None:
    given: dict[str, Any] = {"environment": {VISIBILITY_TIMEOUT: "7"}}
    assert VISIBILITY_TIMEOUT not in own("worker", **given)


def test_values_may_follow_from_outputs() -> None:
    queue = {
        "name": "default",
        "concurrency": pulumi.Output.from_input(50),
        "termination_grace_period_seconds": pulumi.Output.from_input(4000),
    }
    program = deploy(arguments(worker_queues=[queue]))
    variables = program.get("analytics-scheduler", "Deployment").container["env"]
    found = {one["name"]: one["value"] for one in variables}
    assert (found[PARALLELISM], found[QUEUED_TIMEOUT]) == ("50", "4300")
    assert VISIBILITY_TIMEOUT in str(program.get("analytics-worker-default", "Deployment").pod)


def user_settings(**given: Any) -> dict[str, Any]:
    """Return what the ConfigMap and the Secret of the user's own variables hold."""
    return {**settings(spec(**given)), **secret_settings(spec(**given))}


def test_airflow_3_prefixes_results_as_the_broker_prefixes_keys() -> None:
    found = user_settings(environment={KEY_PREFIX: "team_"})
    assert json.loads(found[CELERY_CONFIG]) == {
        "result_backend_transport_options": {"global_keyprefix": "team_"}
    }
    assert CELERY_CONFIG not in user_settings(
        airflow_version="2.11", environment={KEY_PREFIX: "t_"}
    )


def test_the_prefix_of_results_is_merged_into_the_users_celery_configuration() -> None:
    given = {KEY_PREFIX: "t_", CELERY_CONFIG: '{"worker_max_tasks_per_child": 10}'}
    assert json.loads(user_settings(environment=given)[CELERY_CONFIG]) == {
        "worker_max_tasks_per_child": 10,
        "result_backend_transport_options": {"global_keyprefix": "t_"},
    }
    secret = deploy(
        arguments(environment={CELERY_CONFIG: "{}"}, secret_environment={KEY_PREFIX: "s_"})
    )
    assert "s_" in secrets_of(secret, "environment")[CELERY_CONFIG], "a secret stays one"
    assert secret.get("analytics-settings", "ConfigMap").inputs["data"][CELERY_CONFIG] == "{}"
    own_prefix = {KEY_PREFIX: "t_", f"{RESULT_OPTION}GLOBAL_KEYPREFIX": "r_"}
    found = user_settings(environment=own_prefix)
    assert CELERY_CONFIG not in found, "the user's own wins"
    own_options = {KEY_PREFIX: "t_", f"{RESULT_OPTION}SOCKET_TIMEOUT": "5"}
    assert user_settings(environment=own_options)[f"{RESULT_OPTION}GLOBAL_KEYPREFIX"] == "t_"


@pytest.mark.parametrize("text", ["no JSON", "[]"])
def test_a_celery_configuration_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="must be a JSON object"):
        settings(spec(environment={KEY_PREFIX: "t_", CELERY_CONFIG: text}))


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
def test_calls_inside_the_deployment_do_not_go_to_a_proxy(name: str) -> None:
    found = user_settings(environment={name: "http://proxy.corp:3128"})
    for no_proxy in ("no_proxy", "NO_PROXY"):
        assert {"analytics-webserver", "localhost"} <= set(found[no_proxy].split(","))


def test_the_users_no_proxy_is_kept() -> None:
    given = {
        "http_proxy": "http://p:1",
        "no_proxy": "corp.test, a.test",
        "NO_PROXY": "a.test,b.test",
    }
    found = user_settings(environment=given)
    assert found["no_proxy"] == found["NO_PROXY"]
    assert found["no_proxy"].startswith("corp.test,a.test,b.test,localhost,")
    secret = user_settings(
        environment={"http_proxy": "http://p:1"}, secret_environment={"NO_PROXY": "s.test"}
    )
    assert secret["NO_PROXY"].startswith("s.test,localhost,")


def test_without_a_proxy_there_is_no_exception_from_it() -> None:
    assert {"no_proxy", "NO_PROXY"}.isdisjoint(user_settings())


@pytest.mark.parametrize(
    "name",
    [
        "AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA",
        "AIRFLOW__CORE__SQL_ALCHEMY_SCHEMA",
        "PGOPTIONS",
        "AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL",
        "AIRFLOW__API__HOST",
        "AIRFLOW__API__SSL_CERT",
        "AIRFLOW__WEBSERVER__WEB_SERVER_SSL_KEY",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA_CMD",
    ],
)
def test_what_probes_cannot_follow_is_refused_with_the_reason(name: str) -> None:
    for argument in ("environment", "secret_environment"):
        with pytest.raises(ArgumentError, match=r"probe.*\S") as refused:
            spec(**{argument: {name: "x"}})
        assert name in str(refused.value)


@pytest.mark.parametrize("as_output", [False, True])
def test_a_schema_in_the_url_of_the_database_is_refused(as_output: bool) -> None:
    url = "postgresql://u:p@h/d?options=-csearch_path%3Daf"
    given = pulumi.Output.secret(url) if as_output else url
    with pytest.raises((ArgumentError, pulumi.RunError), match="ALTER ROLE"):
        deploy(arguments(database={"url": given}))


def secrets_of(program: Program, name: str) -> dict[str, str]:
    found: dict[str, str] = program.get(f"analytics-{name}", "Secret").inputs["stringData"]
    return found


def test_connections_and_variables_are_in_a_secret_that_their_readers_name() -> None:
    program = deploy(
        arguments(
            connections={"db": {"type": "postgres", "password": "p@/", "port": 5432.0}},
            variables={"greeting": "hello"},
        )
    )
    made = json.loads(secrets_of(program, "connections")["AIRFLOW_CONN_DB"])
    assert made == {"conn_type": "postgres", "password": "p@/", "port": 5432}
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


def test_results_of_airflow_2_are_in_the_database() -> None:
    made = secrets(spec(airflow_version="2.11", database={"url": "postgresql://u:p@h/d"}))
    found = made["broker"]["AIRFLOW__CELERY__RESULT_BACKEND"]
    assert found == "db+postgresql+psycopg2://u:p@h/d"


@pytest.mark.parametrize(
    "broker", [{}, {"host": "h", "tls": True, "password": "p", "ca_certificate": "PEM"}]
)
def test_results_of_airflow_3_are_in_the_broker_with_its_tls(broker: dict[str, Any]) -> None:
    made = secrets(spec(broker=broker))["broker"]
    assert made["AIRFLOW__CELERY__RESULT_BACKEND"] == made["AIRFLOW__CELERY__BROKER_URL"]


@pytest.mark.parametrize("version", ["3.0", "3.3"])
@pytest.mark.parametrize("pgbouncer", [None, {"image": "pgbouncer:1"}])
def test_no_pod_of_an_airflow_3_worker_holds_a_login_to_the_database(
    version: str, pgbouncer: Any
) -> None:
    database = {"host": "db.test", "username": "u", "password": "of-the-database"}
    program = deploy(
        arguments(airflow_version=version, database=database, pgbouncer=pgbouncer), "a"
    )
    holding = {
        secret.object_name
        for secret in program.kinds("Secret")
        if any("of-the-database" in value for value in secret.inputs["stringData"].values())
    }
    assert holding, "somebody has to know it"
    pod = str(program.get("a-worker-default", "Deployment").pod)
    assert not [name for name in holding if name in pod]


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
        with pytest.raises(ArgumentError, match=r"is generated by|is set by"):
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
