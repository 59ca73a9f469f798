"""PodDisruptionBudgets, which keep a Deployment available while nodes are drained."""

from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.labels import Manifest, labels, selector
from astro_pulumi.kubernetes.workloads import queue_label
from astro_pulumi.naming import PGBOUNCER, object_name


def disruption_budgets(spec: DeploymentSpec) -> dict[str, Manifest]:
    """Build a PodDisruptionBudget for each workload, by name. It does not protect a single pod."""
    budgets = {
        process.component: _budget(spec, process.component, process.component, {})
        for process in spec.processes
    }
    for queue in spec.worker_queues:
        name = f"worker-{queue.name}"
        budgets[name] = _budget(spec, name, "worker", queue_label(queue))
    if spec.pgbouncer:
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
            # Not `minAvailable`, which would block the drain of a node with a workload's only pod.
            "maxUnavailable": 1,
            # A pod that is not ready must not delay the drain of its node.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(spec.name, component, **more)},
        },
    }
