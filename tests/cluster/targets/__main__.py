"""A Deployment of an image that is never pulled: the tests end before that."""

import pulumi

import astro_pulumi as astro

config = pulumi.Config()

astro.Deployment(
    "target",
    astro.DeploymentArgs(
        image="localhost:5000/never-pulled@sha256:" + "0" * 64,
        airflow_version="3.3",
        namespace=config.require("namespace"),
    ),
)
