"""The arguments of the components, with a module for each subject.

Users write the `TypedDict`s: they are the public interface. They are read three times: by people, by the type
checker, and by Pulumi's analyser, which makes the schema for YAML, TypeScript, Go, C# and Java of them. The
analyser decides their form (pulumi 3.272): fields documented by the string below them, no unions, no
`Input[int]`. A field that is a `pulumi.Input` may be an Output; any other field must be known when the
program runs.

Builders take the dataclasses, which `validation/` makes of the `TypedDict`s. A field has the name of its
argument, which describes it. None stands for an argument that was not given.
"""

from typing import Final

from astro_pulumi.args import (
    auth,
    broker,
    database,
    deployment,
    existing_secrets,
    images,
    monitoring,
    networking,
    resources_and_placement,
    workloads,
)
from astro_pulumi.args.auth import AuthArgs
from astro_pulumi.args.broker import BrokerArgs
from astro_pulumi.args.connections import ConnectionArgs
from astro_pulumi.args.database import DatabaseArgs, PgBouncerArgs
from astro_pulumi.args.default_types import Defaults
from astro_pulumi.args.deployment import DeploymentArgs, TimeoutArgs
from astro_pulumi.args.existing_secrets import (
    EnvironmentFromArgs,
    LoginFromArgs,
    SecretFromArgs,
    ValueFromArgs,
)
from astro_pulumi.args.images import ProjectImageArgs, RegistryArgs
from astro_pulumi.args.monitoring import MetricsArgs, RemoteLoggingArgs
from astro_pulumi.args.networking import (
    HttpRouteArgs,
    IngressArgs,
    NetworkPolicyArgs,
    ServiceArgs,
)
from astro_pulumi.args.resources_and_placement import PlacementArgs, ResourcesArgs, TolerationArgs
from astro_pulumi.args.workloads import AutoscalingArgs, ProcessArgs, WorkerQueueArgs

__all__ = [
    "AuthArgs",
    "AutoscalingArgs",
    "BrokerArgs",
    "ConnectionArgs",
    "DatabaseArgs",
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
    "ProjectImageArgs",
    "RegistryArgs",
    "RemoteLoggingArgs",
    "ResourcesArgs",
    "SecretFromArgs",
    "ServiceArgs",
    "TimeoutArgs",
    "TolerationArgs",
    "ValueFromArgs",
    "WorkerQueueArgs",
]

# The reader of arguments uses them, the schema shows them.
DEFAULTS: Final[Defaults] = {
    **auth.DEFAULTS,
    **broker.DEFAULTS,
    **database.DEFAULTS,
    **deployment.DEFAULTS,
    **existing_secrets.DEFAULTS,
    **images.DEFAULTS,
    **monitoring.DEFAULTS,
    **networking.DEFAULTS,
    **resources_and_placement.DEFAULTS,
    **workloads.DEFAULTS,
}
