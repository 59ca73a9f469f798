"""A Deployment on a database that another installation has made."""

import pulumi

import astro_pulumi as astro
from tests.cluster.pod_sizes import export_outputs, small_deployment

config = pulumi.Config()

arguments: astro.DeploymentArgs = astro.DeploymentArgs(
    **small_deployment(config),
    # For the tests' client of Airflow 2. Airflow 3 has no such setting.
    environment={"AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth"},
    database=astro.DatabaseArgs(
        host=config.require("databaseHost"),
        name=config.require("databaseName"),
        username=config.get("databaseUser") or "postgres",
        password=config.get("databasePassword") or "postgres",
        ssl_mode=config.get("sslMode") or "disable",  # the chart's PostgreSQL has no TLS
    ),
    timeouts=astro.TimeoutArgs(rollout=1800),
)
if fernet_key := config.get_secret("fernetKey"):
    arguments["fernet_key"] = fernet_key
airflow = astro.Deployment("takeover", arguments)
export_outputs(airflow)
