"""A small Deployment. What the tests change is in the stack's configuration."""

import pulumi

import astro_pulumi as astro
from tests.cluster.pod_sizes import larger, parser, service, small

config = pulumi.Config()
node_port = config.require_int("nodePort")

airflow = astro.Deployment(
    "releases",
    astro.DeploymentArgs(
        project="project",
        registry=astro.RegistryArgs(repository=config.require("repository")),
        webserver=astro.ProcessArgs(resources=larger),
        scheduler=small,
        triggerer=small,
        dag_processor=parser,
        worker_queues=[astro.WorkerQueueArgs(name="default", concurrency=4, resources=larger)],
        termination_grace_period_seconds=120,
        environment={
            "GREETING": config.get("greeting") or "hello",
            # For the tests' client of Airflow 2. Airflow 3 has no such setting.
            "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth",
            "OPEN_SECRET": pulumi.Output.secret("never in a record"),
        },
        database=astro.DatabaseArgs(
            image=config.require("databaseImage"),
            storage_size="1Gi",
            backup_before_downgrade=True,
            resources=service,
        ),
        broker=astro.BrokerArgs(
            image=config.require("brokerImage"), storage_size="1Gi", resources=service
        ),
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
