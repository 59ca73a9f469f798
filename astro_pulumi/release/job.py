"""The release Job: parses the DAGs and brings the database up, in the new image, before the rollout."""

from collections.abc import Iterator
from typing import Any, Final

from astro_pulumi.airflow.facts import FILES, Process, ScriptProbe
from astro_pulumi.kubernetes import backing
from astro_pulumi.kubernetes.accounts import service_account
from astro_pulumi.kubernetes.metadata import Manifest, labels, object_name
from astro_pulumi.kubernetes.pods import AirflowEnvironment, airflow_pod
from astro_pulumi.kubernetes.rights import role_and_binding
from astro_pulumi.spec import DeploymentSpec, Size

COMPONENT: Final = "release-job"
MAX_REMOVED_DAGS: Final = "astro-pulumi/max-removed-dags"
SKIP_DAG_PARSE: Final = "astro-pulumi/skip-dag-parse"
_PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")
# What the Job may do in its namespace, and what for.
_RULES: Final[list[Manifest]] = [
    # One at a time for each Deployment.
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "create", "update"],
    },
    # Count the releases, forget the oldest.
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "delete"]},
    # Report what it found, as an annotation on itself; downgrade the database in another image.
    {
        "apiGroups": ["batch"],
        "resources": ["jobs"],
        "verbs": ["get", "create", "patch", "delete"],
    },
    # Stop the database's clients for a downgrade, and see them end.
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]
# A dump is made by a Job like the database's own pod.
_BACKUP_RULE: Final[Manifest] = {
    "apiGroups": ["apps"],
    "resources": ["statefulsets"],
    "verbs": ["get"],
}


def release_job(spec: DeploymentSpec, environment: AirflowEnvironment, content: str) -> Manifest:
    """The Job of one release. It runs anew exactly when its image, its settings or `content` change.

    :param content: the fingerprint of the release.
    """
    process = Process(
        component=COMPONENT,
        arguments=("python", f"{FILES}/release_job.py"),
        probe=ScriptProbe(""),
        reads=spec.facts.release_job_reads,
    )
    pod = airflow_pod(process, Size(1, "2", "2Gi"), environment)
    container = pod["containers"][0]
    for probe in _PROBES:
        del container[probe]
    grace = max(queue.termination_grace_period_seconds for queue in spec.worker_queues)
    # A downgrade waits for workers that drain.
    deadline = spec.release_job_timeout + grace
    container["env"] += [
        *_environment(spec, content, deadline),
        # Set by Kubernetes on every pod of a Job.
        {
            "name": "ASTRO_JOB",
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['job-name']"}},
        },
    ]
    # Without it the user reads only "exit code 1".
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    pod["restartPolicy"] = "Never"
    pod["activeDeadlineSeconds"] = deadline
    pod["serviceAccountName"] = object_name(spec.name, COMPONENT)
    pod["automountServiceAccountToken"] = True
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "labels": labels(spec.name, COMPONENT),
            "annotations": {
                # A failed Job would be waited for again by the next `up` instead of made anew.
                "pulumi.com/replaceUnready": "true",
                # Its own deadline ends it with a reason; Pulumi's wait would end without one.
                "pulumi.com/timeoutSeconds": str(deadline + 120),
                **_consent(spec),
            },
        },
        "spec": {
            "backoffLimit": 0,
            # Only where the pod never starts: it takes the pod, and its log, away.
            "activeDeadlineSeconds": deadline + 60,
            "template": {"metadata": {"labels": labels(spec.name, COMPONENT)}, "spec": pod},
        },
    }


def _consent(spec: DeploymentSpec) -> dict[str, str]:
    """Annotations, which change in place: a setting would make a new release of nothing."""
    given = {
        MAX_REMOVED_DAGS: spec.max_removed_dags,
        SKIP_DAG_PARSE: "true" if spec.skip_dag_parse else None,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


def _environment(spec: DeploymentSpec, content: str, deadline: int) -> Iterator[Manifest]:
    values = {
        "ASTRO_DEPLOYMENT": spec.name,
        "ASTRO_RELEASE_CONTENT": content,
        "ASTRO_DATABASE_DOWNGRADE": spec.database_downgrade,
        "ASTRO_HISTORY_LIMIT": str(spec.history_limit),
        "ASTRO_LEASE_PATIENCE": str(deadline // 2),
        **(
            {"ASTRO_BACKUP_CLAIM": object_name(spec.name, backing.BACKUPS)}
            if spec.backup_before_downgrade
            else {}
        ),
    }
    for name, value in values.items():
        yield {"name": name, "value": value}


def release_job_rights(spec: DeploymentSpec, pull_secret: Any | None) -> list[Manifest]:
    """Build ServiceAccount, Role and RoleBinding of the release Job."""
    rules = [*_RULES, *([_BACKUP_RULE] if spec.backup_before_downgrade else [])]
    return [
        service_account(spec, COMPONENT, pull_secret),
        *role_and_binding(spec, COMPONENT, rules),
    ]
