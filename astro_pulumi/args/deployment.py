"""The arguments of `Deployment`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.auth import AuthArgs
from astro_pulumi.args.broker import BrokerArgs
from astro_pulumi.args.connections import ConnectionArgs
from astro_pulumi.args.database import DatabaseArgs, PgBouncerArgs
from astro_pulumi.args.default_types import Default, Defaults
from astro_pulumi.args.enums import Choice, DatabaseDowngrade
from astro_pulumi.args.existing_secrets import EnvironmentFromArgs, SecretFromArgs, ValueFromArgs
from astro_pulumi.args.images import RegistryArgs
from astro_pulumi.args.monitoring import MetricsArgs, RemoteLoggingArgs
from astro_pulumi.args.networking import (
    HttpRouteArgs,
    IngressArgs,
    NetworkPolicyArgs,
    ServiceArgs,
)
from astro_pulumi.args.resources_and_placement import PlacementArgs
from astro_pulumi.args.workloads import AutoscalingArgs, ProcessArgs, WorkerQueueArgs

DEFAULTS: Final[Defaults] = {
    "TimeoutArgs": {"release_job": Default(1800), "rollout": Default(600)},
    "DeploymentArgs": {
        "platform": Default("linux/amd64"),
        "dag_deploys": Default(False),
        "termination_grace_period_seconds": Default(600),
        "fixed_user_ids": Default(True),
        "log_retention_days": Default(15),
        "database_downgrade": Default("allow"),
        "history_limit": Default(50),
    },
}


class TimeoutArgs(TypedDict):
    """Timeouts of the steps of a deploy, in seconds."""

    release_job: NotRequired[pulumi.Input[int]]
    """Release Job: parsing the DAGs and migrating the database. Default: 1800."""
    rollout: NotRequired[pulumi.Input[int]]
    """Roll-out of one workload. Default: 600."""


class DeploymentArgs(TypedDict):
    """Arguments of `Deployment`: one Airflow environment in one namespace."""

    project: NotRequired[str]
    """Path of the Astro project. Give this, with `registry`, or `image`."""
    image: NotRequired[pulumi.Input[str]]
    """An image built elsewhere, by digest: `ghcr.io/acme/analytics@sha256:...`. It needs no Docker."""
    registry: NotRequired[RegistryArgs]
    """Where the image of `project` is pushed to, and the login to pull it with."""
    platform: NotRequired[str]
    """Platform of the image and of the cluster's nodes. Default: `linux/amd64`."""
    build_secrets: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Variables for the installation of `requirements.txt`, such as the password of a private package index:
    pip replaces `${NAME}` in that file, and reads its own, such as `PIP_EXTRA_INDEX_URL`. They are in
    neither the image nor its history. The base image must be one without `ONBUILD`. Kept secret."""
    dag_deploys: NotRequired[bool]
    """Whether a deploy that changes only `dags/` restarts no process: DAGs are deployed on their own, and
    each DAG run keeps the code that it began with. Needs Airflow 3 and `project`. Default: false."""
    namespace: NotRequired[pulumi.Input[str]]
    """An existing namespace. Default: one is made, named after the Deployment with a random suffix."""
    airflow_version: NotRequired[str]
    """Airflow's version, `3.1` or `2.10.4`; 2.7 is the oldest. Default: read from the Dockerfile's FROM."""
    webserver: NotRequired[ProcessArgs]
    """Pods of the webserver (Airflow 3: api-server)."""
    scheduler: NotRequired[ProcessArgs]
    """Pods of the scheduler."""
    triggerer: NotRequired[ProcessArgs]
    """Pods of the triggerer."""
    dag_processor: NotRequired[ProcessArgs]
    """Pods of the dag-processor. Optional with Airflow 2: without it, the scheduler parses the
    DAGs."""
    worker_queues: NotRequired[Sequence[WorkerQueueArgs]]
    """Celery queues with their workers. Default: one queue named `default`."""
    autoscaling: NotRequired[AutoscalingArgs]
    """How worker queues with a `max_count` above `min_count` are scaled."""
    termination_grace_period_seconds: NotRequired[pulumi.Input[int]]
    """Seconds that a worker has to finish its tasks when it is replaced. Default: 600."""
    environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Environment variables of every Airflow process, in a ConfigMap: not for secrets. Names are
    upper-case."""
    secret_environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Environment variables of every Airflow process, kept in a Secret. Names are upper-case."""
    environment_from: NotRequired[Sequence[EnvironmentFromArgs]]
    """Existing Secrets and ConfigMaps whose keys are environment variables of every Airflow process. Later
    ones override earlier ones. The Deployment's own settings, `environment`, `secret_environment`,
    `connections` and `variables` override all of them."""
    connections: NotRequired[Mapping[str, ConnectionArgs]]
    """Airflow Connections by id, kept in a Secret. The UI does not show them. They override Connections in
    the database with the same id."""
    variables: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Airflow Variables by key, kept in a Secret. The UI does not show them. They override Variables in the
    database with the same key."""
    variables_from: NotRequired[Mapping[str, ValueFromArgs]]
    """Airflow Variables by key, each in an existing Secret or ConfigMap."""
    fernet_key: NotRequired[pulumi.Input[str]]
    """Key that encrypts Connections and Variables in the database: 32 bytes in url-safe base64. During a
    rotation two keys with a comma between them, the new one first. Kept secret. Default: generated once."""
    fernet_key_from: NotRequired[SecretFromArgs]
    """The same, in an existing Secret."""
    database: NotRequired[DatabaseArgs]
    """PostgreSQL. Default: an embedded one, for trial and small use."""
    pgbouncer: NotRequired[PgBouncerArgs]
    """PgBouncer between Airflow and its database. Default: none."""
    broker: NotRequired[BrokerArgs]
    """Redis. Default: an embedded one, for trial and small use."""
    service: NotRequired[ServiceArgs]
    """How the webserver is reached."""
    ingress: NotRequired[IngressArgs]
    """An Ingress in front of the webserver. Default: none."""
    http_route: NotRequired[HttpRouteArgs]
    """A Gateway API HTTPRoute to the webserver. Default: none."""
    auth: NotRequired[AuthArgs]
    """Who may log in."""
    network_policies: NotRequired[NetworkPolicyArgs]
    """Which pods may talk to which."""
    placement: NotRequired[PlacementArgs]
    """Nodes of all pods: Airflow's, the Jobs of a deploy, embedded services, PgBouncer and the metrics
    exporter."""
    pod_template: NotRequired[Mapping[str, Any]]
    """A strategic merge patch of the pod template of all Airflow pods, the Jobs of a deploy included, in
    Kubernetes' own format: `{"metadata": {"labels": {"team": "data"}}, "spec": {"containers": [...]}}`.
    Airflow's container is named `airflow` in every pod. Values may be Outputs."""
    service_account_annotations: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Annotations of the service accounts of Airflow's pods and of the release Job, for workload identity:
    `eks.amazonaws.com/role-arn`, `iam.gke.io/gcp-service-account`, `azure.workload.identity/client-id`."""
    fixed_user_ids: NotRequired[bool]
    """Whether pods state the user and group ids of the images. `False` on OpenShift, where `restricted-v2`
    assigns them. Default: true."""
    remote_logging: NotRequired[RemoteLoggingArgs]
    """Permanent storage of task logs. Default: none; logs are lost with their pods."""
    log_retention_days: NotRequired[int]
    """Days after which log files in the pods are deleted; 0 keeps them for the lifetime of the pod.
    Default: 15."""
    metrics: NotRequired[MetricsArgs]
    """Where Airflow's metrics go. Default: nowhere."""
    rollback_to: NotRequired[str]
    """Earlier release to deploy again, image and configuration: its number, `previous`, or an image digest
    (`sha256:...`). The project is not built. Also `astro:rollbackTo` in the stack's configuration."""
    database_downgrade: NotRequired[pulumi.Input[Choice[DatabaseDowngrade]]]
    """Whether an older Airflow may downgrade the database, which drops the data that only the newer one has:
    `allow`, or `refuse` such a deploy. Default: `allow`."""
    history_limit: NotRequired[pulumi.Input[int]]
    """Number of releases that are kept for rollbacks, 2 to 1000. Default: 50."""
    timeouts: NotRequired[TimeoutArgs]
    """Timeouts of the steps of a deploy."""
