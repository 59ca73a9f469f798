"""The release Job: parses the DAGs and brings the database up, in the new image, before the rollout.

It also gets the requirements of the Deployment on its image and its database, and checks both.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import pulumi

from astro_pulumi.airflow.version_differences import AirflowFacts, Process
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes import embedded_services
from astro_pulumi.kubernetes.airflow_pods import airflow_pod
from astro_pulumi.kubernetes.config_maps_and_secrets import AirflowEnvironment
from astro_pulumi.kubernetes.dag_deploys import add_archive, add_key
from astro_pulumi.kubernetes.jobs import job, job_deadline
from astro_pulumi.kubernetes.labels import Manifest
from astro_pulumi.kubernetes.roles import service_account_with_role
from astro_pulumi.naming import RELEASE_JOB, object_name
from astro_pulumi.pod_files import astro_shared_names
from astro_pulumi.pulumi_inputs import computed
from astro_pulumi.release import provenance

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
_PROVIDER: Final = "apache-airflow-providers-"
_LOG_PROVIDERS: Final = {
    "s3": "amazon",
    "cloudwatch": "amazon",
    "gs": "google",
    "stackdriver": "google",
    "wasb": "microsoft-azure",
    "oss": "alibaba",
    "hdfs": "apache-hdfs",
}


def release_job(
    spec: DeploymentSpec,
    environment: AirflowEnvironment,
    content: pulumi.Input[str],
    confirmations: Mapping[str, str],
) -> Manifest:
    """Build the Job of one release. Pulumi replaces it if its image, its settings or `content` change.

    Args:
        spec: The Deployment.
        environment: The objects that Airflow pods refer to.
        content: The fingerprint of the release.
        confirmations: Annotations, as `DeployFlags` returns them.
    """
    pod = airflow_pod(
        spec, spec.facts.release_job, spec.parser_resources, spec.placement, environment
    )
    # A downgrade waits for workers that drain.
    deadline = computed(
        lambda timeout, grace: timeout + grace, spec.release_job_timeout, spec.longest_grace_period
    )
    values: dict[str, pulumi.Input[str]] = {
        astro_shared_names.DEPLOYMENT: spec.name,
        astro_shared_names.RELEASE_CONTENT: content,
        astro_shared_names.DATABASE_DOWNGRADE: spec.database_downgrade,
        astro_shared_names.HISTORY_LIMIT: computed(str, spec.history_limit),
        astro_shared_names.LEASE_PATIENCE: computed(lambda seconds: str(seconds // 2), deadline),
        astro_shared_names.JOB_DEADLINE: computed(str, job_deadline(deadline)),
        astro_shared_names.DATABASE_NEEDS: _as_json(database_needs(spec)),
        astro_shared_names.IMAGE_NEEDS: _as_json(image_needs(spec)),
        **_IMAGE_SWITCHES,
    }
    if spec.backup_before_downgrade:
        values[astro_shared_names.BACKUP_CLAIM] = object_name(spec.name, embedded_services.BACKUPS)
    pod["containers"][0]["env"] += [
        *({"name": name, "value": value} for name, value in values.items()),
        # Set by Kubernetes on every pod of a Job.
        {
            "name": astro_shared_names.JOB,
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['job-name']"}},
        },
    ]
    annotations = dict(confirmations)
    if spec.dag_deploys:
        add_key(pod, environment)
        add_archive(pod, environment)
        patience = {
            "name": astro_shared_names.ROLLOUT_TIMEOUT,
            "value": computed(str, spec.rollout_timeout),
        }
        pod["containers"][0]["env"].append(patience)
        if url := _commit_url(spec):
            annotations[astro_shared_names.COMMIT_URL] = url
    return job(spec, RELEASE_JOB, pod, deadline, annotations, starts_within=STARTS_WITHIN)


def _commit_url(spec: DeploymentSpec) -> str | None:
    return provenance.commit_url(spec.source.project.directory) if spec.source else None


def _as_json(needs: dict[str, Any]) -> pulumi.Input[str]:
    text: pulumi.Input[str] = computed(lambda known: json.dumps(known, sort_keys=True), needs)
    return text


def release_job_role(spec: DeploymentSpec, pull_secret: Any | None) -> list[Manifest]:
    """Build ServiceAccount, Role and RoleBinding of the release Job."""
    rules = [*_RULES, *([_BACKUP_RULE] if spec.backup_before_downgrade else [])]
    # It parses the DAGs, which may read a secrets backend of the cloud, as Airflow's processes do.
    identity = spec.service_account_annotations
    return service_account_with_role(spec, RELEASE_JOB, rules, pull_secret, identity)


def image_needs(spec: DeploymentSpec) -> dict[str, Any]:
    """Return the Airflow version, the packages with their purposes, and the remedies, as JSON with Outputs.

    Of packages separated by "|", one is enough.
    """
    version = spec.airflow_version
    built = spec.source is not None
    minor = f"{version.major}.{version.minor}"
    return {
        "airflow": minor,
        "declared": str(version),
        "other_airflow": (
            f"requirements.txt or a RUN in the Dockerfile installs another Airflow than FROM has: pin "
            f"apache-airflow=={minor}.* there, or change FROM."
            if built
            else f'Set airflow_version="{{minor}}", or give an image with Airflow {minor}.'
        ),
        "no_airflow": (
            "Start FROM an image with Airflow, and do not change its PATH."
            if built
            else "Give an image with Airflow as `image`."
        ),
        "add": "requirements.txt" if built else "the image",
        "packages": computed(
            lambda folder: {**spec.facts.packages, **_packages(spec), **_log_packages(folder)},
            spec.remote_logging and spec.remote_logging.folder,
        ),
    }


def _packages(spec: DeploymentSpec) -> dict[str, str]:
    """Return the packages that single settings need."""
    found = {}
    metrics = spec.metrics
    if spec.auth.manager == "fab" and spec.facts.auth_managers["fab"]:
        found[f"{_PROVIDER}fab"] = 'auth.manager "fab"'
    if metrics.otel_host is not None:
        found["opentelemetry-exporter-otlp-proto-http"] = "metrics.otel_host"
    if metrics.statsd_host is not None:
        found["statsd"] = "metrics.statsd_host"
    elif metrics.exporter_image is not None:
        found["statsd"] = "metrics.exporter_image"
    if spec.remote_logging and spec.remote_logging.folder is None:
        found[f"{_PROVIDER}elasticsearch"] = "remote_logging.elasticsearch_host"
    return found


def _log_packages(folder: str | None) -> dict[str, str]:
    """Return the packages that the location of task logs needs."""
    provider = _LOG_PROVIDERS.get((folder or "").partition("://")[0])
    return {f"{_PROVIDER}{provider}": f"remote_logging.folder {folder!r}"} if provider else {}


def database_needs(spec: DeploymentSpec) -> dict[str, Any]:
    """Return the oldest PostgreSQL and the connections that the processes keep, as JSON with Outputs."""
    version = spec.airflow_version
    oldest = spec.facts.oldest_postgresql
    return {
        # Without a given password, the release Job does not change a person's account.
        "admin_password_is_given": spec.auth.admin_password is not None,
        "airflow": f"{version.major}.{version.minor}",
        "postgresql": oldest[max(minor for minor in oldest if minor <= version.minor)],
        "least_connections": _connections(spec, generations=1, scaled=False),
        # In a deploy new processes run beside old ones.
        "most_connections": _connections(spec, generations=2, scaled=True),
    }


def _connections(spec: DeploymentSpec, *, generations: int, scaled: bool) -> Any:
    """Return the connections that the Deployment keeps open and the connections that PgBouncer accepts.

    Args:
        spec: The Deployment.
        generations: 2 during a roll-out, when new processes run beside old ones; otherwise 1.
        scaled: Whether all workers run that an autoscaler may start.
    """
    pool = spec.pgbouncer
    numbers = {
        "replicas": [spec.workloads[process.component].replicas for process in spec.processes],
        "workers": [q.max_count if scaled else q.min_count for q in spec.worker_queues],
        "concurrency": [queue.concurrency for queue in spec.worker_queues],
        "pgbouncer": pool
        and {
            "replicas": pool.replicas,
            "servers": pool.pool_size,
            "clients": pool.max_client_connections,
        },
    }
    return computed(partial(_count, spec.facts, spec.processes, generations), numbers)


def _count(
    facts: AirflowFacts,
    processes: tuple[Process, ...],
    generations: int,
    numbers: Mapping[str, Any],
) -> dict[str, int | None]:
    running = [
        (process, replicas * generations)
        for process, replicas in zip(processes, numbers["replicas"], strict=True)
    ]
    queues = zip(numbers["workers"], numbers["concurrency"], strict=True)
    slots = sum(workers * concurrency for workers, concurrency in queues)
    pool = numbers["pgbouncer"]
    return {
        "pools": sum(replicas * process.database_pools for process, replicas in running),
        "tasks": slots * facts.worker.connections_of_task,
        "clients": pool and pool["replicas"] * generations * pool["clients"],
        "servers": pool and pool["replicas"] * generations * pool["servers"],
        # asyncpg goes past PgBouncer.
        "direct_pools": sum(
            replicas for process, replicas in running if "metadata-async" in process.reads
        ),
    }
