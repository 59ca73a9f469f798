"""A small Deployment. What the tests change is in the stack's configuration."""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()
node_port = config.require_int("nodePort")
small = astro.ProcessArgs(cpu="1", memory="1Gi")

airflow = astro.Deployment(
    "releases",
    astro.DeploymentArgs(
        project="project",
        registry=astro.RegistryArgs(repository=config.require("repository")),
        webserver=astro.ProcessArgs(cpu="1", memory="1500Mi"),
        scheduler=small,
        triggerer=small,
        dag_processor=small,
        worker_queues=[
            astro.WorkerQueueArgs(name="default", concurrency=4, cpu="1", memory="1500Mi")
        ],
        termination_grace_period_seconds=120,
        environment={
            "GREETING": config.get("greeting") or "hello",
            # For the tests' client of Airflow 2. Airflow 3 has no such setting.
            "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth",
            "OPEN_SECRET": pulumi.Output.secret("never in a record"),
        },
        database=astro.DatabaseArgs(
            image=config.require("databaseImage"), storage_size="1Gi", backup_before_downgrade=True
        ),
        broker=astro.BrokerArgs(image=config.require("brokerImage"), storage_size="1Gi"),
        service=astro.ServiceArgs(
            type="NodePort", node_port=node_port, base_url=f"http://localhost:{node_port}"
        ),
        timeouts=astro.TimeoutArgs(rollout=1800),
        database_downgrade=config.get("databaseDowngrade") or "allow",
    ),
)
for output in (
    "webserver_url",
    "namespace",
    "image",
    "release",
    "admin_username",
    "admin_password",
):
    pulumi.export(output, getattr(airflow, output))
