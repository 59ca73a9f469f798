"""Small Deployments for the test programs: old and new pods stand beside each other on two cores.

Airflow needs its CPU when it starts, and little after.
"""

import pulumi

import astro_pulumi as astro

_REQUESTS = {"cpu": "25m", "memory": "512Mi"}

small = astro.ProcessArgs(
    resources=astro.ResourcesArgs(requests=_REQUESTS, limits={"cpu": "1", "memory": "1Gi"})
)
# The release Job, which parses the DAGs, has what the dag-processor has.
parser = astro.ProcessArgs(
    resources=astro.ResourcesArgs(requests=_REQUESTS, limits={"cpu": "2", "memory": "2Gi"})
)
larger = astro.ResourcesArgs(
    requests={"cpu": "25m", "memory": "750Mi"}, limits={"cpu": "1", "memory": "1500Mi"}
)
# All processes wait for PostgreSQL and Redis: under load they get more CPU than one of them.
service = astro.ResourcesArgs(
    requests={"cpu": "100m", "memory": "256Mi"}, limits={"cpu": "2", "memory": "1Gi"}
)


def small_deployment(config: pulumi.Config) -> astro.DeploymentArgs:
    """Return what the small Deployments have in common. The tests choose ports and images."""
    node_port = config.require_int("nodePort")
    return astro.DeploymentArgs(
        project="project",
        log_retention_days=0,  # one container less in each pod
        registry=astro.RegistryArgs(repository=config.require("repository")),
        webserver=astro.ProcessArgs(resources=larger),
        scheduler=small,
        triggerer=small,
        dag_processor=parser,
        worker_queues=[astro.WorkerQueueArgs(name="default", concurrency=4, resources=larger)],
        broker=astro.BrokerArgs(
            image=config.require("brokerImage"), storage_size="1Gi", resources=service
        ),
        service=astro.ServiceArgs(
            type="NodePort", node_port=node_port, base_url=f"http://localhost:{node_port}"
        ),
    )


def export_outputs(airflow: astro.Deployment) -> None:
    """Export what the tests read."""
    for output in (
        "webserver_url",
        "namespace",
        "image",
        "release",
        "admin_username",
        "admin_password",
    ):
        pulumi.export(output, getattr(airflow, output))
