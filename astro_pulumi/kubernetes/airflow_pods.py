"""Pods with Airflow's image: the container of a process, its settings, files and volumes."""

from collections.abc import Mapping
from typing import Any, Final

from astro_pulumi.airflow.mounted_pod_files import FILES
from astro_pulumi.airflow.version_differences import CERTIFICATES, LOGS, Process
from astro_pulumi.args.resources_and_placement import Placement, Resources
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.config_maps_and_secrets import AirflowEnvironment
from astro_pulumi.kubernetes.labels import Manifest
from astro_pulumi.kubernetes.pod_lifecycle import pre_stop, probes
from astro_pulumi.kubernetes.pods import (
    container_security,
    mount_files,
    placement,
    pod_security,
    resources,
)
from astro_pulumi.naming import AIRFLOW_CONTAINER
from astro_pulumi.pod_template_patch import FILES_VOLUME, patched

# The uid of `astro` in Astro Runtime and of `airflow` in apache/airflow. Set explicitly: `runAsNonRoot`
# cannot verify Astro Runtime's USER, which is a name.
_AIRFLOW_UID: Final = 50000


def airflow_template(
    own_labels: Mapping[str, str], pod: Manifest, *patches: Mapping[str, Any]
) -> Manifest:
    """Build the template of a pod with Airflow's image. The user's patches apply in order."""
    metadata = {
        "labels": dict(own_labels),
        # Default of `kubectl logs` and `kubectl exec`: a patch may put another container first.
        "annotations": {"kubectl.kubernetes.io/default-container": AIRFLOW_CONTAINER},
    }
    return patched({"metadata": metadata, "spec": pod}, *patches)


def airflow_pod(
    spec: DeploymentSpec,
    process: Process,
    needs: Resources,
    placed: Placement,
    environment: AirflowEnvironment,
) -> Manifest:
    """Build the pod spec of an Airflow process."""
    container: Manifest = {
        "name": AIRFLOW_CONTAINER,
        "image": environment.image,
        # Never `command`: it would replace the image's init process, which forwards signals.
        "args": list(process.arguments),
        "env": [*_user(spec), *environment.variables(process.reads)],
        "envFrom": environment.sources(process.reads),
        "resources": resources(needs),
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": FILES_VOLUME, "mountPath": FILES, "readOnly": True},
            {"name": "logs", "mountPath": LOGS},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
        **probes(process.probe, environment.base_path),
        **pre_stop(process),
    }
    if process.ports:
        container["ports"] = [
            {"name": name, "containerPort": port} for name, port in process.ports.items()
        ]
    pod: Manifest = {
        "containers": [container],
        "volumes": [
            {"name": FILES_VOLUME, "configMap": {"name": environment.files[process.files.name]}},
            {"name": "logs", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
        ],
        "securityContext": pod_security(spec, _AIRFLOW_UID, 0),
        "serviceAccountName": environment.service_account,
        "automountServiceAccountToken": False,
        # Kubernetes would set variables such as REDIS_PORT from Services, which Airflow reads differently.
        "enableServiceLinks": False,
        **placement(placed),
    }
    if environment.certificates:
        mount_files(pod, "certificates", environment.certificates, CERTIFICATES)
    return pod


def _user(spec: DeploymentSpec) -> list[Manifest]:
    """Build the variables with the user of the pod.

    A user id that the image does not know has no name, and Airflow does not start without one.
    """
    home = {"name": "HOME", "value": "/tmp"}  # noqa: S108 an emptyDir of this pod
    return [home] if spec.fixed_user_ids else [home, {"name": "USER", "value": "airflow"}]
