"""Airflow as a part of a platform: one image, built once, runs in staging and in production.

The platform owns the namespaces and says what everything in them carries; `astro.Deployment` fits in.
"""

import pulumi
import pulumi_kubernetes as kubernetes

import astro_pulumi as astro

config = pulumi.Config()
WORKERS = {"staging": 1, "production": 2}


def add_cost_centre(
    resource: pulumi.ResourceTransformArgs,
) -> pulumi.ResourceTransformResult | None:
    """Labels every Kubernetes object, whoever declares it."""
    if not resource.type_.startswith("kubernetes:"):
        return None
    metadata = resource.props.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), "acme.example/cost-centre": "data-platform"}
    props = {**resource.props, "metadata": {**metadata, "labels": labels}}
    return pulumi.ResourceTransformResult(props=props, opts=resource.opts)


image = astro.ProjectImage(
    "analytics",
    astro.ProjectImageArgs(
        project="../quickstart/project",
        registry=astro.RegistryArgs(repository=config.require("repository")),
    ),
)
pulumi.export("image", image.image)

for environment, workers in WORKERS.items():
    namespace = kubernetes.core.v1.Namespace(
        f"airflow-{environment}",
        metadata={"labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        opts=pulumi.ResourceOptions(transforms=[add_cost_centre]),
    )
    deployment = astro.Deployment(
        f"analytics-{environment}",
        astro.DeploymentArgs(
            image=image.image,
            airflow_version="3.3",
            namespace=namespace.metadata.name,
            worker_queues=[astro.WorkerQueueArgs(name="default", min_count=workers)],
            environment={"STAGE": environment},
            database=astro.DatabaseArgs(image=config.require("databaseImage")),
            broker=astro.BrokerArgs(image=config.require("brokerImage")),
        ),
        pulumi.ResourceOptions(transforms=[add_cost_centre]),
    )
    pulumi.export(f"{environment}_namespace", deployment.namespace)
    pulumi.export(f"{environment}_release", deployment.release)
