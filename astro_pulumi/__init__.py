"""`astro deploy`, as infrastructure code, for any Kubernetes cluster.

import astro_pulumi as astro
astro.Deployment("analytics", astro.DeploymentArgs(project="./project", registry=...))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astro_pulumi.args import (
        AuthArgs,
        AutoscalingArgs,
        BrokerArgs,
        ConnectionArgs,
        DatabaseArgs,
        DeploymentArgs,
        EnvironmentFromArgs,
        HttpRouteArgs,
        IngressArgs,
        LoginFromArgs,
        MetricsArgs,
        NetworkPolicyArgs,
        PgBouncerArgs,
        PlacementArgs,
        ProcessArgs,
        ProjectImageArgs,
        RegistryArgs,
        RemoteLoggingArgs,
        ResourcesArgs,
        SecretFromArgs,
        ServiceArgs,
        TimeoutArgs,
        TolerationArgs,
        ValueFromArgs,
        WorkerQueueArgs,
    )
    from astro_pulumi.args.enums import (
        AutoscalingType,
        DatabaseDowngrade,
        ServiceType,
        SslMode,
        TaintEffect,
        TolerationOperator,
    )
    from astro_pulumi.deployment import Deployment
    from astro_pulumi.project_image import ProjectImage

__all__ = [
    "AuthArgs",
    "AutoscalingArgs",
    "AutoscalingType",
    "BrokerArgs",
    "ConnectionArgs",
    "DatabaseArgs",
    "DatabaseDowngrade",
    "Deployment",
    "DeploymentArgs",
    "EnvironmentFromArgs",
    "HttpRouteArgs",
    "IngressArgs",
    "LoginFromArgs",
    "MetricsArgs",
    "NetworkPolicyArgs",
    "PgBouncerArgs",
    "PlacementArgs",
    "ProcessArgs",
    "ProjectImage",
    "ProjectImageArgs",
    "RegistryArgs",
    "RemoteLoggingArgs",
    "ResourcesArgs",
    "SecretFromArgs",
    "ServiceArgs",
    "ServiceType",
    "SslMode",
    "TaintEffect",
    "TimeoutArgs",
    "TolerationArgs",
    "TolerationOperator",
    "ValueFromArgs",
    "WorkerQueueArgs",
]

_MODULES = {
    "Deployment": "deployment",
    "ProjectImage": "project_image",
    "AutoscalingType": "args.enums",
    "DatabaseDowngrade": "args.enums",
    "ServiceType": "args.enums",
    "SslMode": "args.enums",
    "TaintEffect": "args.enums",
    "TolerationOperator": "args.enums",
}


def __getattr__(name: str) -> Any:
    """Import names on first use: the command line is part of this package and needs no Pulumi SDK."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'args')}"), name)
    globals()[name] = value
    return value
