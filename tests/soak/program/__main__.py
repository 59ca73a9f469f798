"""A small Deployment in a namespace that the test brings."""

import pulumi

import astro_pulumi as astro
from tests.cluster.pod_sizes import export_outputs, service, small_deployment

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
export_outputs(airflow)
