"""A Deployment with every process, one replica each, whose pods may use what they need.

Requests are small, for a machine of two cores. Limits are the defaults: docs/sizing.md.
"""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()


def resources(memory: str) -> astro.ResourcesArgs:
    """Return small requests, with limits that nothing meets."""
    return astro.ResourcesArgs(
        requests={"cpu": "10m", "memory": "64Mi"}, limits={"cpu": "2", "memory": memory}
    )


process = astro.ProcessArgs(resources=resources("2Gi"))
usage = astro.Deployment(
    "usage",
    astro.DeploymentArgs(
        project="project",
        registry=astro.RegistryArgs(repository=config.require("repository")),
        webserver=process,
        scheduler=process,
        triggerer=process,
        dag_processor=process,
        worker_queues=[astro.WorkerQueueArgs(name="default", resources=resources("2Gi"))],
        database=astro.DatabaseArgs(
            image=config.require("databaseImage"), resources=resources("1Gi")
        ),
        pgbouncer=astro.PgBouncerArgs(
            image=config.require("pgbouncerImage"), resources=resources("256Mi")
        ),
        broker=astro.BrokerArgs(image=config.require("brokerImage"), resources=resources("512Mi")),
        metrics=astro.MetricsArgs(
            exporter_image=config.require("exporterImage"), resources=resources("256Mi")
        ),
        service=astro.ServiceArgs(type="NodePort", node_port=config.require_int("nodePort")),
    ),
)
for output in ("namespace", "admin_username", "admin_password"):
    pulumi.export(output, getattr(usage, output))
