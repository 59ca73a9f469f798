"""Names and labels: how everything of one Deployment is found again."""

from typing import Any, Final

Manifest = dict[str, Any]

MANAGED_BY: Final = "astro-pulumi"

# Pulumi would wait for a Service until a pod behind it is ready, for ten minutes when a deploy stops
# earlier. The workloads are waited for, that is enough.
SKIP_AWAIT: Final = {"pulumi.com/skipAwait": "true"}

# What `kubectl rollout status` waits for. pulumi-kubernetes' own wait for an update of a Deployment may
# judge the object as it was before the update: 17 of 50 updates were called complete in less than a
# second while their pods needed four; with this 0 of 50 (4.34, measured on the local platform). No
# blanks round && and ||: the provider's parser refuses them.
ROLLED_OUT: Final = (
    "jsonpath={$[?@.observedGeneration==$.metadata.generation&&@.updatedReplicas==@.replicas"
    "&&@.availableReplicas==@.replicas&&($.spec.replicas==0||@.replicas==$.spec.replicas)]"
    ".observedGeneration}"
)


def object_name(deployment: str, component: str) -> str:
    """The name of an object that others find by name, and of its Pulumi resource."""
    return f"{deployment}-{component}"


def selector(deployment: str, component: str, **more: str) -> dict[str, str]:
    """The labels that select the pods of one workload. Immutable once made."""
    return {
        "app.kubernetes.io/name": "airflow",
        "app.kubernetes.io/instance": deployment,
        "app.kubernetes.io/component": component,
        **more,
    }


def labels(deployment: str, component: str, **more: str) -> dict[str, str]:
    """The labels of every object of a Deployment."""
    return {
        **selector(deployment, component, **more),
        "app.kubernetes.io/managed-by": MANAGED_BY,
        "app.kubernetes.io/part-of": deployment,
    }
