"""Deployments as tests need them: the least of one, and one that uses everything."""

from typing import Any, cast

from astro_pulumi.args import DeploymentArgs
from astro_pulumi.spec import DeploymentSpec
from astro_pulumi.validation import specify

IMAGE = "ghcr.io/acme/analytics@sha256:" + "0" * 64
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
        scheduler={"replicas": 2, "cpu": "1"},
        triggerer={"replicas": 2},
        dag_processor={"replicas": 2},
        worker_queues=[
            {"name": "default", "min_count": 2, "max_count": 10},
            {
                "name": "heavy",
                "concurrency": 2,
                "min_count": 0,
                "max_count": 4,
                "memory": "8Gi",
                "ephemeral_storage": "20Gi",
                "termination_grace_period_seconds": 3600,
                "node_selector": {"pool": "heavy"},
                "tolerations": [{"key": "heavy", "operator": "Exists", "effect": "NoSchedule"}],
            },
        ],
        autoscaling={"type": "keda"},
        environment={"AIRFLOW__CORE__PARALLELISM": "64"},
        secret_environment={"TOKEN": "s3cret"},
        connections={"warehouse": {"type": "postgres", "host": "db.test", "password": "p/w"}},
        variables={"greeting": "hello"},
        service={"annotations": {"a": "b"}},
        ingress={"host": "airflow.acme.com", "tls_secret": "airflow-tls", "class_name": "nginx"},
        pod_template={
            "labels": {"team": "data"},
            "annotations": {"b": "c"},
            "service_account_annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/a"},
            "priority_class": "high",
        },
        remote_logging={"folder": "s3://logs/analytics", "encrypt_s3": True},
        metrics={"exporter_image": "prom/statsd-exporter:v0.28.0", "service_monitor": True},
        pgbouncer={"image": "ghcr.io/acme/pgbouncer@sha256:" + "1" * 64, "replicas": 2},
        **more,
    )
