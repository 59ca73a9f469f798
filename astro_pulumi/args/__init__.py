"""The arguments of the components: the public interface.

These types are read three times: by people, by the type checker, and by Pulumi's analyser, which makes
the schema for YAML, TypeScript, Go, C# and Java of them. The analyser decides their form (pulumi 3.272):
`TypedDict`s whose fields are documented by the string below them, no unions, no `Input[int]`. A field
that is a `pulumi.Input` may be an Output; any other field must be known when the program runs.
"""

from astro_pulumi.args.auth import AuthArgs
from astro_pulumi.args.broker import BrokerArgs
from astro_pulumi.args.connections import ConnectionArgs
from astro_pulumi.args.database import DatabaseArgs, PgBouncerArgs
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
