"""The release Job: parses the DAGs and brings the database up, in the new image, before the rollout."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pulumi

from astro_pulumi.airflow.database_needs import database_needs
from astro_pulumi.airflow.image_needs import image_needs
from astro_pulumi.inputs import computed
from astro_pulumi.kubernetes import embedded_services
from astro_pulumi.kubernetes.airflow_pods import airflow_pod
from astro_pulumi.kubernetes.config_maps_and_secrets import AirflowEnvironment
from astro_pulumi.kubernetes.jobs import job, job_deadline
from astro_pulumi.kubernetes.labels import Manifest
from astro_pulumi.kubernetes.roles import service_account_with_role
from astro_pulumi.naming import RELEASE_JOB, object_name
from astro_pulumi.pod_files import astro_names
from astro_pulumi.spec import DeploymentSpec

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
    # Raise its own deadline, report what it found as an annotation on itself; downgrade the database in
    # another image.
    {
        "apiGroups": ["batch"],
        "resources": ["jobs"],
        "verbs": ["get", "create", "patch", "delete"],
    },
    # Stop the database's clients for a downgrade, and see them end.
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]
# The entry point of apache/airflow waits for the database before the Job can say why it cannot be used, and
# migrates it before the Job can refuse to, if its image or Dockerfile says so.
_IMAGE_SWITCHES: Final = {
    "CONNECTION_CHECK_MAX_COUNT": "0",
    "_AIRFLOW_DB_MIGRATE": "",
    "_AIRFLOW_DB_UPGRADE": "",
    "_AIRFLOW_WWW_USER_CREATE": "",
}
# For the pod's node and image. Deployments in Kubernetes have the same limit.
STARTS_WITHIN: Final = 600
# The pod raises it when it runs: `STARTS_WITHIN` is a limit for the start only.
RAISED_BY_THE_POD: Final = ["spec.activeDeadlineSeconds"]
# A dump is made by a Job like the database's own pod.
_BACKUP_RULE: Final[Manifest] = {
    "apiGroups": ["apps"],
    "resources": ["statefulsets"],
    "verbs": ["get"],
}


def release_job(
    spec: DeploymentSpec,
    environment: AirflowEnvironment,
    content: pulumi.Input[str],
    consents: Mapping[str, str],
) -> Manifest:
    """Build the Job of one release. Pulumi replaces it if its image, its settings or `content` change.

    Args:
        spec: The Deployment.
        environment: The objects that Airflow pods refer to.
        content: The fingerprint of the release.
        consents: Annotations, as `one_time` returns them.
    """
    pod = airflow_pod(
        spec, spec.facts.release_job, spec.parser_resources, spec.placement, environment
    )
    # A downgrade waits for workers that drain.
    deadline = computed(
        lambda timeout, grace: timeout + grace, spec.release_job_timeout, spec.longest_grace_period
    )
    values: dict[str, pulumi.Input[str]] = {
        astro_names.DEPLOYMENT: spec.name,
        astro_names.RELEASE_CONTENT: content,
        astro_names.DATABASE_DOWNGRADE: spec.database_downgrade,
        astro_names.HISTORY_LIMIT: computed(str, spec.history_limit),
        astro_names.LEASE_PATIENCE: computed(lambda seconds: str(seconds // 2), deadline),
        astro_names.JOB_DEADLINE: computed(str, job_deadline(deadline)),
        astro_names.DATABASE_NEEDS: _as_json(database_needs(spec)),
        astro_names.IMAGE_NEEDS: _as_json(image_needs(spec)),
        **_IMAGE_SWITCHES,
    }
    if spec.backup_before_downgrade:
        values[astro_names.BACKUP_CLAIM] = object_name(spec.name, embedded_services.BACKUPS)
    pod["containers"][0]["env"] += [
        *({"name": name, "value": value} for name, value in values.items()),
        # Set by Kubernetes on every pod of a Job.
        {
            "name": astro_names.JOB,
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['job-name']"}},
        },
    ]
    return job(spec, RELEASE_JOB, pod, deadline, dict(consents), starts_within=STARTS_WITHIN)


def _as_json(needs: dict[str, Any]) -> pulumi.Input[str]:
    text: pulumi.Input[str] = computed(lambda known: json.dumps(known, sort_keys=True), needs)
    return text


def release_job_role(spec: DeploymentSpec, pull_secret: Any | None) -> list[Manifest]:
    """Build ServiceAccount, Role and RoleBinding of the release Job."""
    rules = [*_RULES, *([_BACKUP_RULE] if spec.backup_before_downgrade else [])]
    # It parses the DAGs, which may read a secrets backend of the cloud, as Airflow's processes do.
    identity = spec.service_account_annotations
    return service_account_with_role(spec, RELEASE_JOB, rules, pull_secret, identity)
