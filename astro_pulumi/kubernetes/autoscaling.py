"""Autoscaling of worker queues: by CPU, or by their tasks with KEDA."""

from typing import Any, Final

from astro_pulumi.airflow.database_and_broker_urls import existing_login
from astro_pulumi.airflow.secret_groups import KEDA_CONNECTION
from astro_pulumi.args.database import ExternalDatabase
from astro_pulumi.args.existing_secrets import ValueFrom
from astro_pulumi.args.workloads import WorkerQueue
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.labels import SKIP_AWAIT, Manifest, labels
from astro_pulumi.kubernetes.workloads import queue_label, worker_name
from astro_pulumi.naming import AIRFLOW_CONTAINER, object_name
from astro_pulumi.pulumi_inputs import computed, formatted

_KEDA_LOGIN: Final = {"USERNAME": "userName", "PASSWORD": "password"}


def autoscalers(spec: DeploymentSpec, secrets: dict[str, Any]) -> dict[str, Manifest]:
    """Build the autoscalers by name of the workload.

    Args:
        spec: The Deployment.
        secrets: Names of Secrets by group. "keda" has the database connection.
    """
    scaled = [queue for queue in spec.worker_queues if queue.is_scaled]
    if spec.autoscaling.type == "cpu":
        return {f"worker-{queue.name}": _cpu_autoscaler(spec, queue) for queue in scaled}
    made = {f"worker-{queue.name}": _keda_autoscaler(spec, queue) for queue in scaled}
    return {"keda": _keda_authentication(spec, secrets.get("keda")), **made} if made else {}


def _cpu_autoscaler(spec: DeploymentSpec, queue: WorkerQueue) -> Manifest:
    """Build a HorizontalPodAutoscaler by the CPU usage of Airflow's container. Sidecars may lack requests."""
    metric = {
        "name": "cpu",
        "container": AIRFLOW_CONTAINER,
        "target": {
            "type": "Utilization",
            "averageUtilization": spec.autoscaling.target_cpu_percent,
        },
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {**_metadata(spec, queue), "annotations": SKIP_AWAIT},
        "spec": {
            "scaleTargetRef": _target(spec, queue),
            "minReplicas": queue.min_count,
            "maxReplicas": queue.max_count,
            "metrics": [{"type": "ContainerResource", "containerResource": metric}],
            "behavior": _behavior(spec),
        },
    }


def _keda_authentication(spec: DeploymentSpec, connection_secret: Any | None) -> Manifest:
    """Build KEDA's access to the database, with the Secret `connection_secret` and its key `connection`.

    Without such a Secret, KEDA reads the login from the user's own Secret, and the triggers have the rest.
    """
    keys = (
        {"connection": ValueFrom("secret", connection_secret, KEDA_CONNECTION)}
        if connection_secret is not None
        else {_KEDA_LOGIN[part]: key for part, key in _login_keys(spec).items()}
    )
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": {"name": object_name(spec.name, "keda"), "labels": labels(spec.name, "worker")},
        "spec": {
            "secretTargetRef": [
                {"parameter": parameter, "name": key.name, "key": key.key}
                for parameter, key in keys.items()
            ]
        },
    }


def _login_keys(spec: DeploymentSpec) -> dict[str, ValueFrom]:
    found = existing_login(spec, "keda_database_url")
    return found[1].parts if found else {}


def _keda_autoscaler(spec: DeploymentSpec, queue: WorkerQueue) -> Manifest:
    """Build a ScaledObject: as many workers as the queued and running tasks of the queue fill."""
    # Names of queues consist of lower-case letters, digits and dashes, so they need no escaping.
    queues = ", ".join(f"'{name}'" for name in spec.queues_served(queue))
    query = formatted(
        "SELECT ceil(count(*)::decimal / {concurrency}) FROM task_instance "
        "WHERE state IN ('queued', 'running') AND queue IN ({queues})",
        concurrency=queue.concurrency,
        queues=queues,
    )
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": _metadata(spec, queue),
        "spec": {
            "scaleTargetRef": _target(spec, queue),
            "minReplicaCount": queue.min_count,
            "maxReplicaCount": queue.max_count,
            "pollingInterval": spec.autoscaling.polling_interval_seconds,
            "cooldownPeriod": spec.autoscaling.cooldown_period_seconds,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(spec)}},
            "triggers": [
                {
                    "type": "postgresql",
                    "metadata": {**_keda_database(spec), "query": query, "targetQueryValue": "1"},
                    "authenticationRef": {"name": object_name(spec.name, "keda")},
                }
            ],
        },
    }


def _keda_database(spec: DeploymentSpec) -> Manifest:
    """Return the address of the database for KEDA if its login is in the user's Secret.

    Otherwise the connection has the address.
    """
    database = spec.database
    if not isinstance(database, ExternalDatabase) or database.login_from is None:
        return {}
    # KEDA does not have the user's certificate, so it uses TLS without verification.
    mode = "require" if database.ca_certificate is not None else database.ssl_mode
    return {
        "host": database.host,
        "port": computed(str, database.port),
        "dbName": database.name,
        "sslmode": mode,
    }


def _behavior(spec: DeploymentSpec) -> Manifest:
    return {"scaleDown": {"stabilizationWindowSeconds": spec.autoscaling.cooldown_period_seconds}}


def _metadata(spec: DeploymentSpec, queue: WorkerQueue) -> Manifest:
    return {
        "name": worker_name(spec, queue),
        "labels": labels(spec.name, "worker", **queue_label(queue)),
    }


def _target(spec: DeploymentSpec, queue: WorkerQueue) -> Manifest:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": worker_name(spec, queue)}
