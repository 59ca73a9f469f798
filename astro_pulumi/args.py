"""The arguments of the components: the public interface.

These types are read three times: by people, by the type checker, and by Pulumi's analyser, which makes
the schema for YAML, TypeScript, Go, C# and Java of them. The analyser decides their form (pulumi 3.272):
`TypedDict`s whose fields are documented by the string below them, no unions, no `Input[int]`. A field
that is a `pulumi.Input` may be an Output; any other field must be known when the program runs.
"""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi


class RegistryArgs(TypedDict):
    """Where the image is pushed to and pulled from."""

    repository: str
    """Repository without a tag: `ghcr.io/acme/analytics`. The tag is made from the project's content."""
    username: NotRequired[pulumi.Input[str]]
    """User to push as. A pull secret is made of the same login. Default: no login."""
    password: NotRequired[pulumi.Input[str]]
    """Password or token of `username`. Kept secret."""


class WorkerQueueArgs(TypedDict):
    """One Celery queue and the workers that serve it."""

    name: str
    """Name of the queue, as tasks name it in `queue=`. The first one is the default queue of all tasks."""
    concurrency: NotRequired[int]
    """Tasks that one worker runs at the same time. Default: 16."""
    min_count: NotRequired[int]
    """Number of workers. Default: 1."""
    cpu: NotRequired[str]
    """CPU limit of one worker, a Kubernetes quantity: `500m`, `2`. Default: `1`."""
    memory: NotRequired[str]
    """Memory limit of one worker, a Kubernetes quantity: `2Gi`. Default: `2Gi`."""


class ProcessArgs(TypedDict):
    """Size of one Airflow process (webserver, scheduler, triggerer, dag-processor)."""

    replicas: NotRequired[int]
    """Number of pods. Default: 1."""
    cpu: NotRequired[str]
    """CPU limit of one pod, a Kubernetes quantity. Default: `1`."""
    memory: NotRequired[str]
    """Memory limit of one pod, a Kubernetes quantity. Default: `1Gi`, webserver `2Gi`."""


class DatabaseArgs(TypedDict):
    """The embedded PostgreSQL: for trial and small use."""

    image: NotRequired[str]
    """Image with the contract of the official `postgres` image. Default: `postgres:17`."""
    storage_size: NotRequired[str]
    """Size of its persistent volume, a Kubernetes quantity. Default: `8Gi`."""
    storage_class: NotRequired[str]
    """StorageClass of its volume. Default: the cluster's default."""


class BrokerArgs(TypedDict):
    """The embedded Redis: for trial and small use."""

    image: NotRequired[str]
    """Image with the contract of the official `redis` image. Default: `redis:7`."""
    storage_size: NotRequired[str]
    """Size of its persistent volume, a Kubernetes quantity. Default: `1Gi`."""
    storage_class: NotRequired[str]
    """StorageClass of its volume. Default: the cluster's default."""


class ServiceArgs(TypedDict):
    """How the webserver is reached."""

    type: NotRequired[str]
    """`ClusterIP`, `NodePort` or `LoadBalancer`. Default: `ClusterIP`."""
    node_port: NotRequired[int]
    """Port on every node, 30000 to 32767, with type `NodePort`. Default: Kubernetes chooses."""
    base_url: NotRequired[str]
    """URL under which people open the UI: `https://airflow.acme.com`. Default: the Service's DNS name."""


class TimeoutArgs(TypedDict):
    """How long the steps of a deploy may take, in seconds."""

    release_job: NotRequired[int]
    """Parsing the DAGs and migrating the database. Default: 1800."""
    rollout: NotRequired[int]
    """One workload becoming ready. Default: 600."""


class ProjectImageArgs(TypedDict):
    """Arguments of `ProjectImage`: build an Astro project into an image and push it."""

    project: str
    """Path of the Astro project: the directory with `Dockerfile`, `dags/`, `requirements.txt` ..."""
    registry: RegistryArgs
    """Where the image is pushed to."""
    platform: NotRequired[str]
    """Platform that the image is built for, that of the cluster's nodes. Default: `linux/amd64`."""


class DeploymentArgs(TypedDict):
    """Arguments of `Deployment`: one Airflow environment in one namespace."""

    project: NotRequired[str]
    """Path of the Astro project. Give this, with `registry`, or `image`."""
    image: NotRequired[pulumi.Input[str]]
    """An image built elsewhere, by digest: `ghcr.io/acme/analytics@sha256:...`. No Docker is needed then."""
    registry: NotRequired[RegistryArgs]
    """Where the image of `project` is pushed to, and the login to pull it with."""
    platform: NotRequired[str]
    """Platform that the image is built for, that of the cluster's nodes. Default: `linux/amd64`."""
    namespace: NotRequired[pulumi.Input[str]]
    """An existing namespace. Default: one is made, named after the Deployment with a random suffix."""
    airflow_version: NotRequired[str]
    """Airflow's version, `3.1` or `2.10.4`. Default: read from the Dockerfile's FROM."""
    webserver: NotRequired[ProcessArgs]
    """Size of the webserver (Airflow 3: api-server)."""
    scheduler: NotRequired[ProcessArgs]
    """Size of the scheduler."""
    triggerer: NotRequired[ProcessArgs]
    """Size of the triggerer."""
    dag_processor: NotRequired[ProcessArgs]
    """Size of the dag-processor."""
    worker_queues: NotRequired[Sequence[WorkerQueueArgs]]
    """Celery queues with their workers. Default: one queue named `default`."""
    termination_grace_period_seconds: NotRequired[int]
    """How long a worker may go on with its tasks when it is replaced, in seconds. Default: 600."""
    environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Environment variables of every Airflow process."""
    secret_environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Environment variables kept in a Kubernetes Secret."""
    database: NotRequired[DatabaseArgs]
    """The embedded PostgreSQL."""
    broker: NotRequired[BrokerArgs]
    """The embedded Redis."""
    service: NotRequired[ServiceArgs]
    """How the webserver is reached."""
    description: NotRequired[str]
    """What this deploy is about; kept with the release."""
    rollback_to: NotRequired[str]
    """Deploy an earlier release again, image and configuration: its number, `previous`, or an image digest
    (`sha256:...`). The project is not built then. Also as `astro:rollbackTo` in the stack's configuration."""
    database_downgrade: NotRequired[str]
    """`allow`, or `refuse` a deploy of an older Airflow that needs the database to be downgraded, which drops
    what only the newer Airflow stores. Default: `allow`."""
    history_limit: NotRequired[int]
    """Number of releases that are kept to go back to, 2 to 1000. Default: 50."""
    skip_dag_parse: NotRequired[bool]
    """Deploy without parsing the DAGs in the new image first. Default: false."""
    timeouts: NotRequired[TimeoutArgs]
    """How long the steps of a deploy may take."""
