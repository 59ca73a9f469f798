"""A small Deployment in a namespace that the test brings."""

import pulumi

import astro_pulumi as astro
from tests.cluster.pod_sizes import larger, parser, service, small

config = pulumi.Config()
node_port = config.require_int("nodePort")

airflow = astro.Deployment(
    "soak",
    astro.DeploymentArgs(
        project="project",
        namespace=config.require("namespace"),
        registry=astro.RegistryArgs(repository=config.require("repository")),
        webserver=astro.ProcessArgs(resources=larger),
        scheduler=small,
        triggerer=small,
        dag_processor=parser,
        worker_queues=[astro.WorkerQueueArgs(name="default", concurrency=4, resources=larger)],
        termination_grace_period_seconds=30,
        connections={"shop": {"type": "http", "password": pulumi.Output.secret("kept")}},
        database=astro.DatabaseArgs(
            image=config.require("databaseImage"), storage_size="1Gi", resources=service
        ),
        broker=astro.BrokerArgs(
            image=config.require("brokerImage"), storage_size="1Gi", resources=service
        ),
        service=astro.ServiceArgs(
            type="NodePort", node_port=node_port, base_url=f"http://localhost:{node_port}"
        ),
    ),
)
for output in ("webserver_url", "release", "image", "admin_username", "admin_password"):
    pulumi.export(output, getattr(airflow, output))
