"""Values in existing Secrets and ConfigMaps: who reads them, and that nobody else sees them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pulumi
import pytest

from astro_pulumi.errors import ArgumentError
from tests.mock_engine import Program, Resource, deploy
from tests.specs import EXISTING, FERNET_KEY, arguments, spec
from tests.unit.release.pod_file import load

urls = load("astro_urls_with_login")
PROCESSES = ("webserver", "scheduler", "triggerer", "dag-processor")
# What the Secrets of `EXISTING` hold.
CONTENT: dict[tuple[str, str], str] = {
    ("tokens", "TOKEN"): "t",
    ("connections", "one"): "http://user:word@host",
    ("words", "open"): "sesame",
    ("fernet", "keys"): FERNET_KEY,
    ("admin", "word"): "s3same",
    ("db-login", "user"): "air flow",
    ("db-login", "pass"): "p:/?#@% $HOME\"'\n",
    ("redis-login", "user"): "celery",
    ("redis-login", "pass"): "r@dis",
}
DATABASE = "air%20flow:p%3A%2F%3F%23%40%25%20%24HOME%22%27"


@pytest.fixture(scope="module")
def program() -> Program:
    return deploy(arguments(**EXISTING))


def environment(program: Program, workload: Resource) -> dict[str, str]:
    """The variables of a container as Kubernetes makes them, with the URLs composed."""
    found: dict[str, str] = {}
    made = {resource.object_name: resource for resource in program if resource.kind}
    for source in workload.container["envFrom"]:
        kind, field = ("Secret", "stringData") if "secretRef" in source else ("ConfigMap", "data")
        name = source[f"{kind[0].lower()}{kind[1:]}Ref"]["name"]
        if name in made:
            found |= made[name].inputs[field]
        found |= {key: value for (secret, key), value in CONTENT.items() if secret == name}
    for variable in workload.container["env"]:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference:
            found[variable["name"]] = CONTENT[reference["name"], reference["key"]]
    urls.compose_urls(found)
    return found


def workloads(program: Program) -> list[Resource]:
    return [
        *(program.get(f"analytics-{name}", "Deployment") for name in PROCESSES),
        program.get("analytics-worker-a", "Deployment"),
        program.get("analytics-release-job", "Job"),
    ]


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_composes_the_database_url(program: Program, name: str) -> None:
    found = environment(program, program.get(f"analytics-{name}", "Deployment"))
    url = f"postgresql+psycopg2://{DATABASE}@analytics-pgbouncer:6432/airflow"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == url
    assert found["AIRFLOW__CORE__FERNET_KEY"] == FERNET_KEY


def test_the_release_job_composes_the_url_past_pgbouncer(program: Program) -> None:
    found = environment(program, program.get("analytics-release-job", "Job"))
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == (
        f"postgresql+psycopg2://{DATABASE}@db.test:5432/airflow"
        "?sslmode=require&sslrootcert=/run/secrets/astro-pulumi/database-ca.pem"
    )
    assert found["ASTRO_ADMIN_PASSWORD"] == "s3same"
    assert found["ASTRO_ADMIN_USERNAME"] == "admin"


def test_the_webserver_composes_the_url_of_asyncpg(program: Program) -> None:
    found = environment(program, program.get("analytics-webserver", "Deployment"))
    name = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"
    assert found[name] == f"postgresql+asyncpg://{DATABASE}@db.test:5432/airflow?ssl=require"


def test_a_worker_composes_the_brokers_url_alone(program: Program) -> None:
    worker = program.get("analytics-worker-a", "Deployment")
    found = environment(program, worker)
    url = (
        "rediss://celery:r%40dis@redis.test:6379/0?ssl_cert_reqs=CERT_REQUIRED"
        "&ssl_ca_certs=/run/secrets/astro-pulumi/broker-ca.pem"
    )
    assert found["AIRFLOW__CELERY__BROKER_URL"] == found["AIRFLOW__CELERY__RESULT_BACKEND"] == url
    assert "db-login" not in json.dumps(worker.inputs), "tasks of Airflow 3 see no database"


def test_a_worker_of_airflow_2_composes_the_databases_url_too() -> None:
    program = deploy(arguments(**{**EXISTING, "airflow_version": "2.11"}))
    found = environment(program, program.get("analytics-worker-a", "Deployment"))
    url = f"postgresql+psycopg2://{DATABASE}@analytics-pgbouncer:6432/airflow"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == url
    assert found["AIRFLOW__CELERY__RESULT_BACKEND"] == f"db+{url}"


def test_connections_and_variables_are_read_by_those_who_run_dag_code(program: Program) -> None:
    for workload in workloads(program):
        found = environment(program, workload)
        is_scheduler = workload.name == "analytics-scheduler"
        assert ("AIRFLOW_CONN_ONE" in found) is not is_scheduler, workload.name
        assert ("AIRFLOW_VAR_PASSWORD" in found) is not is_scheduler, workload.name
        assert found["TOKEN"] == "t", workload.name


def test_no_secret_of_the_deployment_has_a_login_of_the_users(program: Program) -> None:
    for secret in program.kinds("Secret"):
        for key, value in secret.inputs["stringData"].items():
            assert not key.startswith("ASTRO_ADMIN_PASSWORD")
            assert "://" not in value or "@" not in value, key
    admin = program.get("analytics-admin", "Secret").inputs["stringData"]
    assert admin == {"ASTRO_ADMIN_USERNAME": "admin"}


def test_a_password_in_a_secret_is_no_output(program: Program) -> None:
    assert program.result["admin_username"] == "admin"
    assert program.result["admin_password"] is None


def test_what_the_deployment_sets_wins(program: Program) -> None:
    """Nobody knows the keys of these objects: they must not replace the database's URL."""
    for workload in workloads(program):
        sources = workload.container["envFrom"]
        assert sources[0] == {"secretRef": {"name": "tokens"}}
        assert sources[1] == {"prefix": "AIRFLOW_VAR_", "configMapRef": {"name": "shared"}}
        assert len(sources) > 2


def test_a_variable_of_the_users_wins_over_a_connection() -> None:
    name = "AIRFLOW_CONN_ONE"
    program = deploy(arguments(**EXISTING, secret_environment={name: "http://other"}))
    job = program.get("analytics-release-job", "Job")
    assert name not in {variable["name"] for variable in job.container["env"]}
    assert environment(program, job)[name] == "http://other"


def test_a_variable_may_be_in_a_config_map(program: Program) -> None:
    job = program.get("analytics-release-job", "Job").container["env"]
    (one,) = (variable for variable in job if variable["name"] == "AIRFLOW_VAR_GREETING")
    assert one["valueFrom"] == {"configMapKeyRef": {"name": "words", "key": "hello"}}


def test_certificates_are_mounted_where_the_urls_say(program: Program) -> None:
    volumes = program.get("analytics-scheduler", "Deployment").pod["volumes"]
    (mounted,) = (one for one in volumes if one["name"] == "certificates")
    database = {"name": "authorities", "items": [{"key": "db.pem", "path": "database-ca.pem"}]}
    broker = {"name": "redis-ca", "items": [{"key": "ca.crt", "path": "broker-ca.pem"}]}
    assert mounted["projected"]["sources"] == [{"configMap": database}, {"secret": broker}]


@pytest.mark.parametrize("kind", ["secret", "config_map"])
def test_a_certificate_is_in_either_kind(kind: str) -> None:
    reference = {kind: "authorities", "key": "ca.pem"}
    made = deploy(
        arguments(
            database={
                "host": "db.test",
                "username": "u",
                "password": "p",
                "ca_certificate_from": reference,
            },
            broker={"host": "redis.test", "tls": True, "ca_certificate": "PEM"},
            connections={"one": {"value_from": reference}},
            pgbouncer={"image": "pgbouncer:1"},
        )
    )
    kind = {"secret": "secret", "config_map": "configMap"}[kind]
    items = [{"key": "ca.pem", "path": "database-ca.pem"}]
    volumes = {v["name"]: v for v in made.get("analytics-scheduler", "Deployment").pod["volumes"]}
    assert volumes["certificates"]["projected"]["sources"] == [
        {"secret": {"name": "analytics-certificates-abc123"}},
        {kind: {"name": "authorities", "items": items}},
    ]
    volumes = {v["name"]: v for v in made.get("analytics-pgbouncer", "Deployment").pod["volumes"]}
    assert volumes["files"]["projected"]["sources"][1] == {
        kind: {"name": "authorities", "items": [{"key": "ca.pem", "path": "server-ca.pem"}]}
    }
    job = made.get("analytics-release-job", "Job").container["env"]
    (one,) = (variable for variable in job if variable["name"] == "AIRFLOW_CONN_ONE")
    assert one["valueFrom"] == {f"{kind}KeyRef": {"name": "authorities", "key": "ca.pem"}}


def test_keda_reads_the_login_in_the_users_secret(program: Program) -> None:
    targets = program.get("analytics-keda", "TriggerAuthentication").inputs["spec"]
    assert targets["secretTargetRef"] == [
        {"parameter": "userName", "name": "db-login", "key": "user"},
        {"parameter": "password", "name": "db-login", "key": "pass"},
    ]
    (trigger,) = program.get("analytics-worker-a", "ScaledObject").inputs["spec"]["triggers"]
    where = {"host": "db.test", "port": "5432", "dbName": "airflow", "sslmode": "require"}
    assert where.items() <= trigger["metadata"].items()
    assert not [s for s in program.kinds("Secret") if s.name == "analytics-keda"]


@pytest.mark.parametrize("password", ["plain", 'a"b""c\\\'d e$HOME`x`', "newline at its end\n"])
def test_pgbouncer_writes_its_list_of_users(
    program: Program, password: str, tmp_path: Path
) -> None:
    container = program.get("analytics-pgbouncer", "Deployment").container
    fake = tmp_path / "pgbouncer"
    fake.write_text(
        f'#!/bin/sh\necho "$@" "$ASTRO_DATABASE_PASSWORD"\ncat {tmp_path}/userlist.txt\n'
    )
    fake.chmod(0o755)
    *command, configuration, folder = container["command"]
    done = subprocess.run(
        [*command, configuration, str(tmp_path)],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "ASTRO_DATABASE_USERNAME": "u",
            "ASTRO_DATABASE_PASSWORD": password,
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    written = password.rstrip("\n").replace('"', '""')
    assert done.stdout == f'{configuration} \n"u" "{written}"\n'
    files = program.get("analytics-pgbouncer", "Secret").inputs["stringData"]
    assert set(files) == {"pgbouncer.ini"}
    assert f"auth_file = {folder}/userlist.txt" in files["pgbouncer.ini"]
    assert folder in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {variable["name"] for variable in container["env"]} == {
        "ASTRO_DATABASE_USERNAME",
        "ASTRO_DATABASE_PASSWORD",
    }


@pytest.mark.parametrize(
    ("stage", "read"),
    [
        ("webserver", {("db-login", "pass"), ("fernet", "keys"), ("words", "open")}),
        ("workloads", {("redis-login", "pass"), ("connections", "one"), ("words", "open")}),
        ("pgbouncer", {("db-login", "pass")}),
    ],
)
def test_the_watch_of_the_rollout_knows_what_must_not_be_in_a_message(
    program: Program, stage: str, read: set[tuple[str, str]]
) -> None:
    job = program.get(f"analytics-rollout-{stage}", "Job")
    sources = [
        source["secret"]
        for volume in job.pod["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
    ]
    keys = {(s["name"], item["key"]) for s in sources for item in s.get("items", [])}
    assert read <= keys
    assert all(source["optional"] for source in sources), "what is missing is for this Job to say"
    whole = {source["name"] for source in sources if "items" not in source}
    assert ("tokens" in whole) is (stage != "pgbouncer")
    # The filter leaves out users by this name: it would take `airflow` out of every line.
    paths = {item["path"]: item["key"] for s in sources for item in s.get("items", [])}
    items = [item for source in sources for item in source.get("items", [])]
    assert len(paths) == len(items), "two files of one volume have the same name"
    users = {path for path, key in paths.items() if key == "user"}
    assert users
    assert all(path.endswith("_USERNAME") for path in users)


REFERENCE = {"secret": "s", "key": "k"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"environment_from": [{}]}, "environment_from[0].secret: give either"),
        (
            {"environment_from": [{"secret": "a", "config_map": "b"}]},
            "environment_from[0].secret: give either",
        ),
        (
            {"environment_from": [{"secret": "a", "prefix": "a-b"}]},
            "environment_from[0].prefix: 'a-b' is not a valid prefix",
        ),
        ({"fernet_key_from": {"secret": "s"}}, "fernet_key_from.key: is required"),
        (
            {"auth": {"admin_password_from": {"config_map": "c", "key": "k"}}},
            "auth.admin_password_from.config_map: there is no such argument",
        ),
        (
            {"fernet_key": FERNET_KEY, "fernet_key_from": REFERENCE},
            "fernet_key_from: must not be given with `fernet_key`",
        ),
        (
            {"auth": {"admin_password": "x", "admin_password_from": REFERENCE}},
            "auth.admin_password_from: must not be given with `admin_password`",
        ),
        (
            {"connections": {"a": {"type": "http", "value_from": REFERENCE}}},
            "connections['a'].uri: give either",
        ),
        (
            {"connections": {"a": {"host": "h", "value_from": REFERENCE}}},
            "connections['a'].host: must not be given with `value_from`",
        ),
        (
            {"variables": {"a": "b"}, "variables_from": {"A": REFERENCE}},
            "variables_from['A']: is given in `variables` as well",
        ),
        (
            {"database": {"host": "h", "username": "u", "login_from": {"secret": "s"}}},
            "database.login_from: must not be given with `username`",
        ),
        (
            {"database": {"url": "postgresql://u:p@h/d", "login_from": {"secret": "s"}}},
            "database.login_from: must not be given with `url`",
        ),
        ({"database": {"login_from": {"secret": "s"}}}, "database.login_from: is of a service"),
        ({"broker": {"ca_certificate_from": REFERENCE}}, "broker.ca_certificate_from: is of a"),
        (
            {"broker": {"host": "h", "ca_certificate": "PEM", "ca_certificate_from": REFERENCE}},
            "broker.ca_certificate_from: must not be given with `ca_certificate`",
        ),
    ],
)
def test_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        spec(**given)
    assert str(caught.value).startswith(says)


def test_names_may_be_outputs() -> None:
    """A Secret of the same program, and the address of its database."""

    def program() -> dict[str, Any]:
        def later(value: Any) -> pulumi.Output[Any]:
            return pulumi.Output.from_input(value)

        return {
            **EXISTING,
            "database": {
                "host": later("db.test"),
                "port": later(5432.0),
                "name": later("airflow"),
                "ssl_mode": later("require"),
                "login_from": {
                    "secret": later("db-login"),
                    "username_key": later("user"),
                    "password_key": later("pass"),
                },
                "ca_certificate_from": {"config_map": later("authorities"), "key": later("db.pem")},
            },
        }

    plain = deploy(arguments(**EXISTING))
    found = deploy(arguments(**program()))
    for workload in workloads(plain):
        same = found.get(workload.name, workload.kind)
        assert environment(found, same) == environment(plain, workload)
        assert json.dumps(same.pod, sort_keys=True) == json.dumps(workload.pod, sort_keys=True)
