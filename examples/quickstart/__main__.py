"""An Astro project on Kubernetes. Its settings are described in `Pulumi.yaml`."""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()
node_port = config.require_int("nodePort")

airflow = astro.Deployment(
    "quickstart",
    astro.DeploymentArgs(
        project=config.require("project"),
        registry=astro.RegistryArgs(
            repository=config.require("repository"),
            username=config.get("registryUsername"),
            password=config.get_secret("registryPassword"),
        ),
        database=astro.DatabaseArgs(image=config.require("databaseImage")),
        broker=astro.BrokerArgs(image=config.require("brokerImage")),
        service=astro.ServiceArgs(
            type="NodePort",
            node_port=node_port,
            base_url=f"http://localhost:{node_port}",
        ),
    ),
)

for output in (
    "webserver_url",
    "namespace",
    "image",
    "airflow_version",
    "release",
    "admin_username",
    "admin_password",
):
    pulumi.export(output, getattr(airflow, output))
