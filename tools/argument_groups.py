"""The sections of docs/arguments.md: the arguments of a Deployment by task, with an example for each.

A test runs the examples.
"""

from typing import Final, NamedTuple


class Group(NamedTuple):
    """A section of the page."""

    title: str
    text: str
    arguments: tuple[str, ...]
    example: str  # keyword arguments, as in a program


GROUPS: Final = (
    Group(
        "What is deployed",
        "An Astro project, which is built into an image and pushed, or an image that was built elsewhere.",
        (
            *("project", "image", "registry", "platform", "build_secrets"),
            *("dag_deploys", "airflow_version", "namespace"),
        ),
        """\
project="./project",
registry=astro.RegistryArgs(
    repository="ghcr.io/acme/analytics",
    username="acme",
    password=config.require_secret("registryPassword"),
),
""",
    ),
    Group(
        "Processes",
        "Number and size of the pods of each Airflow process but the workers.",
        ("webserver", "scheduler", "triggerer", "dag_processor"),
        """\
webserver=astro.ProcessArgs(replicas=2),
scheduler=astro.ProcessArgs(replicas=2),
""",
    ),
    Group(
        "Workers",
        "Celery workers by queue: how many, how large, and how long a replaced one may finish its tasks.",
        ("worker_queues", "autoscaling", "termination_grace_period_seconds"),
        """\
worker_queues=[
    astro.WorkerQueueArgs(name="default", concurrency=16, min_count=2, max_count=10),
    astro.WorkerQueueArgs(name="heavy", concurrency=1),
],
autoscaling=astro.AutoscalingArgs(type="keda"),
termination_grace_period_seconds=3600,
""",
    ),
    Group(
        "Environment, Connections and secrets",
        "What Airflow and DAGs read. Secrets are kept in Kubernetes Secrets and encrypted in Pulumi's state; "
        "those of existing Kubernetes Secrets are not in the state.",
        (
            *("environment", "secret_environment", "environment_from", "connections"),
            *("variables", "variables_from", "fernet_key", "fernet_key_from"),
        ),
        """\
environment={"AIRFLOW__CORE__DEFAULT_TIMEZONE": "Europe/Berlin"},
secret_environment={"SHOP_API_TOKEN": config.require_secret("shopApiToken")},
connections={
    "warehouse": astro.ConnectionArgs(
        type="postgres",
        host="warehouse.acme.com",
        login="etl",
        password=config.require_secret("warehousePassword"),
    ),
},
variables={"greeting": "hello"},
variables_from={"api_key": astro.ValueFromArgs(secret="shop", key="apiKey")},
""",
    ),
    Group(
        "Database and broker",
        "PostgreSQL and Redis: your own, or embedded ones for trial and small use.",
        ("database", "pgbouncer", "broker"),
        """\
database=astro.DatabaseArgs(
    host="airflow.abc.eu-west-1.rds.amazonaws.com",
    username="airflow",
    password=config.require_secret("databasePassword"),
    ssl_mode="require",
),
broker=astro.BrokerArgs(
    host="airflow.abc.cache.amazonaws.com",
    password=config.require_secret("brokerPassword"),
    tls=True,
),
""",
    ),
    Group(
        "Access",
        "How people reach the UI, who may log in, and which pods may talk to which.",
        ("service", "ingress", "http_route", "auth", "network_policies"),
        """\
ingress=astro.IngressArgs(
    host="airflow.acme.com",
    class_name="nginx",
    tls_secret="airflow-tls",
    annotations={"cert-manager.io/cluster-issuer": "letsencrypt"},
),
""",
    ),
    Group(
        "Pods",
        "Where pods run, and what is added to them. A `pod_template` is merged into the template of each pod "
        "of Airflow, as `kubectl patch` merges.",
        ("placement", "pod_template", "service_account_annotations", "fixed_user_ids"),
        """\
placement=astro.PlacementArgs(node_selector={"pool": "airflow"}),
pod_template={"metadata": {"labels": {"team": "data"}}},
service_account_annotations={"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/airflow"},
""",
    ),
    Group(
        "Logs and metrics",
        "Where task logs are kept and where metrics go.",
        ("remote_logging", "log_retention_days", "metrics"),
        """\
remote_logging=astro.RemoteLoggingArgs(folder="s3://acme-airflow-logs/analytics"),
metrics=astro.MetricsArgs(statsd_host="statsd.monitoring"),
""",
    ),
    Group(
        "Deploys and releases",
        "How a deploy behaves, and the way back to an earlier [release](releases.md). The configuration of "
        "the stack holds [decisions about a single deploy](releases.md#decisions-about-a-single-deploy).",
        ("rollback_to", "database_downgrade", "history_limit", "timeouts"),
        """\
history_limit=100,
timeouts=astro.TimeoutArgs(rollout=1200),
""",
    ),
)
