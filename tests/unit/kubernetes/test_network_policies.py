"""Which pods may talk to which: every pair of pods and every port, judged as Kubernetes would.

This table is the documentation; the policies are what is made of it. Semantics: a connection is allowed
when an egress rule of a policy that selects the source allows it (or none selects it), and an ingress
rule of a policy that selects the target does too (or none selects it).
"""

import itertools
from typing import Any

import pulumi
import pytest

from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.labels import selector
from astro_pulumi.kubernetes.network_policies import network_policies
from astro_pulumi.validation import specify
from tests.mock_engine import UNKNOWN, deploy
from tests.specs import arguments, spec

PORTS = {
    "webserver": 8080,
    "scheduler": 8974,
    "triggerer": 8794,
    "dag-processor": 9999,
    "worker": 8793,
    "release-job": 9999,
    "rollout": 9999,
    "postgresql": 5432,
    "redis": 6379,
    "stranger": 80,
}

# A worker of Airflow 3 is none: its tasks report to the webserver, their results go to Redis.
DATABASE_CLIENTS = {"webserver", "scheduler", "triggerer", "dag-processor", "release-job"}
AIRFLOW = {*DATABASE_CLIENTS, "worker"}
# What runs Airflow and no DAG code, which may call anything.
BOTH = {"webserver", "scheduler"}
LOGS = {"remote_logging": {"folder": "s3://b", "connection_id": "minio"}}
ENDPOINT = '{"endpoint_url": "http://minio.storage:9000"}'
# Everyone may call the webserver, but PostgreSQL and Redis call nobody, and a scheduler calls only
# its database and its broker in the cluster.
CALLERS = {"webserver", "triggerer", "dag-processor", "worker", "release-job", "stranger"}

ALLOWED_3 = {
    "webserver": {"triggerer", "dag-processor", "worker", "release-job", "rollout", "stranger"},
    "scheduler": set(),
    "triggerer": {"webserver"},
    "dag-processor": set(),
    "worker": {"webserver"},
    "release-job": set(),
    "rollout": set(),
    "postgresql": DATABASE_CLIENTS,
    "redis": {"scheduler", "worker"},
    # The Kubernetes API is a stranger, whose address nobody knows: the watch of a roll-out may call anybody.
    "stranger": {"triggerer", "dag-processor", "worker", "release-job", "rollout"},
}
# Airflow 2's scheduler parses DAGs, whose code may call anything.
ALLOWED_2 = {
    **ALLOWED_3,
    "postgresql": AIRFLOW,
    "webserver": ALLOWED_3["webserver"] | {"scheduler"},
    "stranger": ALLOWED_3["stranger"] | {"scheduler"},
}


@pytest.mark.parametrize(("version", "allowed"), [("2.11", ALLOWED_2), ("3.3", ALLOWED_3)])
def test_matrix(version: str, allowed: dict[str, set[str]]) -> None:
    deployment = spec(airflow_version=version, dag_processor={})
    found: dict[str, set[str]] = {target: set() for target in PORTS}
    for source, target in itertools.permutations(PORTS, 2):
        if "stranger" == source == target:
            continue
        if may_connect(deployment, source, target, PORTS[target]):
            found[target].add(source)
    assert found == allowed


POOLED = {"webserver", "scheduler", "triggerer", "dag-processor"}


@pytest.mark.parametrize(
    ("version", "pooled", "direct"),
    [
        # The webserver of Airflow 3 asks a little through asyncpg.
        ("3.3", POOLED, {"pgbouncer", "release-job", "webserver"}),
        ("2.11", {*POOLED, "worker"}, {"pgbouncer", "release-job"}),
    ],
)
def test_only_pgbouncer_and_migrations_reach_a_pooled_database(
    version: str, pooled: set[str], direct: set[str]
) -> None:
    deployment = spec(airflow_version=version, dag_processor={}, pgbouncer={"image": "pgbouncer"})
    everyone = {*PORTS, "pgbouncer"}
    for target, port, allowed in (("pgbouncer", 6432, pooled), ("postgresql", 5432, direct)):
        found = {
            source
            for source in everyone - {target}
            if may_connect(deployment, source, target, port)
        }
        assert found == allowed
    for target in everyone - {"pgbouncer", "postgresql", "stranger"}:
        assert not may_connect(deployment, "pgbouncer", target, PORTS[target]), target


def test_pgbouncer_reaches_a_database_of_the_users_and_nothing_else() -> None:
    database = {"host": "db.test", "port": 5555, "username": "u", "password": "p"}
    deployment = spec(database=database, pgbouncer={"image": "pgbouncer"})
    assert may_leave(deployment, "pgbouncer", "stranger", 5555)
    assert may_leave(deployment, "pgbouncer", "stranger", 53, "UDP")
    assert not may_leave(deployment, "pgbouncer", "stranger", 443)
    assert not may_leave(deployment, "scheduler", "stranger", 5555), "only through the pool"
    assert may_leave(deployment, "webserver", "stranger", 5555), "Airflow 3 and asyncpg"
    deployment = spec(airflow_version="2.11", database=database, pgbouncer={"image": "pgbouncer"})
    assert not may_leave(deployment, "webserver", "stranger", 5555)


@pytest.mark.parametrize(("type_", "reached"), [("keda", True), ("cpu", False)])
def test_keda_counts_the_tasks_in_an_embedded_database(type_: str, reached: bool) -> None:
    deployment = spec(
        autoscaling={"type": type_}, worker_queues=[{"name": "a", "min_count": 1, "max_count": 2}]
    )
    rules = network_policies(deployment)["postgresql"]["spec"]["ingress"]
    keda = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "keda-operator"}}}
    assert any(keda in rule["from"] for rule in rules) is reached


def test_no_pod_answers_on_another_port() -> None:
    deployment = spec()
    for source, target in itertools.permutations(PORTS, 2):
        if target != "stranger":
            assert not may_connect(deployment, source, target, 22), (source, target)


@pytest.mark.parametrize("port", [53, 5353])  # 5353 is that of OpenShift's DNS pods
def test_everyone_who_calls_a_name_may_ask_for_it(port: int) -> None:
    deployment = spec(pgbouncer={"image": "pgbouncer"})
    for source in [*AIRFLOW, "pgbouncer"]:
        assert may_leave(deployment, source, "stranger", port, "UDP"), source


def test_airflow_reaches_services_of_the_users() -> None:
    deployment = spec(
        database={"host": "db.test", "port": 5555, "username": "u", "password": "p"},
        broker={"host": "redis.test", "port": 6666},
    )
    assert may_leave(deployment, "scheduler", "stranger", 5555)
    assert may_leave(deployment, "scheduler", "stranger", 6666)
    assert not may_leave(deployment, "scheduler", "stranger", 5556)
    assert "postgresql" not in network_policies(deployment)


WITH_NAMES = [
    # What names the port, the port, and who may call it besides pods that run DAG code.
    ({"database": {"url": "postgresql://u:p@a.test:5555,b.test:6666/d"}}, 6666, BOTH),
    ({"database": {"url": "postgresql+psycopg2://u:p@db.test/d"}}, 5432, BOTH),
    ({"database": {"url": "postgresql://u:p@[fd00::1]:5555/d"}}, 5555, BOTH),
    ({"broker": {"url": "rediss://:p@redis.test:6666/0"}}, 6666, {"scheduler"}),
    ({"broker": {"url": "redis://redis.test"}}, 6379, {"scheduler"}),
    ({"metrics": {"otel_host": "o.test", "otel_port": 4444}}, 4444, BOTH),
    ({"remote_logging": {"elasticsearch_host": "http://es.logging:9200"}}, 9200, {"webserver"}),
    ({"remote_logging": {"elasticsearch_host": "http://es.logging"}}, 80, {"webserver"}),
    ({**LOGS, "connections": {"minio": {"type": "aws", "extra": ENDPOINT}}}, 9000, {"webserver"}),
    ({**LOGS, "connections": {"minio": {"uri": "aws://k:s@s3.test:9000"}}}, 9000, {"webserver"}),
    ({**LOGS, "connections": {"minio": {"type": "wasb", "port": 9000}}}, 9000, {"webserver"}),
    ({"environment": {"http_proxy": "http://proxy.corp:3128"}}, 3128, BOTH),
    ({"environment": {"HTTPS_PROXY": "proxy.corp:3128"}}, 3128, BOTH),
    ({"environment": {"AIRFLOW__SECRETS__BACKEND_KWARGS": '{"url": "http://v:8200"}'}}, 8200, BOTH),
    (
        {"secret_environment": {"AIRFLOW__SENTRY__SENTRY_DSN": "https://k@s.test:8443/1"}},
        8443,
        BOTH,
    ),
    ({"environment": {"AIRFLOW__SMTP__SMTP_PORT": "587"}}, 587, BOTH),
]


@pytest.mark.parametrize(("given", "port", "callers"), WITH_NAMES)
def test_who_needs_it_reaches_every_port_that_an_argument_names(
    given: dict[str, Any], port: int, callers: set[str]
) -> None:
    deployment = spec(**given)
    found = {source for source in BOTH if may_leave(deployment, source, "stranger", port)}
    assert found == callers
    assert not {source for source in BOTH if may_leave(spec(), source, "stranger", port)}


def test_ports_of_outputs_are_open_when_they_are_known_and_are_no_secrets() -> None:
    url = pulumi.Output.secret("postgresql://u:p@db.test:5555/d")
    program = deploy(arguments(database={"url": url}))
    rules = program.get("analytics-scheduler", "NetworkPolicy").inputs["spec"]["egress"]
    assert {"port": 5555, "protocol": "TCP"} in rules[-1]["ports"]
    preview = deploy(arguments(database={"url": unknown()}), preview=True)
    rules = preview.get("analytics-scheduler", "NetworkPolicy").inputs["spec"]["egress"]
    assert rules[-1]["ports"] == UNKNOWN


def unknown() -> Any:
    return pulumi.Output.from_input(pulumi.UNKNOWN)


def test_the_user_may_allow_more_for_every_airflow_pod() -> None:
    vault = {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": 8200}]}
    found = network_policies(spec(network_policies={"egress": [vault]}))
    for component in BOTH:
        assert vault in found[component]["spec"]["egress"]
    for component in ("postgresql", "redis"):
        assert found[component]["spec"]["egress"] == []


def test_no_rule_has_an_empty_list_of_ports_which_would_allow_all() -> None:
    for given in ({}, {"pgbouncer": {"image": "p"}}, {"database": {"url": "postgresql://u:p@h/d"}}):
        for policy in network_policies(spec(**given)).values():
            assert [] not in [rule.get("ports") for rule in policy["spec"]["egress"]]


def test_the_webserver_may_be_closed_to_all_but_the_ingress_controller() -> None:
    controller = {"namespaceSelector": {"matchLabels": {"name": "ingress"}}}
    deployment = spec(network_policies={"webserver_from": [controller]})
    assert not may_connect(deployment, "stranger", "webserver", 8080)
    assert may_connect(deployment, "worker", "webserver", 8080), "tasks talk to it"


def test_metrics_reach_the_exporter() -> None:
    deployment = spec(metrics={"exporter_image": "exporter"})
    for source in AIRFLOW:
        assert may_connect(deployment, source, "statsd", 9125, "UDP"), source
    assert may_connect(deployment, "stranger", "statsd", 9102)
    assert not may_connect(deployment, "stranger", "statsd", 9125, "UDP")


def test_two_deployments_do_not_reach_each_other() -> None:
    policies = network_policies(spec())
    other = specify("other", {"image": "a@sha256:" + "0" * 64, "airflow_version": "3.3"})
    pod = selector(other.name, "scheduler")
    for policy in policies.values():
        assert not matches(policy["spec"]["podSelector"], pod)


def test_policies_can_be_left_out() -> None:
    assert network_policies(spec(network_policies={"enabled": False})) == {}


def may_connect(
    deployment: DeploymentSpec, source: str, target: str, port: int, protocol: str = "TCP"
) -> bool:
    return may_leave(deployment, source, target, port, protocol) and allowed(
        deployment, "ingress", "from", target, source, port, protocol
    )


def may_leave(
    deployment: DeploymentSpec, source: str, target: str, port: int, protocol: str = "TCP"
) -> bool:
    return allowed(deployment, "egress", "to", source, target, port, protocol)


def allowed(
    deployment: DeploymentSpec,
    direction: str,
    peers: str,
    subject: str,
    peer: str,
    port: int,
    protocol: str,
) -> bool:
    selecting = [
        policy["spec"]
        for policy in network_policies(deployment).values()
        if matches(policy["spec"]["podSelector"], labels_of(deployment, subject))
    ]
    if not selecting:
        return True
    return any(
        ("ports" not in rule or any(covers(p, port, protocol) for p in rule["ports"]))
        and (
            peers not in rule
            or any(
                "podSelector" in one and matches(one["podSelector"], labels_of(deployment, peer))
                for one in rule[peers]
            )
        )
        for policy in selecting
        for rule in policy[direction]
    )


def covers(rule: dict[str, Any], port: int, protocol: str) -> bool:
    last = rule.get("endPort", rule["port"])
    return bool(rule["protocol"] == protocol and rule["port"] <= port <= last)


def matches(pod_selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return bool(pod_selector["matchLabels"].items() <= labels.items())


def labels_of(deployment: DeploymentSpec, component: str) -> dict[str, str]:
    return {} if component == "stranger" else selector(deployment.name, component)
