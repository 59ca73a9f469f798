"""A small Deployment in a namespace that the test brings."""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()
node_port = config.require_int("nodePort")
small = astro.ProcessArgs(cpu="1", memory="1Gi")

airflow = astro.Deployment(
    "soak",
    astro.DeploymentArgs(
        project="project",
        namespace=config.require("namespace"),
        registry=astro.RegistryArgs(repository=config.require("repository")),
        webserver=astro.ProcessArgs(cpu="1", memory="1500Mi"),
        scheduler=small,
        triggerer=small,
        dag_processor=small,
        worker_queues=[
            astro.WorkerQueueArgs(name="default", concurrency=4, cpu="1", memory="1500Mi")
        ],
        termination_grace_period_seconds=30,
        connections={"shop": {"type": "http", "password": pulumi.Output.secret("kept")}},
        database=astro.DatabaseArgs(image=config.require("databaseImage"), storage_size="1Gi"),
        broker=astro.BrokerArgs(image=config.require("brokerImage"), storage_size="1Gi"),
        service=astro.ServiceArgs(
            type="NodePort", node_port=node_port, base_url=f"http://localhost:{node_port}"
        ),
    ),
)
for output in ("webserver_url", "release", "image", "admin_username", "admin_password"):
    pulumi.export(output, getattr(airflow, output))
