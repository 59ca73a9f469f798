"""The validated arguments of a Deployment, as one typed value that all builders take.

`validation/` makes it from the raw arguments. Fields that are `pulumi.Input` may be Outputs; all others
are plain and checked. Times are in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pulumi

from astro_pulumi.airflow.mounted_pod_files import DAG_FILES, ROLLOUT_FILES, FileSet
from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.airflow.version_differences import AirflowFacts, Process
from astro_pulumi.project import Project
from astro_pulumi.pulumi_inputs import computed


@dataclass(frozen=True, slots=True)
class ValueFrom:
    """One key of an existing Secret or ConfigMap."""

    kind: str  # "secret", "config_map"
    name: pulumi.Input[str]
    key: pulumi.Input[str]


@dataclass(frozen=True, slots=True)
class LoginFrom:
    """The keys of user and password in an existing Secret."""

    secret: pulumi.Input[str]
    username_key: pulumi.Input[str] | None  # None: there is no user
    password_key: pulumi.Input[str]

    @property
    def parts(self) -> dict[str, ValueFrom]:
        """The parts of the login, by the suffix of the environment variable for each."""
        username, password = self.username_key, self.password_key
        return {
            **(
                {} if username is None else {"USERNAME": ValueFrom("secret", self.secret, username)}
            ),
            "PASSWORD": ValueFrom("secret", self.secret, password),
        }


@dataclass(frozen=True, slots=True)
class EnvironmentFrom:
    """An existing Secret or ConfigMap whose keys are environment variables."""

    kind: str  # "secret", "config_map"
    name: pulumi.Input[str]
    prefix: pulumi.Input[str] | None


@dataclass(frozen=True, slots=True)
class Registry:
    """Where images live. A server is None for Docker Hub."""

    repository: pulumi.Input[str]
    pull_repository: pulumi.Input[str] | None  # None: `repository`
    server: pulumi.Input[str | None] | None
    pull_server: pulumi.Input[str | None] | None
    username: pulumi.Input[str] | None
    password: pulumi.Input[str] | None
    pull_secret: pulumi.Input[str] | None  # an existing one


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits of one container, by resource: `cpu`, `memory`, `ephemeral-storage` ..."""

    requests: Mapping[str, pulumi.Input[str]]
    limits: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, slots=True)
class Placement:
    """Which nodes pods run on, as in a pod's spec."""

    node_selector: Mapping[str, pulumi.Input[str]]
    tolerations: tuple[dict[str, Any], ...]
    affinity: Mapping[str, Any] | None
    priority_class: pulumi.Input[str | None] | None
    topology_spread_constraints: tuple[Mapping[str, Any], ...] | None  # None: spread where possible


@dataclass(frozen=True, slots=True)
class Workload:
    """Pods of one Airflow process."""

    replicas: pulumi.Input[int]
    resources: Resources
    placement: Placement
    pod_template: Mapping[str, Any]  # a patch, applied after that of the Deployment


@dataclass(frozen=True, slots=True)
class WorkerQueue:
    """One Celery queue. It is scaled between `min_count` and `max_count`."""

    name: str
    concurrency: pulumi.Input[int]
    min_count: int
    max_count: int
    resources: Resources
    placement: Placement
    pod_template: Mapping[str, Any]  # a patch, applied after that of the Deployment
    termination_grace_period_seconds: pulumi.Input[int]

    @property
    def is_scaled(self) -> bool:
        """Whether an autoscaler decides the number of workers."""
        return self.max_count > self.min_count


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """How queues are scaled."""

    type: str  # "cpu", "keda"
    target_cpu_percent: pulumi.Input[int]
    polling_interval: pulumi.Input[int]
    cooldown_period: pulumi.Input[int]


@dataclass(frozen=True, slots=True)
class EmbeddedService:
    """Embedded PostgreSQL or Redis."""

    image: pulumi.Input[str]
    storage_size: pulumi.Input[str]
    storage_class: pulumi.Input[str] | None
    resources: Resources
    placement: Placement


@dataclass(frozen=True, slots=True)
class ExternalService:
    """The user's PostgreSQL or Redis: `url`, or its parts."""

    url: pulumi.Input[str] | None
    host: pulumi.Input[str] | None
    port: pulumi.Input[int]
    username: pulumi.Input[str] | None
    password: pulumi.Input[str] | None
    login_from: LoginFrom | None  # in place of `username` and `password`
    ca_certificate: pulumi.Input[str] | ValueFrom | None


@dataclass(frozen=True, slots=True)
class ExternalDatabase(ExternalService):
    """The user's PostgreSQL."""

    name: pulumi.Input[str]
    ssl_mode: pulumi.Input[str] | None


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """A pool of connections in front of the database."""

    image: pulumi.Input[str]
    replicas: pulumi.Input[int]
    resources: Resources
    placement: Placement
    pool_size: pulumi.Input[int]
    max_client_connections: pulumi.Input[int]
    settings: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, slots=True)
class ExternalBroker(ExternalService):
    """The user's Redis."""

    database: pulumi.Input[int]
    tls: pulumi.Input[bool]


@dataclass(frozen=True, slots=True)
class Connection:
    """An Airflow Connection: `uri`, `value_from`, or fields by the names of Airflow's JSON form."""

    uri: pulumi.Input[str] | None
    value_from: ValueFrom | None
    fields: Mapping[str, pulumi.Input[Any]]


@dataclass(frozen=True, slots=True)
class Ingress:
    """An Ingress."""

    host: pulumi.Input[str]
    path: pulumi.Input[str]
    class_name: pulumi.Input[str] | None
    tls_secret: pulumi.Input[str] | None
    annotations: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A Gateway API HTTPRoute."""

    gateway: pulumi.Input[str]
    gateway_namespace: pulumi.Input[str] | None
    listener: pulumi.Input[str] | None
    host: pulumi.Input[str]
    path: pulumi.Input[str]


@dataclass(frozen=True, slots=True)
class Exposure:
    """How the webserver is reached."""

    type: str
    node_port: pulumi.Input[int] | None
    annotations: Mapping[str, pulumi.Input[str]]
    base_url: pulumi.Input[str] | None  # without a slash at its end
    ingress: Ingress | None
    http_route: HttpRoute | None

    @property
    def base_path(self) -> pulumi.Input[str]:
        """The path of the base URL, without a slash at its end: "" or `/airflow`."""
        path: pulumi.Input[str] = computed(lambda url: urlsplit(url).path, self.base_url or "")
        return path

    @property
    def over_https(self) -> pulumi.Input[bool]:
        """Whether people use HTTPS."""
        https: pulumi.Input[bool] = computed(
            lambda url: url.startswith("https:"), self.base_url or ""
        )
        return https

    @property
    def behind_proxy(self) -> pulumi.Input[bool]:
        """Whether a proxy stands before the webserver. Airflow itself speaks plain HTTP only."""
        return True if self.ingress or self.http_route else self.over_https


@dataclass(frozen=True, slots=True)
class Auth:
    """Who may log in."""

    manager: str  # a key of `AirflowFacts.auth_managers`, or the path of a class
    admin_password: pulumi.Input[str] | ValueFrom | None  # None: generated


@dataclass(frozen=True, slots=True)
class NetworkPolicies:
    """Which pods may talk to which."""

    enabled: bool
    webserver_from: tuple[Mapping[str, Any], ...] | None  # None: everyone
    egress: tuple[Mapping[str, Any], ...]  # more rules for Airflow's pods


@dataclass(frozen=True, slots=True)
class RemoteLogging:
    """Where task logs are kept: in `folder`, or in Elasticsearch."""

    folder: pulumi.Input[str] | None
    connection_id: pulumi.Input[str] | None
    encrypt_s3: pulumi.Input[bool]
    elasticsearch_host: pulumi.Input[str] | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where metrics go. At most one of the three hosts and images is set."""

    statsd_host: pulumi.Input[str] | None
    statsd_port: pulumi.Input[int]
    otel_host: pulumi.Input[str] | None
    otel_port: pulumi.Input[int]
    exporter_image: pulumi.Input[str] | None
    service_monitor: bool
    prefix: pulumi.Input[str]
    resources: Resources  # of the exporter
    placement: Placement  # of the exporter


@dataclass(frozen=True, slots=True)
class ImageSource:
    """A project to build and the registry to push it to."""

    project: Project
    registry: Registry
    platform: str
    build_secrets: dict[str, pulumi.Input[str]]


@dataclass(frozen=True, slots=True)
class DeployedImages:
    """References by digest of a release's images. Without DAG deploys both are the same."""

    full: pulumi.Output[str]  # everything, the DAGs included: it names the release
    pods: pulumi.Output[str]  # what pods run


@dataclass(frozen=True, slots=True)
class DeploymentSpec:
    """One Airflow environment."""

    name: str
    source: ImageSource | None  # None: `image` is given
    image: pulumi.Input[str] | None
    registry: Registry | None
    airflow_version: AirflowVersion
    facts: AirflowFacts
    namespace: pulumi.Input[str] | None  # None: make one
    workloads: dict[str, Workload]  # by component: "scheduler". Only of the processes that run.
    worker_queues: tuple[WorkerQueue, ...]
    autoscaling: Autoscaling
    environment: dict[str, pulumi.Input[str]]
    secret_environment: dict[str, pulumi.Input[str]]
    environment_from: tuple[EnvironmentFrom, ...]
    connections: dict[str, Connection]
    variables: dict[str, pulumi.Input[str]]
    variables_from: dict[str, ValueFrom]
    fernet_key: pulumi.Input[str] | ValueFrom | None  # None: generated
    dag_deploys: bool  # DAGs are deployed on their own, and pods' image is without them
    database: EmbeddedService | ExternalDatabase
    pgbouncer: PgBouncer | None
    backup_before_downgrade: bool  # only of an embedded database
    broker: EmbeddedService | ExternalBroker
    exposure: Exposure
    auth: Auth
    network_policies: NetworkPolicies
    placement: Placement  # of all pods that have none of their own
    pod_template: Mapping[str, Any]  # a patch of all Airflow pods, the Jobs of a deploy included
    service_account_annotations: Mapping[str, pulumi.Input[str]]
    fixed_user_ids: bool
    remote_logging: RemoteLogging | None
    log_retention_days: int
    metrics: Metrics
    database_downgrade: pulumi.Input[str]
    history_limit: pulumi.Input[int]
    release_job_timeout: pulumi.Input[int]
    rollout_timeout: pulumi.Input[int]

    @property
    def default_queue(self) -> WorkerQueue:
        """The queue of tasks that name no queue."""
        return self.worker_queues[0]

    @property
    def has_admin(self) -> bool:
        """Whether there is a user `admin`. Unknown auth managers have their own users."""
        return self.auth.manager in self.facts.auth_managers

    @property
    def processes(self) -> tuple[Process, ...]:
        """The Airflow processes that run, without the workers."""
        return tuple(p for p in self.facts.processes if p.component in self.workloads)

    @property
    def file_sets(self) -> tuple[FileSet, ...]:
        """The sets of our files that pods with Airflow's image mount, each once."""
        processes = (*self.processes, self.facts.worker, self.facts.release_job)
        dags = (DAG_FILES,) if self.dag_deploys else ()
        return tuple(dict.fromkeys((*(one.files for one in processes), ROLLOUT_FILES, *dags)))

    @property
    def parser_resources(self) -> Resources:
        """The resources of the process that parses the DAGs, and of the release Job, which does so too."""
        parser = "dag-processor" if "dag-processor" in self.workloads else "scheduler"
        return self.workloads[parser].resources

    @property
    def longest_grace_period(self) -> pulumi.Input[int]:
        """The longest grace period of all queues, in seconds."""
        periods = (queue.termination_grace_period_seconds for queue in self.worker_queues)
        longest: pulumi.Input[int] = computed(lambda *known: max(known), *periods)
        return longest

    @property
    def keda_counts_tasks(self) -> bool:
        """Whether KEDA scales a queue: it counts tasks in the database."""
        return self.autoscaling.type == "keda" and any(q.is_scaled for q in self.worker_queues)

    def queues_served(self, queue: WorkerQueue) -> tuple[str, ...]:
        """Return the Celery queues that the workers of `queue` take tasks from.

        Those of the default queue also take the tasks of the names that a default queue has elsewhere,
        unless a queue of this name exists.
        """
        if queue is not self.default_queue:
            return (queue.name,)
        names = {other.name for other in self.worker_queues}
        aliases = (alias for alias in self.facts.default_queue_aliases if alias not in names)
        return (queue.name, *aliases)
