"""Common parts of all pods of a Deployment: security, resources, settings, probes, placement."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import pulumi

from astro_pulumi.airflow.facts import CERTIFICATES, LOGS, HttpProbe, Process, ScriptProbe
from astro_pulumi.airflow.file_sets import FILES
from astro_pulumi.inputs import formatted
from astro_pulumi.kubernetes.metadata import NOT_AWAITED, Manifest, labels, selector
from astro_pulumi.naming import AIRFLOW_CONTAINER, object_name
from astro_pulumi.pod_template import FILES_VOLUME, patched
from astro_pulumi.spec import DeploymentSpec, EnvironmentFrom, Placement, Resources, ValueFrom

# The uid of `astro` in Astro Runtime and of `airflow` in apache/airflow. Set explicitly: `runAsNonRoot`
# cannot verify Astro Runtime's USER, which is a name.
_AIRFLOW_UID: Final = 50000

# Seconds that one run of a startup probe waits for success.
_STARTUP_WAIT: Final = 60


_KINDS: Final = {"secret": "secret", "config_map": "configMap"}


@dataclass(frozen=True, slots=True)
class AirflowEnvironment:
    """Objects that Airflow pods refer to, by name. Names may be Outputs."""

    image: Any
    config: Any  # ConfigMap with settings
    files: dict[str, Any]  # `FileSet.name` -> ConfigMap
    secrets: dict[str, Any]  # group -> Secret; "user" is the user's own secret environment
    service_account: Any
    base_path: Any  # perhaps an Output
    certificates: tuple[Manifest, ...] = ()  # sources of a projected volume
    environment_from: tuple[EnvironmentFrom, ...] = ()  # existing Secrets and ConfigMaps
    # Group -> variable -> key of an existing object.
    references: Mapping[str, Mapping[str, ValueFrom]] = field(default_factory=dict)

    def sources(self, groups: tuple[str, ...]) -> list[Manifest]:
        """Entries of `envFrom`. Later ones win, so the user's own come last."""
        named = [self.secrets[group] for group in groups if group in self.secrets]
        user = [self.secrets["user"]] if "user" in self.secrets else []
        return [
            # Their keys are unknown, so they come first and cannot override the Deployment's settings.
            *map(environment_source, self.environment_from),
            *({"secretRef": {"name": name}} for name in named),
            {"configMapRef": {"name": self.config}},
            *({"secretRef": {"name": name}} for name in user),
        ]

    def variables(self, groups: tuple[str, ...]) -> list[Manifest]:
        """Return the variables whose values are in existing Secrets and ConfigMaps."""
        found: dict[str, ValueFrom] = {}
        for group in groups:
            found |= self.references.get(group, {})
        # Other languages send mappings in any order, and a changed order would roll the pods.
        return [variable_from(name, value) for name, value in sorted(found.items())]


def environment_source(source: EnvironmentFrom) -> Manifest:
    """Return all keys of an existing object as an entry of `envFrom`."""
    prefix = {} if source.prefix is None else {"prefix": source.prefix}
    return {**prefix, f"{_KINDS[source.kind]}Ref": {"name": source.name}}


def variable_from(name: str, value: ValueFrom) -> Manifest:
    """Return a key of an existing object as an entry of `env`."""
    reference = {"name": value.name, "key": value.key}
    return {"name": name, "valueFrom": {f"{_KINDS[value.kind]}KeyRef": reference}}


def file_source(file: str, value: ValueFrom) -> Manifest:
    """Return a key of an existing object as a file of a projected volume."""
    items = [{"key": value.key, "path": file}]
    return {_KINDS[value.kind]: {"name": value.name, "items": items}}


@cache
def pod_files() -> dict[str, str]:
    """Return all files that run inside pods, by name."""
    folder = files("astro_pulumi") / "pod_files"
    return {
        file.name: file.read_text()
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.is_file()
    }


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
        **(_probes(process.probe, environment.base_path) if process.probe else {}),
    }
    if process.ports:
        container["ports"] = [
            {"name": name, "containerPort": port} for name, port in process.ports.items()
        ]
    if process.drain_seconds:
        container["lifecycle"] = {
            "preStop": {"exec": {"command": ["sleep", str(process.drain_seconds)]}}
        }
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


def mount_secret(pod: Manifest, volume: str, secret: Any, path: str) -> None:
    """Mount a Secret as files in every container. The pod needs no right to read Secrets for it."""
    mount_files(pod, volume, [{"secret": {"name": secret}}], path)


def mount_files(pod: Manifest, volume: str, sources: Iterable[Manifest], path: str) -> None:
    """Mount the `sources` of a projected volume in every container."""
    projected = {"sources": [*sources], "defaultMode": 0o440}
    pod["volumes"].append({"name": volume, "projected": projected})
    for container in pod["containers"]:
        container["volumeMounts"].append({"name": volume, "mountPath": path, "readOnly": True})


def _probes(probe: HttpProbe | ScriptProbe, base_path: Any) -> Manifest:
    if isinstance(probe, HttpProbe):
        prefix = base_path if probe.under_base_url else ""
        path = formatted("{prefix}{path}", prefix=prefix, path=probe.path)
        action: Manifest = {"httpGet": {"path": path, "port": probe.port}}
        # A short period, so that a deploy does not wait for the probe.
        startup = {**action, "periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 300}
        ready, alive = 5, 30
    else:
        script = ["python", f"{FILES}/{probe.script}", *probe.arguments]
        action = {"exec": {"command": script}}
        # One process that waits for success: each process costs 0.1 to 0.5 s of CPU, which starting pods
        # need.
        startup = {
            "exec": {"command": [*script, str(_STARTUP_WAIT)]},
            "periodSeconds": 1,
            "timeoutSeconds": _STARTUP_WAIT + 30,
            "failureThreshold": 5,
        }
        # No traffic depends on the readiness of these pods.
        ready, alive = 60, 60
    return {
        "startupProbe": startup,  # for five minutes at most
        "readinessProbe": {
            **action,
            "periodSeconds": ready,
            "timeoutSeconds": 10,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            **action,
            # A process that has just started is alive, and a probe would take CPU from other starting pods.
            "initialDelaySeconds": alive,
            "periodSeconds": alive,
            "timeoutSeconds": 20,
            "failureThreshold": 5,
        },
    }
