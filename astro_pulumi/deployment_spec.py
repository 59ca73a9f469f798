"""The validated arguments of a Deployment, as one typed value that all builders take.

`validation/` makes it from the raw arguments. Its sections are dataclasses of `args/`. Fields that are
`pulumi.Input` may be Outputs; all others are plain and checked. Times are in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from astro_pulumi.airflow.mounted_pod_files import DAG_FILES, ROLLOUT_FILES, FileSet
from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.airflow.version_differences import AirflowFacts, Process
from astro_pulumi.args.auth import Auth
from astro_pulumi.args.broker import ExternalBroker
from astro_pulumi.args.connections import Connection
from astro_pulumi.args.database import ExternalDatabase, PgBouncer
from astro_pulumi.args.embedded_or_external import EmbeddedService
from astro_pulumi.args.existing_secrets import EnvironmentFrom, ValueFrom
from astro_pulumi.args.images import Registry
from astro_pulumi.args.monitoring import Metrics, RemoteLogging
from astro_pulumi.args.networking import Exposure, NetworkPolicies
from astro_pulumi.args.resources_and_placement import Placement, Resources
from astro_pulumi.args.workloads import Autoscaling, WorkerQueue, Workload
from astro_pulumi.project import Project
from astro_pulumi.pulumi_inputs import computed


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
