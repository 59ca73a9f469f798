"""A small Deployment in a namespace that the test brings."""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()
node_port = config.require_int("nodePort")
# Old and new pods beside each other on two cores: Airflow needs its CPU when it starts, and little after.
requests = {"cpu": "25m", "memory": "512Mi"}
small = astro.ProcessArgs(
    resources=astro.ResourcesArgs(requests=requests, limits={"cpu": "1", "memory": "1Gi"})
)
# The release Job, which parses the DAGs, has what the dag-processor has.
parser = astro.ProcessArgs(
    resources=astro.ResourcesArgs(requests=requests, limits={"cpu": "2", "memory": "2Gi"})
)
larger = astro.ResourcesArgs(
    requests={"cpu": "25m", "memory": "750Mi"}, limits={"cpu": "1", "memory": "1500Mi"}
)
service = astro.ResourcesArgs(
    requests={"cpu": "25m", "memory": "256Mi"}, limits={"cpu": "2", "memory": "1Gi"}
)

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
