"""Common parts of all pods of a Deployment: security, resources, placement, mounted files."""

from collections.abc import Iterable
from typing import Any

from astro_pulumi.args.resources_and_placement import Placement, Resources
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.labels import Manifest


def pod_security(spec: DeploymentSpec, uid: int, gid: int) -> Manifest:
    """Build a pod's security context for the `restricted` Pod Security Standard.

    Without fixed ids, OpenShift's `restricted-v2` admits it too, and chooses the ids.
    """
    return {
        "runAsNonRoot": True,
        **({"runAsUser": uid, "runAsGroup": gid, "fsGroup": gid} if spec.fixed_user_ids else {}),
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """Build a container's security context for the `restricted` Pod Security Standard."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def resources(given: Resources) -> Manifest:
    """Build the requests and limits of a container."""
    return {"requests": dict(given.requests), "limits": dict(given.limits)}


def placement(given: Placement) -> Manifest:
    """Build the fields of a pod's spec that select its nodes."""
    return {
        **({"nodeSelector": dict(given.node_selector)} if given.node_selector else {}),
        **({"tolerations": list(given.tolerations)} if given.tolerations else {}),
        **({"affinity": dict(given.affinity)} if given.affinity else {}),
        **({} if given.priority_class is None else {"priorityClassName": given.priority_class}),
    }


def spread(given: Placement, selected: dict[str, str]) -> Manifest:
    """Build the constraints that spread the replicas of a workload.

    Default: several nodes and zones if the cluster has them. A deploy never waits for it.

    Args:
        given: The user's placement.
        selected: Labels of the workload's pods.
    """
    counted = {
        "labelSelector": {"matchLabels": selected},
        # Old and new pods of a roll-out are counted separately.
        "matchLabelKeys": ["pod-template-hash"],
    }
    constraints = given.topology_spread_constraints
    if constraints is None:
        constraints = tuple(
            {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway"}
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        )
    # Without a selector a constraint would count no pod at all.
    made = [{**({} if "labelSelector" in one else counted), **one} for one in constraints]
    return {"topologySpreadConstraints": made} if made else {}


def service_pod(
    spec: DeploymentSpec,
    container: Manifest,
    account: Any,
    uid: int,
    placed: Placement,
    **more: Any,
) -> Manifest:
    """Build the pod spec of a service beside Airflow. `more` has further fields of it."""
    return {
        **placement(placed),
        "containers": [container],
        "securityContext": pod_security(spec, uid, uid),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "serviceAccountName": account,
        **more,
    }


def mount_files(pod: Manifest, volume: str, sources: Iterable[Manifest], path: str) -> None:
    """Mount the `sources` of a projected volume in every container."""
    projected = {"sources": [*sources], "defaultMode": 0o440}
    pod["volumes"].append({"name": volume, "projected": projected})
    for container in pod["containers"]:
        container["volumeMounts"].append({"name": volume, "mountPath": path, "readOnly": True})
