"""Workloads of Airflow: webserver, scheduler, triggerer, dag-processor, workers."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import pulumi

from astro_pulumi.airflow.environment_variables import process_settings
from astro_pulumi.airflow.mounted_pod_files import FILES
from astro_pulumi.airflow.secret_groups import ADMIN
from astro_pulumi.airflow.version_differences import (
    LOGS,
    SIMPLE_AUTH_PASSWORDS,
    Process,
    ScriptProbe,
)
from astro_pulumi.args.resources_and_placement import Placement, Resources
from astro_pulumi.args.workloads import WorkerQueue
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.airflow_pods import airflow_pod, airflow_template
from astro_pulumi.kubernetes.config_maps_and_secrets import AirflowEnvironment
from astro_pulumi.kubernetes.dag_deploys import add_dag_bundle
from astro_pulumi.kubernetes.labels import NOT_AWAITED, Manifest, labels, selector
from astro_pulumi.kubernetes.pod_lifecycle import process_grace_period, worker_grace_period
from astro_pulumi.kubernetes.pods import container_security, resources, spread
from astro_pulumi.naming import object_name
from astro_pulumi.pod_files import astro_shared_names
from astro_pulumi.pod_template_patch import FILES_VOLUME, GROOMER, SIMPLE_AUTH
from astro_pulumi.pulumi_inputs import formatted

_WRITE_PASSWORDS: Final = f"""
import json, os
with open({SIMPLE_AUTH_PASSWORDS!r}, "w") as file:
    json.dump({{{ADMIN!r}: os.environ[{astro_shared_names.ADMIN_PASSWORD!r}]}}, file)
"""
# Resources of sidecars, which no argument changes.
_COPY: Final = Resources(
    requests={"cpu": "10m", "memory": "64Mi", "ephemeral-storage": "1Mi"},
    limits={"cpu": "1", "memory": "256Mi", "ephemeral-storage": "100Mi"},
)
_GROOMER: Final = Resources(
    requests={"cpu": "1m", "memory": "16Mi", "ephemeral-storage": "1Mi"},
    limits={"cpu": "200m", "memory": "64Mi", "ephemeral-storage": "100Mi"},
)


def rollout_stages(
    spec: DeploymentSpec, environment: AirflowEnvironment, title: Any
) -> dict[str, dict[str, Manifest]]:
    """Build every workload by its component, in the order in which an upgrade of Airflow needs them."""
    processes = {
        process.component: process_workload(spec, process, environment, title)
        for process in spec.processes
    }
    webserver = {"webserver": processes.pop("webserver")}
    workers = {
        f"worker-{queue.name}": worker_workload(spec, queue, environment)
        for queue in spec.worker_queues
    }
    return {"webserver": webserver, "processes": processes, "workers": workers}


def process_workload(
    spec: DeploymentSpec,
    process: Process,
    environment: AirflowEnvironment,
    title: Any | None = None,
) -> Manifest:
    """Build the webserver, scheduler, triggerer or dag-processor. `title` is for the webserver's pages."""
    workload = spec.workloads[process.component]
    pod = airflow_pod(spec, process, workload.resources, workload.placement, environment)
    pod |= process_grace_period(process)
    if process.component == "webserver" and spec.auth.manager == "simple":
        _add_simple_auth_passwords(pod, environment)
    _add_settings(pod, process_settings(spec, process, title))
    add_dag_bundle(spec, pod, process, environment)
    made = _workload(
        spec, process.component, process.component, workload.replicas, workload.placement, pod, {}
    )
    return _patched(spec, made, workload.pod_template)


def worker_workload(
    spec: DeploymentSpec,
    queue: WorkerQueue,
    environment: AirflowEnvironment,
) -> Manifest:
    """Build the workers of a queue. An autoscaler, if there is one, sets their number."""
    process = _for_queue(spec, queue)
    pod = airflow_pod(spec, process, queue.resources, queue.placement, environment)
    _add_settings(pod, process_settings(spec, process))
    add_dag_bundle(spec, pod, process, environment)
    pod |= worker_grace_period(queue)
    replicas = None if queue.is_scaled else queue.min_count
    name = f"worker-{queue.name}"
    made = _workload(spec, name, "worker", replicas, queue.placement, pod, queue_label(queue))
    return _patched(spec, made, queue.pod_template)


def worker_name(spec: DeploymentSpec, queue: WorkerQueue) -> str:
    """Return the name of a queue's workload."""
    return object_name(spec.name, f"worker-{queue.name}")


def queue_label(queue: WorkerQueue) -> dict[str, str]:
    """Return the label that distinguishes the workers of the queues."""
    return {astro_shared_names.QUEUE: queue.name}


def deployment(
    spec: DeploymentSpec,
    component: str,
    pod: Manifest,
    replicas: pulumi.Input[int] | None,
    *,
    name: str | None = None,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Manifest:
    """Build a Deployment whose roll-out a Job of this package watches.

    Args:
        spec: The Deployment of Airflow.
        component: The component.
        pod: The pod's spec.
        replicas: None leaves the number to an autoscaler.
        name: Suffix of its name. Default: the component.
        more: Labels that distinguish it from other workloads of the component.
    """
    own_labels = labels(spec.name, component, **more)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": object_name(spec.name, name or component),
            "labels": own_labels,
            "annotations": dict(NOT_AWAITED),
        },
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": selector(spec.name, component, **more)},
            # All new pods start at once, and the old pods stay until the new ones are ready.
            "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
            "progressDeadlineSeconds": spec.rollout_timeout,
            "template": {"metadata": {"labels": own_labels}, "spec": pod},
        },
    }


def _for_queue(spec: DeploymentSpec, queue: WorkerQueue) -> Process:
    worker = spec.facts.worker
    values: dict[str, Any] = {
        "queue": queue.name,
        "queues": ",".join(spec.queues_served(queue)),
        "concurrency": queue.concurrency,
    }

    def fill(arguments: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(formatted(argument, **values) for argument in arguments)

    probe = worker.probe
    if isinstance(probe, ScriptProbe):
        probe = replace(probe, arguments=fill(probe.arguments))
    return replace(worker, arguments=fill(worker.arguments), probe=probe)


def _workload(
    spec: DeploymentSpec,
    name: str,
    component: str,
    replicas: pulumi.Input[int] | None,
    placed: Placement,
    pod: Manifest,
    more: dict[str, str],
) -> Manifest:
    pod |= spread(placed, selector(spec.name, component, **more))
    if spec.log_retention_days:
        _add_log_groomer(pod, spec.log_retention_days)
    return deployment(spec, component, pod, replicas, name=name, more=more)


def _patched(spec: DeploymentSpec, workload: Manifest, patch: Mapping[str, Any]) -> Manifest:
    template = workload["spec"]["template"]
    workload["spec"]["template"] = airflow_template(
        template["metadata"]["labels"], template["spec"], spec.pod_template, patch
    )
    return workload


def _add_settings(pod: Manifest, settings: Mapping[str, Any]) -> None:
    pod["containers"][0]["env"] += [
        {"name": name, "value": value} for name, value in settings.items()
    ]


def _add_simple_auth_passwords(pod: Manifest, environment: AirflowEnvironment) -> None:
    """Add an init container that writes the password file of the simple auth manager.

    The simple auth manager opens the file for writing, so the file cannot be a mounted Secret.
    """
    group = "simple-auth"
    secrets = [environment.secrets[group]] if group in environment.secrets else []
    pod["initContainers"] = [
        {
            "name": SIMPLE_AUTH,
            "image": pod["containers"][0]["image"],
            "args": ["python", "-c", _WRITE_PASSWORDS],
            "env": environment.variables((group,)),
            "envFrom": [{"secretRef": {"name": name}} for name in secrets],
            "resources": resources(_COPY),
            "securityContext": container_security(),
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
        }
    ]


def _add_log_groomer(pod: Manifest, days: int) -> None:
    """Add a container, behind Airflow's own, that deletes old log files: they would fill the node's disk."""
    pod["containers"].append(
        {
            "name": GROOMER,
            "image": pod["containers"][0]["image"],
            "args": ["python", "-IS", f"{FILES}/log_groomer.py", LOGS, str(days)],
            "resources": resources(_GROOMER),
            "securityContext": container_security(),
            "volumeMounts": [
                {"name": FILES_VOLUME, "mountPath": FILES, "readOnly": True},
                {"name": "logs", "mountPath": LOGS},
            ],
        }
    )
