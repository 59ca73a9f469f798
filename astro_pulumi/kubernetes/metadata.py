"""Names and labels: how everything of one Deployment is found again."""

from typing import Any, Final

Manifest = dict[str, Any]

MANAGED_BY: Final = "astro-pulumi"

# Pulumi would wait for a Service until a pod behind it is ready, for ten minutes when a deploy stops
# earlier. The workloads are waited for, that is enough.
SKIP_AWAIT: Final = {"pulumi.com/skipAwait": "true"}


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
