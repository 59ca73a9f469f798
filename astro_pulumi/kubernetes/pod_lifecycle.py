"""How a container starts and ends: probes, `preStop`, and the termination grace period of its pod."""

from typing import Any, Final

from astro_pulumi.airflow.mounted_pod_files import FILES
from astro_pulumi.airflow.version_differences import HttpProbe, Process, ScriptProbe
from astro_pulumi.args.workloads import WorkerQueue
from astro_pulumi.kubernetes.labels import Manifest
from astro_pulumi.pulumi_inputs import formatted

_DEFAULT_GRACE_PERIOD: Final = 30
# Seconds. Five failures in a row, in five minutes, restart a process, as the official Airflow chart does with
# the scheduler. A shorter time restarts processes that are only slow, and starting them slows the others.
_LIVENESS_PERIOD: Final = 60
# Seconds that one run of a startup probe waits for success.
_STARTUP_WAIT: Final = 60


def process_grace_period(process: Process) -> Manifest:
    """Return the grace period of a process, in which its `preStop` command runs before SIGTERM."""
    return {"terminationGracePeriodSeconds": _DEFAULT_GRACE_PERIOD + process.drain_seconds}


def worker_grace_period(queue: WorkerQueue) -> Manifest:
    """Return the grace period of a worker, in which its running tasks may finish."""
    return {"terminationGracePeriodSeconds": queue.termination_grace_period_seconds}


def pre_stop(process: Process) -> Manifest:
    """Return the command that keeps a container serving while its pod leaves the Service."""
    if not process.drain_seconds:
        return {}
    command = ["sleep", str(process.drain_seconds)]
    return {"lifecycle": {"preStop": {"exec": {"command": command}}}}


def probes(probe: HttpProbe | ScriptProbe | None, base_path: Any) -> Manifest:
    """Return the startup, readiness and liveness probe of a container, if it has one."""
    if probe is None:
        return {}
    if isinstance(probe, HttpProbe):
        prefix = base_path if probe.under_base_url else ""
        path = formatted("{prefix}{path}", prefix=prefix, path=probe.path)
        action: Manifest = {"httpGet": {"path": path, "port": probe.port}}
        # A short period, so that a deploy does not wait for the probe.
        startup = {**action, "periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 300}
        ready = 5
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
        ready = 60
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
            "initialDelaySeconds": _LIVENESS_PERIOD,
            "periodSeconds": _LIVENESS_PERIOD,
            "timeoutSeconds": 20,
            "failureThreshold": 5,
        },
    }
