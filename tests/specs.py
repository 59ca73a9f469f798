"""Deployments as tests need them: the least of one, and one that uses everything."""

import base64
from typing import Any, Final, cast

from astro_pulumi.args import DeploymentArgs
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.validation import specify

REPOSITORY: Final = "ghcr.io/acme/analytics"
IMAGE = f"{REPOSITORY}@sha256:" + "0" * 64
VERSIONS = ("2.7", "2.11", "3.0", "3.3")


def arguments(**more: Any) -> DeploymentArgs:
    """The least that a Deployment needs, and `more`."""
    return cast(DeploymentArgs, {"image": IMAGE, "airflow_version": "3.3", **more})


def spec(**more: Any) -> DeploymentSpec:
    """The same, validated."""
    return specify("analytics", arguments(**more))


def everything(**more: Any) -> DeploymentArgs:
    """A Deployment with every feature that can be had at once."""
    return arguments(
        registry={
            "repository": "ghcr.io/acme/analytics",
            "username": "acme",
            "password": "hunter2",
        },
        webserver={"replicas": 2},
        scheduler={"replicas": 2, "resources": {"limits": {"cpu": "1"}}},
        triggerer={"replicas": 2},
        dag_processor={"replicas": 2},
        worker_queues=[
            {"name": "default", "min_count": 2, "max_count": 10},
            {
                "name": "heavy",
                "concurrency": 2,
                "min_count": 0,
                "max_count": 4,
                "resources": {"limits": {"memory": "8Gi", "ephemeral-storage": "20Gi"}},
                "termination_grace_period_seconds": 3600,
                "placement": {
                    "node_selector": {"pool": "heavy"},
                    "tolerations": [{"key": "heavy", "operator": "Exists", "effect": "NoSchedule"}],
                },
            },
        ],
        autoscaling={"type": "keda"},
        environment={"AIRFLOW__CORE__PARALLELISM": "64"},
        secret_environment={"TOKEN": "s3cret"},
        connections={"warehouse": {"type": "postgres", "host": "db.test", "password": "p/w"}},
        variables={"greeting": "hello"},
        service={"annotations": {"a": "b"}},
        ingress={"host": "airflow.acme.com", "tls_secret": "airflow-tls", "class_name": "nginx"},
        placement={"priority_class": "high"},
        pod_template={"metadata": {"labels": {"team": "data"}, "annotations": {"b": "c"}}},
        service_account_annotations={"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/a"},
        remote_logging={"folder": "s3://logs/analytics", "encrypt_s3": True},
        metrics={"exporter_image": "prom/statsd-exporter:v0.28.0", "service_monitor": True},
        pgbouncer={"image": "ghcr.io/acme/pgbouncer@sha256:" + "1" * 64, "replicas": 2},
        **more,
    )


TOLERATION: Final = {
    "key": "a",
    "operator": "Equal",
    "value": "b",
    "effect": "NoExecute",
    "toleration_seconds": 60,
}
RESOURCES: Final = {
    "requests": {"cpu": "700m", "memory": "2Gi"},
    "limits": {"cpu": "1500m", "memory": "3Gi", "ephemeral-storage": "20Gi"},
}
PLACEMENT: Final = {
    "node_selector": {"pool": "small"},
    "tolerations": [TOLERATION],
    "affinity": {"nodeAffinity": {"x": [1, {"y_z": "w"}]}},  # keys of Kubernetes' own
    "priority_class": "high",
    "topology_spread_constraints": [
        {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    ],
}
PATCH: Final = {
    "metadata": {"labels": {"team": "data"}, "annotations": {"a": "b"}},
    "spec": {
        "containers": [{"name": "airflow", "env": [{"name": "NODE_A", "value": "b_c"}]}],
        "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["a.test"]}],
    },
}
OWN: Final = {"placement": PLACEMENT, "pod_template": PATCH}
SIZE: Final = {"replicas": 3, "resources": RESOURCES, **OWN}
PROCESSES: Final = ("webserver", "scheduler", "triggerer", "dag_processor")

FERNET_KEY: Final = base64.urlsafe_b64encode(b"0" * 32).decode()
# Together these four give every argument that needs neither a project on disk nor a cluster.
YOURS: Final[dict[str, Any]] = {
    "registry": {
        "repository": REPOSITORY,
        "pull_repository": "mirror:5000/analytics",
        "pull_secret": "mine",
    },
    **dict.fromkeys(PROCESSES, SIZE),
    "termination_grace_period_seconds": 700,
    "worker_queues": [
        {
            "name": "a",
            "concurrency": 7,
            "min_count": 3,
            "resources": RESOURCES,
            "termination_grace_period_seconds": 60,
            **OWN,
        },
        {"name": "b"},
    ],
    **OWN,
    "service_account_annotations": {"c": "d"},
    "fixed_user_ids": False,
    "environment": {"A": "b"},
    "secret_environment": {"C": "d"},
    "connections": {
        "one": {"uri": "http://h"},
        "two": {
            "type": "postgres",
            "host": "h",
            "schema": "s",
            "login": "l",
            "password": "p",
            "port": 1,
            "extra": '{"e": 1}',
        },
    },
    "variables": {"greeting": "hello"},
    "fernet_key": FERNET_KEY,
    "auth": {"admin_password": "s3same"},
    "remote_logging": {"folder": "s3://b/p", "connection_id": "aws", "encrypt_s3": True},
    "log_retention_days": 3,
    "metrics": {"statsd_host": "s.test", "statsd_port": 9, "prefix": "p"},
    "database": {
        "host": "db.test",
        "port": 5433,
        "name": "n",
        "username": "u",
        "password": "p",
        "ssl_mode": "verify-full",
        "ca_certificate": "PEM",
    },
    "broker": {
        "host": "redis.test",
        "port": 6380,
        "database": 2,
        "username": "u",
        "password": "p",
        "tls": True,
        "ca_certificate": "PEM",
    },
    "service": {
        "type": "NodePort",
        "node_port": 31000,
        "annotations": {"a": "b"},
        "base_url": "https://airflow.acme.com",
    },
    "ingress": {
        "host": "a.b",
        "path": "/c",
        "class_name": "nginx",
        "tls_secret": "t",
        "annotations": {"d": "e", "f.g/h_i": "j"},
    },
    "database_downgrade": "refuse",
    "history_limit": 7,
    "timeouts": {"release_job": 100, "rollout": 200},
}
EMBEDDED: Final[dict[str, Any]] = {
    "worker_queues": [{"name": "a", "max_count": 4}],
    "autoscaling": {"target_cpu_percent": 50, "cooldown_period_seconds": 60},
    "remote_logging": {"elasticsearch_host": "https://u:p@es:9200"},
    "metrics": {"otel_host": "o.test", "otel_port": 8},
    "database": {
        "image": "mine:1",
        "storage_size": "20Gi",
        "storage_class": "fast",
        "resources": RESOURCES,
        "placement": PLACEMENT,
        "backup_before_downgrade": True,
    },
    "broker": {
        "image": "mine:1",
        "storage_size": "20Gi",
        "storage_class": "fast",
        "resources": RESOURCES,
        "placement": PLACEMENT,
    },
    "pgbouncer": {
        "image": "pgbouncer:1",
        "replicas": 3,
        "resources": RESOURCES,
        "placement": PLACEMENT,
        "pool_size": 7,
        "max_client_connections": 70,
        "settings": {"pool_mode": "session"},
    },
    "service": {"type": "LoadBalancer", "load_balancer_source_ranges": ["10.0.0.0/8"]},
    "http_route": {
        "gateway": "g",
        "gateway_namespace": "n",
        "listener": "l",
        "host": "a.b",
        "path": "/c",
        "tls": False,
    },
    "auth": {"manager": "simple"},
    "network_policies": {
        "webserver_from": [{"podSelector": {}}],
        "egress": [{"ports": [{"port": 8200}]}],
    },
}
BY_URL: Final[dict[str, Any]] = {
    "image": f"{REPOSITORY}@sha256:{'a' * 64}",
    "airflow_version": "2.10.4",
    "namespace": "data",
    "worker_queues": [{"name": "a", "max_count": 4}],
    "autoscaling": {"type": "keda", "polling_interval_seconds": 5},
    "metrics": {
        "exporter_image": "exporter:1",
        "service_monitor": True,
        "resources": RESOURCES,
        "placement": PLACEMENT,
    },
    "database": {
        "url": "postgresql://u:p@h/n",
        "ca_certificate_from": {"secret": "db-ca", "key": "ca.crt"},
    },
    "broker": {
        "url": "redis://:p@h:1/2",
        "ca_certificate_from": {"config_map": "authorities", "key": "redis.pem"},
    },
    "network_policies": {"enabled": False},
}
# Everything that can be in an existing Secret or ConfigMap is in one.
EXISTING: Final[dict[str, Any]] = {
    "environment_from": [
        {"secret": "tokens"},
        {"config_map": "shared", "prefix": "AIRFLOW_VAR_"},
    ],
    "connections": {
        "one": {"value_from": {"secret": "connections", "key": "one"}},
        "two": {"value_from": {"config_map": "words", "key": "two"}},
    },
    "variables_from": {
        "greeting": {"config_map": "words", "key": "hello"},
        "password": {"secret": "words", "key": "open"},
    },
    "fernet_key_from": {"secret": "fernet", "key": "keys"},
    "auth": {"admin_password_from": {"secret": "admin", "key": "word"}},
    "database": {
        "host": "db.test",
        "login_from": {"secret": "db-login", "username_key": "user", "password_key": "pass"},
        "ca_certificate_from": {"config_map": "authorities", "key": "db.pem"},
    },
    "broker": {
        "host": "redis.test",
        "tls": True,
        "login_from": {"secret": "redis-login", "username_key": "user", "password_key": "pass"},
        "ca_certificate_from": {"secret": "redis-ca", "key": "ca.crt"},
    },
    "pgbouncer": {"image": "pgbouncer:1"},
    "worker_queues": [{"name": "a", "max_count": 4}],
    "autoscaling": {"type": "keda"},
}
# By name, what tests of all arguments give.
CASES: Final[dict[str, Any]] = {
    "everything": everything(platform="linux/arm64"),
    "yours": arguments(**YOURS),
    "embedded": arguments(**EMBEDDED),
    "by_url": arguments(**BY_URL),
    "existing": arguments(**EXISTING),
}
