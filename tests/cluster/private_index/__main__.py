"""An image with a package from a private index."""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()

image = astro.ProjectImage(
    "private",
    astro.ProjectImageArgs(
        project="project",
        registry=astro.RegistryArgs(repository=config.require("repository")),
        build_secrets={"PYPI_PASSWORD": config.require_secret("pypiPassword")},
    ),
)
pulumi.export("image", image.image)
