"""An Astro project that GitHub Actions deploys: see README.md beside this file."""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()

analytics = astro.Deployment(
    "analytics",
    astro.DeploymentArgs(
        project="project",
        registry=astro.RegistryArgs(
            repository=config.require("repository"),
            username=config.require("registryUsername"),
            password=config.require_secret("registryPassword"),
        ),
        database=astro.DatabaseArgs(image=config.require("databaseImage")),
        broker=astro.BrokerArgs(image=config.require("brokerImage")),
    ),
)
pulumi.export("url", analytics.webserver_url)
pulumi.export("release", analytics.release)
