"""The build job as a Pulumi program: for a runner with Docker."""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()
built = astro.ProjectImage(
    "analytics",
    astro.ProjectImageArgs(
        project="../project",
        registry=astro.RegistryArgs(
            repository=config.require("repository"),
            username=config.get("registryUsername"),  # none where there is no login
            password=config.get_secret("registryPassword"),
        ),
    ),
)
pulumi.export("image", built.image)
