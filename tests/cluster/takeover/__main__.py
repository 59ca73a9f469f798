"""A Deployment on a database that another installation has made."""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()
node_port = config.require_int("nodePort")
small = astro.ProcessArgs(cpu="1", memory="1Gi")

arguments: astro.DeploymentArgs = astro.DeploymentArgs(
    project="project",
    registry=astro.RegistryArgs(repository=config.require("repository")),
    webserver=astro.ProcessArgs(cpu="1", memory="1500Mi"),
    scheduler=small,
    triggerer=small,
    dag_processor=small,
    worker_queues=[astro.WorkerQueueArgs(name="default", concurrency=4, cpu="1", memory="1500Mi")],
    # For the tests' client of Airflow 2. Airflow 3 has no such setting.
    environment={"AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth"},
    database=astro.DatabaseArgs(
        host=config.require("databaseHost"),
        name=config.require("databaseName"),
        username=config.get("databaseUser") or "postgres",
        password=config.get("databasePassword") or "postgres",
    ),
    broker=astro.BrokerArgs(image=config.require("brokerImage"), storage_size="1Gi"),
    service=astro.ServiceArgs(
        type="NodePort", node_port=node_port, base_url=f"http://localhost:{node_port}"
    ),
    timeouts=astro.TimeoutArgs(rollout=1800),
)
if fernet_key := config.get_secret("fernetKey"):
    arguments["fernet_key"] = fernet_key
airflow = astro.Deployment("takeover", arguments)
for output in ("webserver_url", "namespace", "admin_username", "admin_password"):
    pulumi.export(output, getattr(airflow, output))
