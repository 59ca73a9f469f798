"""What each argument of a Deployment does. An argument that is not here fails."""

import json
from contextlib import chdir
from typing import Any, Final

import pytest

from tests.mock_engine import Program, deploy, write_project
from tests.specs import (
    BY_URL,
    EMBEDDED,
    FERNET_KEY,
    PLACEMENT,
    PROCESSES,
    REPOSITORY,
    TOLERATION,
    YOURS,
    arguments,
)
from tests.unit.test_bad_arguments import all_arguments

# Few Deployments with many arguments each: to render one takes a while.
BUILT: Final[dict[str, Any]] = {
    "project": "project",
    "image": None,
    "airflow_version": None,
    "platform": "linux/arm64",
    "registry": {
        "repository": REPOSITORY,
        "username": "acme",
        "password": "hunter2",
        "pull_repository": "mirror:5000/analytics",
    },
}
CASES: Final = {
    "default": {},
    "built": BUILT,
    "yours": YOURS,
    "embedded": EMBEDDED,
    "by_url": BY_URL,
}
# For each object what it has because of some arguments, and does not have without them.
EFFECTS: Final[dict[str, dict[str, str]]] = {
    "Image image": {
        "project": '"context": ".astro-pulumi/contexts/',
        "platform": '"platform": "linux/arm64"',
        "registry.repository": f'"imageName": "{REPOSITORY}:',
    },
    "Secret registry": {
        "registry.username registry.password": '"username": "acme", "password": "hunter2"',
    },
    "ServiceAccount airflow": {
        "registry.pull_secret": '"imagePullSecrets": [{"name": "mine"}]',
        "service_account_annotations": '"c": "d"',
    },
    "Deployment webserver": {
        "airflow_version": '"webserver", "--pid"',
        "webserver.replicas": '"replicas": 3',
    },
    "Deployment scheduler": {
        "registry.pull_repository": '"image": "mirror:5000/analytics@sha256:',
        "image": f'"image": "{BY_URL["image"]}"',
        "namespace": '"namespace": "data"',
        "scheduler.replicas": '"replicas": 3',
        "fixed_user_ids": '{"name": "USER", "value": "airflow"}',
        "log_retention_days": '"3"]',
        "timeouts.rollout": '"progressDeadlineSeconds": 200',
    },
    "Deployment triggerer": {"triggerer.replicas": '"replicas": 3'},
    "Deployment dag-processor": {"dag_processor.replicas": '"replicas": 3'},
    "Deployment worker-a": {
        "worker_queues.name": '"--queues", "a,default"',
        "worker_queues.concurrency": '"--concurrency", "7"',
        "worker_queues.min_count": '"replicas": 3',
        "worker_queues.termination_grace_period_seconds": '"terminationGracePeriodSeconds": 60',
    },
    "Deployment worker-b": {
        "termination_grace_period_seconds": '"terminationGracePeriodSeconds": 700',
    },
    "HorizontalPodAutoscaler worker-a": {
        "worker_queues.max_count": '"maxReplicas": 4',
        "autoscaling.target_cpu_percent": '"averageUtilization": 50',
        "autoscaling.cooldown_period_seconds": '"stabilizationWindowSeconds": 60',
    },
    "ScaledObject worker-a": {
        "autoscaling.type": '"maxReplicaCount": 4',
        "autoscaling.polling_interval_seconds": '"pollingInterval": 5',
    },
    "ConfigMap settings": {
        "environment": '"A": "b"',
        "remote_logging.folder": 'REMOTE_BASE_LOG_FOLDER": "s3://b/p"',
        "remote_logging.connection_id": 'REMOTE_LOG_CONN_ID": "aws"',
        "remote_logging.encrypt_s3": 'ENCRYPT_S3_LOGS": "True"',
        "metrics.statsd_host": 'STATSD_HOST": "s.test"',
        "metrics.statsd_port": 'STATSD_PORT": "9"',
        "metrics.prefix": 'STATSD_PREFIX": "p"',
        "metrics.otel_host": 'OTEL_HOST": "o.test"',
        "metrics.otel_port": 'OTEL_PORT": "8"',
        "service.base_url": 'API__BASE_URL": "https://airflow.acme.com"',
        "http_route.tls": 'API__BASE_URL": "http://a.b/c"',
        "auth.manager": "SimpleAuthManager",
    },
    "Secret environment": {
        "secret_environment": '"C": "d"',
        "remote_logging.elasticsearch_host": 'ELASTICSEARCH__HOST": "https://u:p@es:9200"',
    },
    "Secret connections": {
        "connections.uri": '"AIRFLOW_CONN_ONE": "http://h"',
        "connections.type": '"conn_type": "postgres"',
        "connections.host": '"host": "h"',
        "connections.schema": '"schema": "s"',
        "connections.login": '"login": "l"',
        "connections.password": '"password": "p"',
        "connections.port": '"port": 1',
        "connections.extra": '"extra": "{"e": 1}"',
        "variables": '"AIRFLOW_VAR_GREETING": "hello"',
    },
    "Secret metadata": {
        "database.url": "postgresql+psycopg2://u:p@h/n?",
        "database.username database.password database.host database.port database.name "
        "database.ssl_mode": "//u:p@db.test:5433/n?sslmode=verify-full",
        "fernet_key": FERNET_KEY,
    },
    "Secret broker": {
        "broker.url": '"AIRFLOW__CELERY__BROKER_URL": "redis://:p@h:1/2"',
        "broker.tls broker.username broker.password broker.host broker.port "
        "broker.database": "rediss://u:p@redis.test:6380/2?",
    },
    "Secret certificates": {
        "database.ca_certificate": '"database-ca.pem": "PEM"',
        "broker.ca_certificate": '"broker-ca.pem": "PEM"',
    },
    "Secret admin": {"auth.admin_password": '"ASTRO_ADMIN_PASSWORD": "s3same"'},
    **{
        f"StatefulSet {name}": {
            f"{section}.image": '"image": "mine:1"',
            f"{section}.storage_class": '"storageClassName": "fast"',
            f"{section}.storage_size": '{"storage": "20Gi"}',
        }
        for section, name in (("database", "postgresql"), ("broker", "redis"))
    },
    "Deployment pgbouncer": {
        "pgbouncer.image": '"image": "pgbouncer:1"',
        "pgbouncer.replicas": '"replicas": 3',
    },
    "Secret pgbouncer": {
        "pgbouncer.pool_size": "default_pool_size = 7",
        "pgbouncer.max_client_connections": "max_client_conn = 70",
        "pgbouncer.settings": "pool_mode = session",
    },
    "Deployment statsd": {"metrics.exporter_image": '"image": "exporter:1"'},
    "ServiceMonitor statsd": {"metrics.service_monitor": '"port": "metrics"'},
    "Service webserver": {
        "service.type": '"type": "NodePort"',
        "service.node_port": '"nodePort": 31000',
        "service.load_balancer_source_ranges": '"loadBalancerSourceRanges": ["10.0.0.0/8"]',
        "service.annotations": '"a": "b"',
    },
    "Ingress webserver": {
        "ingress.host": '"host": "a.b"',
        "ingress.path": '"path": "/c"',
        "ingress.class_name": '"ingressClassName": "nginx"',
        "ingress.tls_secret": '"secretName": "t"',
        "ingress.annotations": '"d": "e"',
    },
    "HTTPRoute webserver": {
        "http_route.gateway http_route.gateway_namespace http_route.listener": '"parentRefs": '
        '[{"name": "g", "namespace": "n", "sectionName": "l"}]',
        "http_route.host": '"hostnames": ["a.b"]',
        "http_route.path": '"value": "/c"',
    },
    "NetworkPolicy webserver": {
        "network_policies.webserver_from": '{"from": [{"podSelector": {}}]',
        "network_policies.egress": '{"ports": [{"port": 8200}]}',
    },
    "Job release-job": {
        "database_downgrade": '"ASTRO_DATABASE_DOWNGRADE", "value": "refuse"',
        "database.backup_before_downgrade": '"ASTRO_BACKUP_CLAIM", "value": "analytics-backups"',
        "history_limit": '"ASTRO_HISTORY_LIMIT", "value": "7"',
        "timeouts.release_job": f'"activeDeadlineSeconds": {100 + 700}',
    },
}
# Arguments with `resources`, `placement` and `pod_template`, the case that gives them, and the workload.
OWNERS: Final = {
    "": ("yours", "Job release-job"),
    **{f"{name}.": ("yours", f"Deployment {name.replace('_', '-')}") for name in PROCESSES},
    "worker_queues.": ("yours", "Deployment worker-a"),
    "database.": ("embedded", "StatefulSet postgresql"),
    "broker.": ("embedded", "StatefulSet redis"),
    "pgbouncer.": ("embedded", "Deployment pgbouncer"),
    "metrics.": ("by_url", "Deployment statsd"),
}
# These have tests of their own; references to existing objects in `test_existing_secrets.py`.
ELSEWHERE: Final = {"build_secrets", "dag_deploys", "rollback_to", "network_policies.enabled"}
REFERENCES: Final = {
    *("environment_from", "variables_from", "connections.value_from"),
    *("fernet_key_from", "auth.admin_password_from"),
    *(
        f"{section}.{name}_from"
        for section in ("database", "broker")
        for name in ("login", "ca_certificate")
    ),
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Program]:
    """Every case as a program."""
    folder = tmp_path_factory.mktemp("program")
    write_project(folder / BUILT["project"])
    with chdir(folder):
        return {name: deploy(arguments(**case)) for name, case in CASES.items()}


def text_of(program: Program, kind_and_name: str) -> str:
    """Return an object as JSON, with JSON inside of it unescaped; empty if there is no such object."""
    found = [
        json.dumps(one.inputs, sort_keys=True)
        for one in program.resources[1:]
        if f"{one.kind} {one.name.removeprefix('analytics-')}" == kind_and_name
    ]
    return "".join(found).replace("\\", "")


@pytest.mark.parametrize("kind_and_name", EFFECTS)
def test_an_object_shows_its_arguments(programs: dict[str, Program], kind_and_name: str) -> None:
    texts = {case: text_of(program, kind_and_name) for case, program in programs.items()}
    for names, effect in EFFECTS[kind_and_name].items():
        assert any(effect in text for text in texts.values()), names
        assert effect not in texts["default"], names


@pytest.mark.parametrize("owner", OWNERS)
def test_a_pod_has_its_size_place_and_patch(programs: dict[str, Program], owner: str) -> None:
    case, workload = OWNERS[owner]
    kind, name = workload.split()
    found = programs[case].get(f"analytics-{name}", kind)
    pod = found.pod
    if owner:
        resources = found.container["resources"]
        assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == ("700m", "1500m")
    assert pod["nodeSelector"] == {"pool": "small"}
    assert pod["affinity"] == PLACEMENT["affinity"]
    assert pod["priorityClassName"] == "high"
    assert pod["tolerations"] == [
        {
            "key": "a",
            "operator": "Equal",
            "value": "b",
            "effect": "NoExecute",
            "tolerationSeconds": 60,
        }
    ]
    if kind == "Deployment" and name != "statsd":  # all others have one pod
        assert pod["topologySpreadConstraints"][0]["maxSkew"] == 2
    if case == "yours":
        assert found.inputs["spec"]["template"]["metadata"]["labels"]["team"] == "data"


def test_every_argument_is_here() -> None:
    here = {name for effects in EFFECTS.values() for names in effects for name in names.split()}
    for owner, (case, _) in OWNERS.items():
        here |= {f"{owner}placement.{name}" for name in PLACEMENT if name != "tolerations"}
        here |= {f"{owner}placement.tolerations.{name}" for name in TOLERATION}
        here |= {f"{owner}resources.limits", f"{owner}resources.requests"} if owner else set()
        here |= {f"{owner}pod_template"} if case == "yours" else set()
    arguments_there_are = {
        ".".join(step for step in path if isinstance(step, str) and step != "warehouse")
        for path, _ in all_arguments()
    }
    sections = {name.rpartition(".")[0] for name in arguments_there_are}
    referring = {name for name in arguments_there_are if name.rpartition(".")[0] in REFERENCES}
    assert arguments_there_are - sections - referring == here | ELSEWHERE
