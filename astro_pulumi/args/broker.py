"""The broker, which carries tasks to the workers."""

from dataclasses import dataclass
from typing import Final, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.default_types import Defaults, unsent
from astro_pulumi.args.embedded_or_external import ExternalService
from astro_pulumi.args.existing_secrets import LoginFromArgs, ValueFromArgs
from astro_pulumi.args.resources_and_placement import PlacementArgs, ResourcesArgs

DEFAULTS: Final[Defaults] = {
    "BrokerArgs": {
        "port": unsent(6379),
        "database": unsent(0),
        "tls": unsent(False),
        "image": unsent("redis:7"),
        "storage_size": unsent("1Gi"),
    },
}


class BrokerArgs(TypedDict):
    """Redis: your own, with `url` or `host`; otherwise an embedded one for trial and small use."""

    url: NotRequired[pulumi.Input[str]]
    """URL of your Redis: `rediss://:password@host:6379/0`. Kept secret."""
    host: NotRequired[pulumi.Input[str]]
    """Host of your Redis, in place of `url`."""
    port: NotRequired[pulumi.Input[int]]
    """Port of your Redis. Default: 6379."""
    database: NotRequired[pulumi.Input[int]]
    """Number of the database in your Redis. Default: 0."""
    username: NotRequired[pulumi.Input[str]]
    """User of your Redis. Default: none, for a Redis with only a password."""
    password: NotRequired[pulumi.Input[str]]
    """Password of your Redis. Kept secret. Default: none."""
    login_from: NotRequired[LoginFromArgs]
    """Password, and user if there is one, in an existing Secret, in place of `username` and `password`."""
    tls: NotRequired[pulumi.Input[bool]]
    """Whether to use TLS with `host`; its certificate is verified. Default: false."""
    ca_certificate: NotRequired[pulumi.Input[str]]
    """Certificate of the authority that signed your Redis's, in PEM. Default: those in the image."""
    ca_certificate_from: NotRequired[ValueFromArgs]
    """The same, in an existing Secret or ConfigMap."""
    image: NotRequired[pulumi.Input[str]]
    """Embedded: image with the contract of the official `redis` image. Default: `redis:7`."""
    storage_size: NotRequired[pulumi.Input[str]]
    """Embedded: size of its persistent volume, a Kubernetes quantity. Default: `1Gi`."""
    storage_class: NotRequired[pulumi.Input[str]]
    """Embedded: StorageClass of its volume. Default: the cluster's default."""
    resources: NotRequired[ResourcesArgs]
    """Embedded: requests and limits of its pod."""
    placement: NotRequired[PlacementArgs]
    """Embedded: which nodes it runs on. Default: `placement` of the Deployment."""


@dataclass(frozen=True, slots=True)
class ExternalBroker(ExternalService):
    """The user's Redis."""

    database: pulumi.Input[int]
    tls: pulumi.Input[bool]
