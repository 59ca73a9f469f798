"""Stop all clients of the database without losing a task, and start them again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import astro_shared_names
from astro_kubernetes_client import DEPLOYMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_kubernetes_client import Cluster, Say


# Replicas of a workload before it was stopped, and whether an autoscaler set them: "3", "3 autoscaled".
STOPPED = astro_shared_names.PREFIX + "stopped-replicas"
MANAGER = "astro-pulumi-release-job"
# The webserver last: running tasks of Airflow 3 report to it until they are done.
STOP_ORDER = (("scheduler", "dag-processor", "triggerer", "worker"), ("webserver",))
COMPONENTS = tuple(component for group in STOP_ORDER for component in group)


def find_workloads(cluster: Cluster, deployment: str) -> list[dict[str, Any]]:
    """Return the workloads that read the database."""
    return [
        workload
        for workload in cluster.list(DEPLOYMENTS, astro_shared_names.instance_labels(deployment))
        if component(workload) in COMPONENTS
    ]


def component(item: dict[str, Any]) -> str:
    """Return the component of an object."""
    return str(item["metadata"]["labels"].get(astro_shared_names.COMPONENT_LABEL))


def airflow_container(pod: dict[str, Any]) -> dict[str, Any]:
    """Return Airflow's own container in a pod's spec; others may stand before it."""
    return next(one for one in pod["containers"] if one["name"] == astro_shared_names.AIRFLOW)


def image(workload: dict[str, Any]) -> str:
    """Return the Airflow image of a workload."""
    return str(airflow_container(workload["spec"]["template"]["spec"])["image"])


def stop_all(cluster: Cluster, deployment: str, say: Say) -> None:
    """Scale all workloads to zero, and return when the last pod is gone.

    A worker's pod ends with its last task, or after its termination grace period.
    """
    for group in STOP_ORDER:
        for workload in find_workloads(cluster, deployment):
            replicas = workload["spec"].get("replicas", 1)
            if component(workload) in group and replicas:
                say(f"stopping {workload['metadata']['name']}")
                before = f"{replicas} autoscaled" if is_autoscaled(workload) else str(replicas)
                scale(cluster, workload["metadata"]["name"], 0, before)
        wait_until_gone(cluster, deployment, group, say)


def wait_until_gone(
    cluster: Cluster, deployment: str, components: tuple[str, ...], say: Say
) -> None:
    """Return when the components have no pod.

    Raises:
        TimeoutError: A pod has outlived its grace period by a minute.
    """
    reported = deadline = None
    while True:
        pods = [
            pod
            for pod in cluster.list("pods", astro_shared_names.instance_labels(deployment))
            if component(pod) in components and pod["status"].get("phase") in ("Pending", "Running")
        ]
        if not pods:
            return
        grace = max(pod["spec"].get("terminationGracePeriodSeconds", 30) for pod in pods)
        deadline = deadline or time.monotonic() + grace + 60
        if time.monotonic() > deadline:
            raise TimeoutError(f"{pods[0]['metadata']['name']} does not end within {grace} s")
        names = sorted(pod["metadata"]["name"] for pod in pods)
        if names != reported:
            say(f"waiting for {', '.join(names)} (for {grace} s at most)")
            reported = names
        time.sleep(0.5)


def start_again(
    cluster: Cluster, deployment: str, is_current: Callable[[dict[str, Any]], bool]
) -> list[str]:
    """Start the stopped workloads for which `is_current` is true, and return their names.

    Pulumi starts the others, since it changes them anyway. Workloads with an autoscaler are started too: an
    autoscaler ignores workloads without replicas.
    """
    started = []
    for workload in find_workloads(cluster, deployment):
        annotations = workload["metadata"].get("annotations") or {}
        before, _, by = annotations.get(STOPPED, "").partition(" ")
        if not before.isdigit():
            continue
        name, replicas = workload["metadata"]["name"], workload["spec"].get("replicas", 1)
        if replicas:
            scale(cluster, name, replicas, None)
        elif is_current(workload) or by == "autoscaled":
            scale(cluster, name, int(before), None)
            started.append(name)
    return started


def scale(cluster: Cluster, name: str, replicas: int, stopped: str | None) -> None:
    """Set `replicas` without owning the field.

    If this Job owned the field, Pulumi's next server-side apply of the workload would end in a conflict.
    """
    change = {"metadata": {"annotations": {STOPPED: stopped}}, "spec": {"replicas": replicas}}
    for _ in range(10):
        changed = cluster.request("PATCH", DEPLOYMENTS, name, change, fieldManager=MANAGER)
        kept = [
            entry
            for entry in changed["metadata"].get("managedFields", [])
            if entry.get("manager") != MANAGER
        ]
        version = changed["metadata"]["resourceVersion"]
        try:
            cluster.patch(
                DEPLOYMENTS, name, {"metadata": {"managedFields": kept, "resourceVersion": version}}
            )
        except Exception as error:
            if getattr(error, "status", None) != 409:  # its status changed in between
                raise
        else:
            return
    raise RuntimeError(f"{name} changes all the time")


def is_autoscaled(workload: dict[str, Any]) -> bool:
    """Return whether an autoscaler, not Pulumi, sets the number of replicas."""
    return not any(
        entry.get("operation") == "Apply"
        and "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        for entry in workload["metadata"].get("managedFields", [])
    )
