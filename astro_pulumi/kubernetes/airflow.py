"""The workloads of Airflow itself: webserver, scheduler, triggerer, dag-processor, workers."""

from dataclasses import replace
from typing import Any

from astro_pulumi.airflow.facts import Process, ScriptProbe
from astro_pulumi.kubernetes.metadata import (
    SKIP_AWAIT,
    Manifest,
    labels,
    object_name,
    selector,
)
from astro_pulumi.kubernetes.pods import AirflowEnvironment, airflow_pod
from astro_pulumi.spec import DeploymentSpec, WorkerQueue

_DEFAULT_GRACE_PERIOD = 30


def settings(spec: DeploymentSpec) -> dict[str, Any]:
    """The environment variables of every Airflow process; the user's own win."""
    values = {
        "webserver": object_name(spec.name, "webserver"),
        "default_queue": spec.default_queue.name,
        # A queued task waits for draining workers at the longest, then for new ones to start.
        "task_queued_timeout": str(
            max(600, 300 + max(q.termination_grace_period_seconds for q in spec.worker_queues))
        ),
    }
    given = {key: value.format(**values) for key, value in spec.facts.settings.items()}
    if spec.service.base_url:
        given["AIRFLOW__API__BASE_URL"] = spec.service.base_url
    return given | spec.environment


def process_workload(
    spec: DeploymentSpec, process: Process, environment: AirflowEnvironment, pull_secret: Any | None
) -> Manifest:
    """Webserver, scheduler, triggerer or dag-processor."""
    size = spec.processes[process.component]
    pod = airflow_pod(process, size, environment, pull_secret)
    pod["terminationGracePeriodSeconds"] = _DEFAULT_GRACE_PERIOD + process.drain_seconds
    name = object_name(spec.name, process.component)
    return _workload(spec, name, process.component, size.replicas, pod, {})


def worker_workload(
    spec: DeploymentSpec,
    queue: WorkerQueue,
    environment: AirflowEnvironment,
    pull_secret: Any | None,
) -> Manifest:
    """The workers of one queue."""
    pod = airflow_pod(_for_queue(spec.facts.worker, queue), queue.size, environment, pull_secret)
    pod["terminationGracePeriodSeconds"] = queue.termination_grace_period_seconds
    name = worker_name(spec, queue)
    more = {"astro-pulumi/queue": queue.name}
    return _workload(spec, name, "worker", queue.size.replicas, pod, more)


def worker_name(spec: DeploymentSpec, queue: WorkerQueue) -> str:
    """The name of a queue's workload."""
    return object_name(spec.name, f"worker-{queue.name}")


def webserver_service(spec: DeploymentSpec) -> Manifest:
    """The Service that people and tasks reach the webserver through."""
    port: Manifest = {"name": "http", "port": 8080, "targetPort": "http"}
    if spec.service.node_port:
        port["nodePort"] = spec.service.node_port
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": object_name(spec.name, "webserver"),
            "labels": labels(spec.name, "webserver"),
            "annotations": SKIP_AWAIT,
        },
        "spec": {
            "type": spec.service.type,
            "selector": selector(spec.name, "webserver"),
            "ports": [port],
        },
    }


def _for_queue(worker: Process, queue: WorkerQueue) -> Process:
    values: dict[str, Any] = {"queue": queue.name, "concurrency": queue.concurrency}

    def fill(arguments: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(argument.format(**values) for argument in arguments)

    probe = worker.probe
    if isinstance(probe, ScriptProbe):
        probe = replace(probe, arguments=fill(probe.arguments))
    return replace(worker, arguments=fill(worker.arguments), probe=probe)


def _workload(
    spec: DeploymentSpec,
    name: str,
    component: str,
    replicas: int,
    pod: Manifest,
    more: dict[str, str],
) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels(spec.name, component, **more)},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selector(spec.name, component, **more)},
            # All new pods at once beside the old ones, which stay until the new are ready.
            "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
            "progressDeadlineSeconds": spec.rollout_timeout,
            "template": {
                "metadata": {"labels": labels(spec.name, component, **more)},
                "spec": pod,
            },
        },
    }
