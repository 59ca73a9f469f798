"""A small Deployment. What the tests change is in the stack's configuration."""

import pulumi

import astro_pulumi as astro
from tests.cluster.pod_sizes import export_outputs, service, small_deployment

config = pulumi.Config()

airflow = astro.Deployment(
    "releases",
    astro.DeploymentArgs(
        **small_deployment(config),
        dag_deploys=config.get_bool("dagDeploys") or False,
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
        timeouts=astro.TimeoutArgs(rollout=1800),
        database_downgrade=config.get("databaseDowngrade") or "allow",
    ),
)
export_outputs(airflow)
