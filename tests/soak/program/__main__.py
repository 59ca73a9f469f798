"""A small Deployment in a namespace that the test brings."""

import pulumi

import astro_pulumi as astro
from tests.cluster.pod_sizes import service, small_deployment

config = pulumi.Config()

airflow = astro.Deployment(
    "soak",
    astro.DeploymentArgs(
        **small_deployment(config),
        namespace=config.require("namespace"),
        termination_grace_period_seconds=30,
        connections={"shop": {"type": "http", "password": pulumi.Output.secret("kept")}},
        database=astro.DatabaseArgs(
            image=config.require("databaseImage"), storage_size="1Gi", resources=service
        ),
    ),
)
for output in ("webserver_url", "release", "image", "admin_username", "admin_password"):
    pulumi.export(output, getattr(airflow, output))
