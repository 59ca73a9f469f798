"""What every pod of a Deployment has in common: security, resources, settings, probes."""

import re
from typing import Any, Final

from astro_pulumi.airflow.facts import FILES, LOGS, HttpProbe, Process, ScriptProbe
from astro_pulumi.kubernetes.metadata import Manifest
from astro_pulumi.spec import Size

# The uid of `astro` in Astro Runtime and of `airflow` in apache/airflow. Stated, because Astro Runtime's
# USER is a name, of which Kubernetes cannot tell that it is not root.
_AIRFLOW_UID: Final = 50000


class AirflowEnvironment:
    """The objects that carry the settings of Airflow pods, by name (names may be Outputs)."""

    def __init__(self, image: Any, config: Any, files: Any, secrets: dict[str, Any]) -> None:
        self.image = image
        self.config = config  # ConfigMap with settings
        self.files = files  # ConfigMap with probes, the release Job's script, airflow.cfg
        self.secrets = secrets  # group -> Secret; "user" is the user's own secret environment

    def sources(self, groups: tuple[str, ...]) -> list[Manifest]:
        """`envFrom`: later ones win, so that the user's own come last."""
        named = [self.secrets[group] for group in groups]
        user = [self.secrets["user"]] if "user" in self.secrets else []
        return [
            *({"secretRef": {"name": name}} for name in named),
            {"configMapRef": {"name": self.config}},
            *({"secretRef": {"name": name}} for name in user),
        ]


def pod_security(uid: int, gid: int) -> Manifest:
    """A pod's security context that the `restricted` Pod Security Standard admits."""
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": gid,
        "fsGroup": gid,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """The same for a container."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def resources(cpu: str, memory: str) -> Manifest:
    """Limits as given; a fortieth of the CPU and half of the memory are requested.

    Airflow's processes are idle most of the time and need their CPU at the start: a start-up that is
    throttled is a slow deploy. During a deploy the requests of old and new pods, of draining workers
    and of the release Job add up: with a tenth they do not fit on a node of two cores.
    """
    return {
        "limits": {"cpu": cpu, "memory": memory},
        "requests": {"cpu": _fraction(cpu, 40), "memory": _fraction(memory, 2)},
    }


def _fraction(quantity: str, divisor: int) -> str:
    match = re.fullmatch(r"([\d.]+)(\D*)", quantity)
    if match is None:
        raise ValueError(quantity)
    number, unit = float(match[1]) * 1000 / divisor, match[2]
    if unit == "":
        return f"{number:.0f}m"
    if unit == "m":
        return f"{max(1, number / 1000):.0f}m"
    smaller = {"Ki": "", "Mi": "Ki", "Gi": "Mi", "Ti": "Gi", "Pi": "Ti", "Ei": "Pi"}
    if unit in smaller:
        return f"{float(match[1]) * 1024 / divisor:.0f}{smaller[unit]}"
    return f"{number:.0f}{ {'k': '', 'M': 'k', 'G': 'M', 'T': 'G', 'P': 'T', 'E': 'P'}[unit] }"


def airflow_pod(
    process: Process, size: Size, environment: AirflowEnvironment, pull_secret: Any | None
) -> Manifest:
    """The pod spec of one Airflow process."""
    container: Manifest = {
        "name": process.component,
        "image": environment.image,
        # Never `command`: it would replace the image's init, and signals would not arrive as they must.
        "args": list(process.arguments),
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 an emptyDir of this pod
        "envFrom": environment.sources(process.reads),
        "resources": resources(size.cpu, size.memory),
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": "files", "mountPath": FILES, "readOnly": True},
            {"name": "logs", "mountPath": LOGS},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
        **_probes(process.probe),
    }
    if process.ports:
        container["ports"] = [
            {"name": name, "containerPort": port} for name, port in process.ports.items()
        ]
    if process.drain_seconds:
        container["lifecycle"] = {
            "preStop": {"exec": {"command": ["sleep", str(process.drain_seconds)]}}
        }
    return {
        "containers": [container],
        "volumes": [
            {"name": "files", "configMap": {"name": environment.files}},
            {"name": "logs", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
        ],
        "securityContext": pod_security(_AIRFLOW_UID, 0),
        "automountServiceAccountToken": False,
        # Airflow reads variables such as REDIS_PORT otherwise, which Kubernetes makes of Services.
        "enableServiceLinks": False,
        **({"imagePullSecrets": [{"name": pull_secret}]} if pull_secret is not None else {}),
    }


def _probes(probe: HttpProbe | ScriptProbe) -> Manifest:
    if isinstance(probe, HttpProbe):
        action: Manifest = {"httpGet": {"path": probe.path, "port": probe.port}}
        start, period = 1, 5
    else:
        script = ["python", f"{FILES}/{probe.script}", *probe.arguments]
        action = {"exec": {"command": script}}
        start, period = 2, 15
    return {
        # Asked often, so that a deploy does not wait for the question; for five minutes at most.
        "startupProbe": {
            **action,
            "periodSeconds": start,
            "timeoutSeconds": 10,
            "failureThreshold": 300 // start,
        },
        "readinessProbe": {
            **action,
            "periodSeconds": period,
            "timeoutSeconds": 10,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            **action,
            "periodSeconds": 30,
            "timeoutSeconds": 20,
            "failureThreshold": 5,
        },
    }
