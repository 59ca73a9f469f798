"""An Astro project on Kubernetes. Its settings are described in `Pulumi.yaml`."""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()
node_port = config.require_int("nodePort")
# For a machine of two cores, where old and new pods stand beside each other during a deploy. On nodes of
# ordinary size leave all `resources` out: docs/sizing.md.
small = astro.ResourcesArgs(
    requests={"cpu": "50m", "memory": "512Mi"}, limits={"cpu": "2", "memory": "1Gi"}
)
# The webserver has the most to import, and a deploy ends when it is ready.
webserver = astro.ResourcesArgs(
    requests={"cpu": "200m", "memory": "1Gi"}, limits={"cpu": "2", "memory": "2Gi"}
)
# All processes wait for the database.
database = astro.ResourcesArgs(
    requests={"cpu": "200m", "memory": "512Mi"}, limits={"cpu": "2", "memory": "1Gi"}
)
larger = astro.ResourcesArgs(
    requests={"cpu": "50m", "memory": "1Gi"}, limits={"cpu": "2", "memory": "2Gi"}
)

airflow = astro.Deployment(
    "quickstart",
    astro.DeploymentArgs(
        project=config.require("project"),
        dag_deploys=config.require_bool("dagDeploys"),
        registry=astro.RegistryArgs(
            repository=config.require("repository"),
            username=config.get("registryUsername"),
            password=config.get_secret("registryPassword"),
        ),
        webserver=astro.ProcessArgs(resources=webserver),
        scheduler=astro.ProcessArgs(resources=small),
        triggerer=astro.ProcessArgs(resources=small),
        dag_processor=astro.ProcessArgs(resources=larger),
        worker_queues=[astro.WorkerQueueArgs(name="default", resources=larger)],
        database=astro.DatabaseArgs(image=config.require("databaseImage"), resources=database),
        broker=astro.BrokerArgs(image=config.require("brokerImage"), resources=small),
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
