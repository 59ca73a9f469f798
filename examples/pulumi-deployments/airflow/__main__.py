"""An image that was built elsewhere, by digest: see README.md in the directory above."""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()


def find_image() -> pulumi.Input[str]:
    """Return the image of the stack that `imageFrom` names, or `image`."""
    stack = config.get("imageFrom")
    if stack is None:
        return config.require("image")

    def require(image: str | None) -> str:
        if image is None:
            raise pulumi.RunError(f"the stack {stack} has no output `image` yet: deploy it first")
        return image

    reference = pulumi.StackReference(f"{pulumi.get_organization()}/{stack}")
    return reference.get_output("image").apply(require)


size = config.get_object("resources")  # of every pod; without it docs/sizing.md says which
process = astro.ProcessArgs(resources=size)
analytics = astro.Deployment(
    "analytics",
    astro.DeploymentArgs(
        image=find_image(),
        airflow_version=config.require("airflowVersion"),
        registry=astro.RegistryArgs(
            repository=config.require("repository"),
            username=config.get("registryUsername"),  # none where there is no login
            password=config.get_secret("registryPassword"),
        ),
        webserver=process,
        scheduler=process,
        triggerer=process,
        dag_processor=process,
        worker_queues=[astro.WorkerQueueArgs(name="default", resources=size)],
        database=astro.DatabaseArgs(image=config.require("databaseImage"), resources=size),
        broker=astro.BrokerArgs(image=config.require("brokerImage"), resources=size),
    ),
)


def proven(values: list[str]) -> str:
    image, _release = values
    return image


# Known when the release is recorded, that is when every process runs it: production takes no image that
# failed in staging.
pulumi.export("image", pulumi.Output.all(analytics.image, analytics.release).apply(proven))
pulumi.export("release", analytics.release)
pulumi.export("url", analytics.webserver_url)
