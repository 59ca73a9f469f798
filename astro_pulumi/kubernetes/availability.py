"""What keeps a Deployment up while nodes are drained: PodDisruptionBudgets."""

from astro_pulumi.kubernetes.metadata import Manifest, labels, selector
from astro_pulumi.kubernetes.workloads import queue_label
from astro_pulumi.naming import PGBOUNCER, object_name
from astro_pulumi.spec import DeploymentSpec


def disruption_budgets(spec: DeploymentSpec) -> dict[str, Manifest]:
    """By name of the workload, for each that has more than one pod, or may have by its autoscaler.

    A single pod is not held by one: it may always be the one that is missing.
    """
    budgets = {
        process.component: _budget(spec, process.component, process.component, {})
        for process in spec.processes
        if spec.sizes[process.component].replicas > 1
    }
    for queue in spec.worker_queues:
        if queue.max_count > 1:
            name = f"worker-{queue.name}"
            budgets[name] = _budget(spec, name, "worker", queue_label(queue))
    if spec.pgbouncer and spec.pgbouncer.size.replicas > 1:
        budgets[PGBOUNCER] = _budget(spec, PGBOUNCER, PGBOUNCER, {})
    return budgets


def _budget(spec: DeploymentSpec, name: str, component: str, more: dict[str, str]) -> Manifest:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": object_name(spec.name, name),
            "labels": labels(spec.name, component, **more),
        },
        "spec": {
            "maxUnavailable": 1,
            # A pod that is not ready serves nobody, and must not hold up the node's drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(spec.name, component, **more)},
        },
    }
