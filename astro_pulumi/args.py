"""The arguments of the components: the public interface.

These types are read three times: by people, by the type checker, and by Pulumi's analyser, which makes
the schema for YAML, TypeScript, Go, C# and Java of them. The analyser decides their form (pulumi 3.272):
`TypedDict`s whose fields are documented by the string below them, no unions, no `Input[int]`. A field
that is a `pulumi.Input` may be an Output; any other field must be known when the program runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from astro_pulumi.choices import (
    AutoscalingType,
    Choice,
    DatabaseDowngrade,
    ServiceType,
    SslMode,
    TaintEffect,
    TolerationOperator,
)


class RegistryArgs(TypedDict):
    """Where the image is pushed to and pulled from."""

    repository: pulumi.Input[str]
    """Repository without a tag: `ghcr.io/acme/analytics`. The tag is made from the project's content."""
    username: NotRequired[pulumi.Input[str]]
    """User to push as. A pull secret is made of the same login. Default: no login."""
    password: NotRequired[pulumi.Input[str]]
    """Password or token of `username`. Kept secret."""
    pull_repository: NotRequired[pulumi.Input[str]]
    """Name of the same repository as the cluster reaches it, where it has another name there than
    where the image is pushed from. Default: `repository`."""
    pull_secret: NotRequired[pulumi.Input[str]]
    """An existing Secret of the namespace to pull with, of type `kubernetes.io/dockerconfigjson`.
    Default: one is made of `username` and `password`, or none without a login."""


class ValueFromArgs(TypedDict):
    """One key of an existing Secret or ConfigMap of the namespace. Pods read it when they start."""

    secret: NotRequired[pulumi.Input[str]]
    """Name of the Secret. Give this or `config_map`."""
    config_map: NotRequired[pulumi.Input[str]]
    """Name of the ConfigMap, for what is no secret."""
    key: pulumi.Input[str]
    """Key in it: `password`."""


class SecretFromArgs(TypedDict):
    """One key of an existing Secret of the namespace. Pods read it when they start."""

    secret: pulumi.Input[str]
    """Name of the Secret."""
    key: pulumi.Input[str]
    """Key in it: `password`."""


class LoginFromArgs(TypedDict):
    """User and password in an existing Secret of the namespace. Pods read it when they start."""

    secret: pulumi.Input[str]
    """Name of the Secret."""
    username_key: NotRequired[pulumi.Input[str]]
    """Key of the user name. Default: `username`; for a broker none, since Redis needs no user."""
    password_key: NotRequired[pulumi.Input[str]]
    """Key of the password. Default: `password`."""


class EnvironmentFromArgs(TypedDict):
    """All keys of an existing Secret or ConfigMap of the namespace, as environment variables."""

    secret: NotRequired[pulumi.Input[str]]
    """Name of the Secret. Give this or `config_map`."""
    config_map: NotRequired[pulumi.Input[str]]
    """Name of the ConfigMap."""
    prefix: NotRequired[pulumi.Input[str]]
    """What stands before each key in the name of its variable: `AIRFLOW_VAR_`. Default: nothing."""


class ResourcesArgs(TypedDict):
    """Requests and limits of a container, as in Kubernetes. A resource that neither names has its default."""

    requests: NotRequired[Mapping[str, pulumi.Input[str]]]
    """What a node reserves, by resource: `{"cpu": "500m", "memory": "2Gi"}`. Default: that of each pod, see
    docs/sizing.md; of a resource with a limit alone, that limit."""
    limits: NotRequired[Mapping[str, pulumi.Input[str]]]
    """The most that the container may use, by resource: `{"memory": "2Gi", "ephemeral-storage": "10Gi"}`.
    Default: that of each pod, see docs/sizing.md; of a resource with a request alone, none."""


class TolerationArgs(TypedDict):
    """Lets pods run on nodes with a taint, as in a pod's `tolerations`."""

    key: NotRequired[pulumi.Input[str]]
    """Key of the taint. Default: every key, with operator `Exists`."""
    operator: NotRequired[pulumi.Input[Choice[TolerationOperator]]]
    """`Equal` or `Exists`. Default: `Equal`."""
    value: NotRequired[pulumi.Input[str]]
    """Value of the taint, with operator `Equal`."""
    effect: NotRequired[pulumi.Input[Choice[TaintEffect]]]
    """`NoSchedule`, `PreferNoSchedule` or `NoExecute`. Default: every effect."""
    toleration_seconds: NotRequired[pulumi.Input[int]]
    """How long to stay on a node that gets the taint, in seconds, with `NoExecute`. Default: for ever."""


class PlacementArgs(TypedDict):
    """Which nodes pods run on. Of a process, queue or service: each field replaces that of the Deployment."""

    node_selector: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Labels of the nodes: `{"pool": "airflow"}`. Default: every node."""
    tolerations: NotRequired[Sequence[TolerationArgs]]
    """Taints of nodes that the pods tolerate. Default: none."""
    affinity: NotRequired[Mapping[str, pulumi.Input[Any]]]
    """Affinity, in the words of a pod's `spec.affinity`. Default: none."""
    priority_class: NotRequired[pulumi.Input[str]]
    """PriorityClass. Default: the cluster's default."""
    topology_spread_constraints: NotRequired[Sequence[Mapping[str, pulumi.Input[Any]]]]
    """How replicas are spread, in the words of a pod's `spec.topologySpreadConstraints`. A constraint without
    `labelSelector` counts the replicas of one workload. Default: replicas are spread over nodes and zones
    where that can be had."""


class WorkerQueueArgs(TypedDict):
    """One Celery queue and the workers that serve it."""

    name: str
    """Name of the queue, as tasks name it in `queue=`. The first one is the default queue of all tasks."""
    concurrency: NotRequired[pulumi.Input[int]]
    """Tasks that one worker runs at the same time. Default: 5."""
    min_count: NotRequired[int]
    """Number of workers, the least of them with autoscaling. 0 needs KEDA. Default: 1."""
    max_count: NotRequired[int]
    """The most workers that autoscaling may start. Default: `min_count`, which is no autoscaling."""
    resources: NotRequired[ResourcesArgs]
    """What one worker requests and may use. A worker that uses more disk than its limit of
    `ephemeral-storage` is evicted."""
    termination_grace_period_seconds: NotRequired[pulumi.Input[int]]
    """How long a worker of this queue may go on with its tasks when it is replaced, in seconds.
    Default: that of the Deployment."""
    placement: NotRequired[PlacementArgs]
    """Which nodes the workers run on. Default: `placement` of the Deployment."""
    pod_template: NotRequired[Mapping[str, Any]]
    """A patch of the workers' pod template, applied after that of the Deployment."""


class AutoscalingArgs(TypedDict):
    """How worker queues with a `max_count` above their `min_count` are scaled."""

    type: NotRequired[Choice[AutoscalingType]]
    """`cpu`: a HorizontalPodAutoscaler, which needs the metrics server. `keda`: a KEDA ScaledObject by
    queued and running tasks, which needs KEDA. Default: `cpu`."""
    target_cpu_percent: NotRequired[pulumi.Input[int]]
    """With `cpu`: average use to aim at, in percent of the worker's CPU request, 1 to 1000. Default: 70."""
    polling_interval_seconds: NotRequired[pulumi.Input[int]]
    """With `keda`: how often tasks are counted, in seconds. Default: 10."""
    cooldown_period_seconds: NotRequired[pulumi.Input[int]]
    """How long less work must last before workers are stopped, in seconds. Default: 300."""


class ProcessArgs(TypedDict):
    """Pods of one Airflow process (webserver, scheduler, triggerer, dag-processor)."""

    replicas: NotRequired[pulumi.Input[int]]
    """Number of pods. A PodDisruptionBudget keeps all but one running. Default: 1."""
    resources: NotRequired[ResourcesArgs]
    """What one pod requests and may use. The release Job, which parses the DAGs, has those of the process
    that parses them: the dag-processor, or the scheduler of an Airflow 2 without one."""
    placement: NotRequired[PlacementArgs]
    """Which nodes the pods run on. Default: `placement` of the Deployment."""
    pod_template: NotRequired[Mapping[str, Any]]
    """A patch of the pod template, applied after that of the Deployment."""


class DatabaseArgs(TypedDict):
    """PostgreSQL: yours, by `url` or `host`, or else the embedded one for trial and small use."""

    url: NotRequired[pulumi.Input[str]]
    """URL of your database: `postgresql://user:password@host:5432/airflow?sslmode=require`. Kept secret."""
    host: NotRequired[pulumi.Input[str]]
    """Host of your database, in place of `url`."""
    port: NotRequired[pulumi.Input[int]]
    """Port of your database. Default: 5432."""
    name: NotRequired[pulumi.Input[str]]
    """Name of your database. Default: `airflow`."""
    username: NotRequired[pulumi.Input[str]]
    """User of your database. Required with `host`."""
    password: NotRequired[pulumi.Input[str]]
    """Password of `username`. Required with `host`. Kept secret."""
    login_from: NotRequired[LoginFromArgs]
    """User and password in an existing Secret, in place of `username` and `password`."""
    ssl_mode: NotRequired[pulumi.Input[Choice[SslMode]]]
    """libpq's `sslmode`: `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`.
    Default: `require` with `host`; with `url` what it says."""
    ca_certificate: NotRequired[pulumi.Input[str]]
    """Certificate of the authority that signed the database's, in PEM, for `verify-ca` and
    `verify-full`."""
    ca_certificate_from: NotRequired[ValueFromArgs]
    """The same, in an existing Secret or ConfigMap."""
    image: NotRequired[pulumi.Input[str]]
    """Embedded: image with the contract of the official `postgres` image. Default: `postgres:17`."""
    storage_size: NotRequired[pulumi.Input[str]]
    """Embedded: size of its persistent volume, a Kubernetes quantity. Default: `8Gi`."""
    storage_class: NotRequired[pulumi.Input[str]]
    """Embedded: StorageClass of its volume. Default: the cluster's default."""
    resources: NotRequired[ResourcesArgs]
    """Embedded: what its pod requests and may use."""
    placement: NotRequired[PlacementArgs]
    """Embedded: which nodes it runs on. Default: `placement` of the Deployment."""
    backup_before_downgrade: NotRequired[bool]
    """Embedded: write a `pg_dump` of it to a volume of its own, of `storage_size`, before it is taken back to
    an older Airflow. Without room for it nothing is downgraded. Default: false."""


class PgBouncerArgs(TypedDict):
    """PgBouncer between Airflow and its database: many processes share few connections. The release Job
    migrates past it."""

    image: pulumi.Input[str]
    """Image with `sh` and the program `pgbouncer` on its path, version 1.18 or later. It runs as any user."""
    replicas: NotRequired[pulumi.Input[int]]
    """Number of pods. A PodDisruptionBudget keeps all but one running. Default: 1."""
    resources: NotRequired[ResourcesArgs]
    """What one pod requests and may use."""
    placement: NotRequired[PlacementArgs]
    """Which nodes the pods run on. Default: `placement` of the Deployment."""
    pool_size: NotRequired[pulumi.Input[int]]
    """Connections that one pod keeps to the database (`default_pool_size`). Default: 20."""
    max_client_connections: NotRequired[pulumi.Input[int]]
    """Connections that one pod takes from Airflow (`max_client_conn`). Default: 1000."""
    settings: NotRequired[Mapping[str, pulumi.Input[str]]]
    """More of `pgbouncer.ini`, by name: `{"max_prepared_statements": "200"}`."""


class BrokerArgs(TypedDict):
    """Redis: yours, by `url` or `host`, or else the embedded one for trial and small use."""

    url: NotRequired[pulumi.Input[str]]
    """URL of your Redis: `rediss://:password@host:6379/0`. Kept secret."""
    host: NotRequired[pulumi.Input[str]]
    """Host of your Redis, in place of `url`."""
    port: NotRequired[pulumi.Input[int]]
    """Port of your Redis. Default: 6379."""
    database: NotRequired[pulumi.Input[int]]
    """Number of the database in your Redis. Default: 0."""
    username: NotRequired[pulumi.Input[str]]
    """User of your Redis. Default: none, for a Redis with a password only."""
    password: NotRequired[pulumi.Input[str]]
    """Password of your Redis. Kept secret. Default: none."""
    login_from: NotRequired[LoginFromArgs]
    """Password, and user if there is one, in an existing Secret, in place of `username` and `password`."""
    tls: NotRequired[pulumi.Input[bool]]
    """Whether to speak TLS with `host`; its certificate is verified. Default: false."""
    ca_certificate: NotRequired[pulumi.Input[str]]
    """Certificate of the authority that signed your Redis's, in PEM. Default: the image's authorities."""
    ca_certificate_from: NotRequired[ValueFromArgs]
    """The same, in an existing Secret or ConfigMap."""
    image: NotRequired[pulumi.Input[str]]
    """Embedded: image with the contract of the official `redis` image. Default: `redis:7`."""
    storage_size: NotRequired[pulumi.Input[str]]
    """Embedded: size of its persistent volume, a Kubernetes quantity. Default: `1Gi`."""
    storage_class: NotRequired[pulumi.Input[str]]
    """Embedded: StorageClass of its volume. Default: the cluster's default."""
    resources: NotRequired[ResourcesArgs]
    """Embedded: what its pod requests and may use."""
    placement: NotRequired[PlacementArgs]
    """Embedded: which nodes it runs on. Default: `placement` of the Deployment."""


class ConnectionArgs(TypedDict):
    """An Airflow Connection: `uri`, or `value_from`, or `type` and the fields it needs."""

    uri: NotRequired[pulumi.Input[str]]
    """The whole Connection: `postgres://user:password@host:5432/schema`."""
    value_from: NotRequired[ValueFromArgs]
    """The whole Connection in an existing Secret or ConfigMap, as a URI or as Airflow's JSON."""
    type: NotRequired[pulumi.Input[str]]
    """Connection type: `postgres`, `aws`, `http` ..."""
    host: NotRequired[pulumi.Input[str]]
    """Host name."""
    schema: NotRequired[pulumi.Input[str]]
    """Schema, or what the type uses this field for."""
    login: NotRequired[pulumi.Input[str]]
    """User name."""
    password: NotRequired[pulumi.Input[str]]
    """Password."""
    port: NotRequired[pulumi.Input[int]]
    """Port, 1 to 65535."""
    extra: NotRequired[pulumi.Input[str]]
    """Further fields of the type, as JSON text: `{"region_name": "eu-west-1"}`."""


class ServiceArgs(TypedDict):
    """How the webserver is reached."""

    type: NotRequired[Choice[ServiceType]]
    """`ClusterIP`, `NodePort` or `LoadBalancer`; a deploy waits until that has an address, unless
    `base_url` is given. Default: `ClusterIP`."""
    node_port: NotRequired[pulumi.Input[int]]
    """Port on every node, 30000 to 32767, with type `NodePort`. Default: Kubernetes chooses."""
    annotations: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Annotations of the Service, which load balancers are set up by."""
    base_url: NotRequired[pulumi.Input[str]]
    """URL under which people open the UI: `https://airflow.acme.com`. Default: that of `ingress` or
    `http_route`, else the load balancer's address, else the Service's DNS name."""


class IngressArgs(TypedDict):
    """An Ingress in front of the webserver."""

    host: pulumi.Input[str]
    """Host name that people use: `airflow.acme.com`."""
    path: NotRequired[pulumi.Input[str]]
    """Path below which the UI is. Default: `/`."""
    class_name: NotRequired[pulumi.Input[str]]
    """IngressClass. Default: the cluster's default."""
    tls_secret: NotRequired[pulumi.Input[str]]
    """Secret of the namespace with the certificate of `host`. Default: no TLS."""
    annotations: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Annotations of the Ingress, which controllers and cert-manager are set up by."""


class HttpRouteArgs(TypedDict):
    """A Gateway API HTTPRoute to the webserver."""

    gateway: pulumi.Input[str]
    """Name of the Gateway."""
    gateway_namespace: NotRequired[pulumi.Input[str]]
    """Namespace of the Gateway. Default: that of the Deployment."""
    listener: NotRequired[pulumi.Input[str]]
    """Name of the Gateway's listener. Default: every one that allows it."""
    host: pulumi.Input[str]
    """Host name that people use: `airflow.acme.com`."""
    path: NotRequired[pulumi.Input[str]]
    """Path below which the UI is. Default: `/`."""
    tls: NotRequired[pulumi.Input[bool]]
    """Whether the Gateway serves `host` with TLS. Default: true."""


class AuthArgs(TypedDict):
    """Who may log in. With `fab` and `simple` there is a user `admin`; other managers have their own."""

    manager: NotRequired[str]
    """`fab`: users and roles in the database; its provider must be in the image. `simple`: only the
    admin, Airflow 3 only, for trial. Or the class path of another auth manager in the image, with its
    settings in `environment` and `secret_environment`:
    `airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager`. Default: `fab`."""
    admin_password: NotRequired[pulumi.Input[str]]
    """Password of the user `admin`. Kept secret. Default: generated once."""
    admin_password_from: NotRequired[SecretFromArgs]
    """The same, in an existing Secret. There is no output `admin_password` then."""


class NetworkPolicyArgs(TypedDict):
    """Which pods may talk to which. Enforced only where the cluster's network does."""

    enabled: NotRequired[bool]
    """Whether NetworkPolicies are made. Default: true."""
    webserver_from: NotRequired[Sequence[Mapping[str, pulumi.Input[Any]]]]
    """Who may reach the webserver, as the `from` of a NetworkPolicy. Default: everyone who can."""
    egress: NotRequired[Sequence[Mapping[str, pulumi.Input[Any]]]]
    """What every Airflow pod may call besides the addresses in other arguments, as the `egress` of a
    NetworkPolicy: `[{"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": 8200}]}]`."""


class RemoteLoggingArgs(TypedDict):
    """Where task logs are kept for good. The image needs the provider of the place."""

    folder: NotRequired[pulumi.Input[str]]
    """`s3://bucket/path`, `gs://bucket/path`, `wasb://container/path`, whose account is in the connection,
    or `cloudwatch://arn`."""
    connection_id: NotRequired[pulumi.Input[str]]
    """Connection with the right to write there. Default: the identity of the pods."""
    encrypt_s3: NotRequired[pulumi.Input[bool]]
    """Whether S3 is asked to encrypt the logs. Default: false."""
    elasticsearch_host: NotRequired[pulumi.Input[str]]
    """URL of Elasticsearch, in place of `folder`. Workers write JSON to their output, and a log shipper
    of the cluster takes it there. Kept secret."""


class MetricsArgs(TypedDict):
    """Where Airflow's metrics go: to StatsD, or to OpenTelemetry, or to Prometheus by an exporter."""

    statsd_host: NotRequired[pulumi.Input[str]]
    """Host of a StatsD server of yours."""
    statsd_port: NotRequired[pulumi.Input[int]]
    """UDP port of that server. Default: 8125."""
    otel_host: NotRequired[pulumi.Input[str]]
    """Host of an OpenTelemetry collector, OTLP over HTTP."""
    otel_port: NotRequired[pulumi.Input[int]]
    """Port of that collector. Default: 4318."""
    exporter_image: NotRequired[pulumi.Input[str]]
    """Runs this image of Prometheus' statsd_exporter: `prom/statsd-exporter:v0.28.0`. Its metrics are
    at port 9102 of the Service `<name>-statsd`."""
    service_monitor: NotRequired[bool]
    """Makes a ServiceMonitor for the exporter; the cluster needs the Prometheus operator.
    Default: false."""
    prefix: NotRequired[pulumi.Input[str]]
    """Prefix of every metric. Default: `airflow`."""
    resources: NotRequired[ResourcesArgs]
    """What the exporter's pod requests and may use."""
    placement: NotRequired[PlacementArgs]
    """Which nodes the exporter runs on. Default: `placement` of the Deployment."""


class TimeoutArgs(TypedDict):
    """How long the steps of a deploy may take, in seconds."""

    release_job: NotRequired[pulumi.Input[int]]
    """Parsing the DAGs and migrating the database. Default: 1800."""
    rollout: NotRequired[pulumi.Input[int]]
    """One workload becoming ready. Default: 600."""


class ProjectImageArgs(TypedDict):
    """Arguments of `ProjectImage`: build an Astro project into an image and push it."""

    project: str
    """Path of the Astro project: the directory with `Dockerfile`, `dags/`, `requirements.txt` ..."""
    registry: RegistryArgs
    """Where the image is pushed to."""
    platform: NotRequired[str]
    """Platform that the image is built for, that of the cluster's nodes. Default: `linux/amd64`."""
    build_secrets: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Variables for the installation of `requirements.txt`, such as the password of a private package index:
    pip replaces `${NAME}` in that file, and reads its own, such as `PIP_EXTRA_INDEX_URL`. They are in
    neither the image nor its history. The base image must be one without `ONBUILD`. Kept secret."""


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
    build_secrets: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Variables for the installation of `requirements.txt`, such as the password of a private package index:
    pip replaces `${NAME}` in that file, and reads its own, such as `PIP_EXTRA_INDEX_URL`. They are in
    neither the image nor its history. The base image must be one without `ONBUILD`. Kept secret."""
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
    """Pods of the dag-processor. Airflow 2 runs one only when this is given; else its scheduler parses
    the DAGs."""
    worker_queues: NotRequired[Sequence[WorkerQueueArgs]]
    """Celery queues with their workers. Default: one queue named `default`."""
    autoscaling: NotRequired[AutoscalingArgs]
    """How worker queues with a `max_count` are scaled."""
    termination_grace_period_seconds: NotRequired[pulumi.Input[int]]
    """How long a worker may go on with its tasks when it is replaced, in seconds. Default: 600."""
    environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Environment variables of every Airflow process, in a ConfigMap: not for secrets. Names are
    upper-case."""
    secret_environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Environment variables of every Airflow process, kept in a Secret. Names are upper-case."""
    environment_from: NotRequired[Sequence[EnvironmentFromArgs]]
    """Existing Secrets and ConfigMaps whose keys are environment variables of every Airflow process. Of
    several with one key the last wins; all that the Deployment sets, and `environment`,
    `secret_environment`, `connections` and `variables`, win over them."""
    connections: NotRequired[Mapping[str, ConnectionArgs]]
    """Airflow Connections by id, kept in a Secret. They do not show in the UI, and win over those of the
    same id that do."""
    variables: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Airflow Variables by key, kept in a Secret. They do not show in the UI, and win over those of the
    same key that do."""
    variables_from: NotRequired[Mapping[str, ValueFromArgs]]
    """Airflow Variables by key, each in an existing Secret or ConfigMap."""
    fernet_key: NotRequired[pulumi.Input[str]]
    """Key that Airflow encrypts Connections and Variables in its database with: 32 bytes in url-safe
    base64. Two keys with a comma between them, the new one first, while keys are rotated. Kept secret.
    Default: generated once."""
    fernet_key_from: NotRequired[SecretFromArgs]
    """The same, in an existing Secret."""
    database: NotRequired[DatabaseArgs]
    """PostgreSQL: yours, or the embedded one for trial and small use."""
    pgbouncer: NotRequired[PgBouncerArgs]
    """PgBouncer between Airflow and its database. Default: none."""
    broker: NotRequired[BrokerArgs]
    """Redis: yours, or the embedded one for trial and small use."""
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
    """Which nodes all pods run on: Airflow's, the Jobs of a deploy, embedded services, PgBouncer and the
    metrics exporter."""
    pod_template: NotRequired[Mapping[str, Any]]
    """A strategic merge patch of the pod template of all Airflow pods, the Jobs of a deploy included, in
    Kubernetes' own format: `{"metadata": {"labels": {"team": "data"}}, "spec": {"containers": [...]}}`.
    Airflow's container is named `airflow` in every pod. Values may be Outputs."""
    service_account_annotations: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Annotations of the service accounts of Airflow's pods and of the release Job, for workload identity:
    `eks.amazonaws.com/role-arn`, `iam.gke.io/gcp-service-account`, `azure.workload.identity/client-id`."""
    fixed_user_ids: NotRequired[bool]
    """Whether pods state the user and group ids that the images have. `False` on OpenShift, whose
    `restricted-v2` chooses them. Default: true."""
    remote_logging: NotRequired[RemoteLoggingArgs]
    """Where task logs are kept for good. Default: in the pods, and lost with them."""
    log_retention_days: NotRequired[int]
    """Days after which log files in the pods are deleted; 0 keeps them as long as the pod lives.
    Default: 15."""
    metrics: NotRequired[MetricsArgs]
    """Where Airflow's metrics go. Default: nowhere."""
    rollback_to: NotRequired[str]
    """Deploy an earlier release again, image and configuration: its number, `previous`, or an image digest
    (`sha256:...`). The project is not built then. Also as `astro:rollbackTo` in the stack's configuration."""
    database_downgrade: NotRequired[pulumi.Input[Choice[DatabaseDowngrade]]]
    """`allow`, or `refuse` a deploy of an older Airflow that needs the database to be downgraded, which drops
    what only the newer Airflow stores. Default: `allow`."""
    history_limit: NotRequired[pulumi.Input[int]]
    """Number of releases that are kept to go back to, 2 to 1000. Default: 50."""
    timeouts: NotRequired[TimeoutArgs]
    """How long the steps of a deploy may take."""
