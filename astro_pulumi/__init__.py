"""`astro deploy`, as infrastructure code, for any Kubernetes cluster.

>>> import astro_pulumi as astro
>>> astro.Deployment("analytics", astro.DeploymentArgs(project="./project", registry=...))
"""

from astro_pulumi.args import (
    BrokerArgs,
    DatabaseArgs,
    DeploymentArgs,
    ProcessArgs,
    ProjectImageArgs,
    RegistryArgs,
    ServiceArgs,
    TimeoutArgs,
    WorkerQueueArgs,
)
from astro_pulumi.deployment import Deployment
from astro_pulumi.image import ProjectImage

__all__ = [
    "BrokerArgs",
    "DatabaseArgs",
    "Deployment",
    "DeploymentArgs",
    "ProcessArgs",
    "ProjectImage",
    "ProjectImageArgs",
    "RegistryArgs",
    "ServiceArgs",
    "TimeoutArgs",
    "WorkerQueueArgs",
]
