"""Services: names under which the pods of a component are reachable."""

from collections.abc import Mapping
from typing import Any

from astro_pulumi.kubernetes.metadata import SKIP_AWAIT, Manifest, labels, selector
from astro_pulumi.naming import object_name
from astro_pulumi.spec import DeploymentSpec


def service(
    spec: DeploymentSpec,
    component: str,
    *ports: Manifest,
    annotations: Mapping[str, Any] = SKIP_AWAIT,
    **more: Any,
) -> Manifest:
    """Build the Service of a component's pods. `more` has further fields of its `spec`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": object_name(spec.name, component),
            "labels": labels(spec.name, component),
            "annotations": dict(annotations),
        },
        "spec": {**more, "selector": selector(spec.name, component), "ports": list(ports)},
    }


def port(name: str, number: int, **more: Any) -> Manifest:
    """Build a port of a Service, for the container's port of the same name."""
    return {"name": name, "port": number, "targetPort": name, **more}
