"""Two Deployments in one namespace. What the tests change is in the stack's configuration."""

import pulumi

import astro_pulumi as astro
from tests.cluster.pod_sizes import larger, parser, service, small

config = pulumi.Config()
namespace = config.require("namespace")
webserver = astro.ProcessArgs(resources=larger)


def database_and_broker() -> tuple[astro.DatabaseArgs, astro.BrokerArgs]:
    """One of them by its URL, the other by its fields; which is which may change."""
    if config.require_bool("existing"):
        return existing_database_and_broker()
    ca = config.require("authority")
    database, broker = config.require("databaseHost"), config.require("brokerHost")
    database_password = config.require_secret("databasePassword")
    broker_password = config.require_secret("brokerPassword")
    if config.require_bool("databaseByUrl"):
        url = pulumi.Output.format(
            "postgresql://airflow:{0}@{1}:5432/airflow?sslmode=verify-full",
            database_password,
            database,
        )
        return astro.DatabaseArgs(url=url, ca_certificate=ca), astro.BrokerArgs(
            host=broker, password=broker_password, tls=True, ca_certificate=ca
        )
    quoted = broker_password.apply(
        lambda password: password.replace("/", "%2F").replace("+", "%2B")
    )
    url = pulumi.Output.format("rediss://:{0}@{1}:6379/0", quoted, broker)
    return astro.DatabaseArgs(
        host=database,
        username="airflow",
        password=database_password,
        ssl_mode="verify-full",
        ca_certificate=ca,
    ), astro.BrokerArgs(url=url, ca_certificate=ca)


def existing_database_and_broker() -> tuple[astro.DatabaseArgs, astro.BrokerArgs]:
    """Their logins and certificates are in Secrets that Pulumi does not read."""
    ca = astro.ValueFromArgs(config_map="own-authority", key="ca.crt")
    return astro.DatabaseArgs(
        host=config.require("databaseHost"),
        login_from=astro.LoginFromArgs(
            secret="own-database",
            username_key="user",
            password_key="word",
        ),
        ssl_mode="verify-full",
        ca_certificate_from=ca,
    ), astro.BrokerArgs(
        host=config.require("brokerHost"),
        login_from=astro.LoginFromArgs(secret="own-broker"),
        tls=True,
        ca_certificate_from=ca,
    )


def values() -> astro.DeploymentArgs:
    """Values that airflow3 gets from existing Secrets, or from nowhere; and its Fernet key."""
    args = astro.DeploymentArgs(auth=astro.AuthArgs(manager="simple"))
    if config.get("fernetKey"):
        args["fernet_key"] = config.require_secret("fernetKey")
    if config.require_bool("existing"):
        args["auth"]["admin_password_from"] = astro.SecretFromArgs(
            secret="own-admin",
            key="word",
        )
        tokens = astro.EnvironmentFromArgs(secret="own-tokens", prefix="TEAM_")
        args["environment_from"] = [tokens]
        word = astro.ValueFromArgs(secret="own-values", key="word")
        args["variables_from"] = {"word": word}
    return args


def registry() -> astro.RegistryArgs:
    """With a login, if there is one."""
    args = astro.RegistryArgs(
        repository=config.require("repository"), pull_repository=config.require("pullRepository")
    )
    if username := config.get("registryUsername"):
        args["username"] = username
        args["password"] = config.require_secret("registryPassword")
    return args


def connections() -> dict[str, astro.ConnectionArgs]:
    """With fields, and in an existing Secret."""
    orders = astro.ConnectionArgs(
        type="http",
        host="orders.acme.test",
        password=config.require_secret("connectionPassword"),
    )
    if not config.require_bool("existing"):
        return {"orders": orders}
    value = astro.ValueFromArgs(secret="own-values", key="vault")
    return {"orders": orders, "vault": astro.ConnectionArgs(value_from=value)}


def airflow3() -> astro.Deployment:
    """Airflow 3 with nearly everything: services of the user's, a login, queues, an Ingress."""
    database, broker = database_and_broker()
    queues = [astro.WorkerQueueArgs(name="default", concurrency=4, resources=larger)]
    if config.require_bool("heavyQueue"):
        heavy = astro.WorkerQueueArgs(
            name="heavy",
            concurrency=config.require_int("heavyConcurrency"),
            max_count=3,
            resources=larger,
            termination_grace_period_seconds=300,
        )
        queues.append(heavy)
    return astro.Deployment(
        "airflow3",
        astro.DeploymentArgs(
            project="airflow3",
            namespace=namespace,
            registry=registry(),
            webserver=webserver,
            scheduler=small,
            triggerer=small,
            dag_processor=parser,
            worker_queues=queues,
            environment={
                "GREETING": "hello",
                "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX": config.require(
                    "brokerKeyPrefix"
                ),
                # Nobody listens there: calls inside the Deployment must not go to it.
                "http_proxy": "http://127.0.0.1:9",
            },
            secret_environment={"API_TOKEN": config.require_secret("apiToken")},
            connections=connections(),
            variables={"season": config.require("season")},
            database=database,
            pgbouncer=astro.PgBouncerArgs(
                image=config.require("pgbouncerImage"),
                resources=astro.ResourcesArgs(
                    requests={"cpu": "25m", "memory": "32Mi"}, limits={"cpu": "1", "memory": "64Mi"}
                ),
            ),
            broker=broker,
            service=astro.ServiceArgs(
                type="NodePort", node_port=config.require_int("airflow3NodePort")
            ),
            ingress=astro.IngressArgs(
                host="airflow.acme.test", path="/team", class_name="none", tls_secret="airflow-tls"
            ),
            metrics=astro.MetricsArgs(exporter_image=config.require("exporterImage")),
            pod_template={"metadata": {"labels": {"team": "analytics"}}},
            **values(),
        ),
    )


def airflow2() -> astro.Deployment:
    """Airflow 2 with its own database and broker, users in the database, KEDA, and OpenTelemetry."""
    return astro.Deployment(
        "airflow2",
        astro.DeploymentArgs(
            project="airflow2",
            namespace=namespace,
            registry=astro.RegistryArgs(repository=config.require("airflow2Repository")),
            webserver=webserver,
            scheduler=parser,
            triggerer=small,
            worker_queues=[
                astro.WorkerQueueArgs(name="default", concurrency=2, max_count=4, resources=larger)
            ],
            autoscaling=astro.AutoscalingArgs(type="keda"),
            environment={
                "AIRFLOW__API__AUTH_BACKENDS": (
                    "airflow.api.auth.backend.basic_auth,airflow.api.auth.backend.session"
                ),
                # The tests start runs of a DAG that has just arrived.
                "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "10",
                # A minute otherwise.
                "AIRFLOW__METRICS__OTEL_INTERVAL_MILLISECONDS": "5000",
            },
            metrics=astro.MetricsArgs(otel_host=config.require("collectorHost")),
            database=astro.DatabaseArgs(
                image=config.require("databaseImage"), storage_size="1Gi", resources=service
            ),
            broker=astro.BrokerArgs(
                image=config.require("brokerImage"), storage_size="1Gi", resources=service
            ),
            service=astro.ServiceArgs(
                type="NodePort",
                node_port=config.require_int("airflow2NodePort"),
                base_url=f"http://localhost:{config.require('airflow2NodePort')}/classic",
            ),
        ),
    )


def export(deployment: astro.Deployment, name: str) -> None:
    for output in ("webserver_url", "image", "release", "admin_username", "admin_password"):
        pulumi.export(f"{name}_{output}", getattr(deployment, output))


export(airflow3(), "airflow3")
if config.require_bool("airflow2"):
    export(airflow2(), "airflow2")
