"""The release Job: parses the DAGs and brings the database up, in the new image, before the rollout."""

from typing import Any, Final

from astro_pulumi.airflow.facts import FILES, Process, ScriptProbe
from astro_pulumi.kubernetes.metadata import Manifest, labels
from astro_pulumi.kubernetes.pods import AirflowEnvironment, airflow_pod
from astro_pulumi.spec import DeploymentSpec, Size

COMPONENT: Final = "release-job"
_PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")


def release_job(
    spec: DeploymentSpec, environment: AirflowEnvironment, pull_secret: Any | None
) -> Manifest:
    """The Job of one release. It runs anew exactly when its image or settings change."""
    process = Process(
        component=COMPONENT,
        arguments=("python", f"{FILES}/release_job.py"),
        probe=ScriptProbe(""),
        reads=spec.facts.release_job_reads,
    )
    pod = airflow_pod(process, Size(1, "2", "2Gi"), environment, pull_secret)
    container = pod["containers"][0]
    for probe in _PROBES:
        del container[probe]
    if spec.skip_dag_parse:
        container["env"].append({"name": "ASTRO_SKIP_DAG_PARSE", "value": "true"})
    # Without it the user reads only "exit code 1".
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    pod["restartPolicy"] = "Never"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "labels": labels(spec.name, COMPONENT),
            # A failed Job would be waited for again by the next `up` instead of made anew.
            "annotations": {"pulumi.com/replaceUnready": "true"},
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": spec.release_job_timeout,
            "template": {"metadata": {"labels": labels(spec.name, COMPONENT)}, "spec": pod},
        },
    }
