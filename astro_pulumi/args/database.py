"""The database and PgBouncer in front of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.default_types import Default, Defaults, unsent
from astro_pulumi.args.embedded_or_external import ExternalService
from astro_pulumi.args.enums import Choice, SslMode
from astro_pulumi.args.existing_secrets import LoginFromArgs, ValueFromArgs
from astro_pulumi.args.resources_and_placement import (
    Placement,
    PlacementArgs,
    Resources,
    ResourcesArgs,
)

DEFAULTS: Final[Defaults] = {
    "DatabaseArgs": {
        "port": unsent(5432),
        "name": unsent("airflow"),
        "ssl_mode": unsent("require"),
        "image": unsent("postgres:17"),
        "storage_size": unsent("8Gi"),
        "backup_before_downgrade": unsent(False),
    },
    "PgBouncerArgs": {
        "replicas": Default(1),
        "pool_size": Default(20),
        "max_client_connections": Default(1000),
    },
}


class DatabaseArgs(TypedDict):
    """PostgreSQL: your own, with `url` or `host`; otherwise an embedded one for trial and small use."""

    url: NotRequired[pulumi.Input[str]]
    """URL of your database: `postgresql://user:password@host:5432/airflow?sslmode=require`. Kept secret."""
    host: NotRequired[pulumi.Input[str]]
    """Host of your database, in place of `url`."""
    port: NotRequired[pulumi.Input[int]]
    """Port of your database. Default: 5432."""
    name: NotRequired[pulumi.Input[str]]
    """Name of your database. Default: `airflow`."""
    username: NotRequired[pulumi.Input[str]]
    """User of your database. Required with `host`."""
    password: NotRequired[pulumi.Input[str]]
    """Password of `username`. Required with `host`. Kept secret."""
    login_from: NotRequired[LoginFromArgs]
    """User and password in an existing Secret, in place of `username` and `password`."""
    ssl_mode: NotRequired[pulumi.Input[Choice[SslMode]]]
    """libpq's `sslmode`: `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`.
    Default: `require` with `host`; with `url`, the URL's."""
    ca_certificate: NotRequired[pulumi.Input[str]]
    """Certificate of the authority that signed the database's, in PEM, for `verify-ca` and
    `verify-full`."""
    ca_certificate_from: NotRequired[ValueFromArgs]
    """The same, in an existing Secret or ConfigMap."""
    image: NotRequired[pulumi.Input[str]]
    """Embedded: image with the contract of the official `postgres` image. Default: `postgres:17`."""
    storage_size: NotRequired[pulumi.Input[str]]
    """Embedded: size of its persistent volume, a Kubernetes quantity. Default: `8Gi`."""
    storage_class: NotRequired[pulumi.Input[str]]
    """Embedded: StorageClass of its volume. Default: the cluster's default."""
    resources: NotRequired[ResourcesArgs]
    """Embedded: requests and limits of its pod."""
    placement: NotRequired[PlacementArgs]
    """Embedded: which nodes it runs on. Default: `placement` of the Deployment."""
    backup_before_downgrade: NotRequired[bool]
    """Embedded: whether to write a `pg_dump` to a separate volume of `storage_size` before the database is
    downgraded to an older Airflow. If the volume is too small, nothing is downgraded. Default: false."""


@dataclass(frozen=True, slots=True)
class ExternalDatabase(ExternalService):
    """The user's PostgreSQL."""

    name: pulumi.Input[str]
    ssl_mode: pulumi.Input[str] | None


class PgBouncerArgs(TypedDict):
    """PgBouncer between Airflow and its database, so that many processes share few connections.

    The release Job migrates the database without it.
    """

    image: pulumi.Input[str]
    """Image with `sh` and `pgbouncer` on its path, version 1.18 or later. It must run as any user."""
    replicas: NotRequired[pulumi.Input[int]]
    """Number of pods. A PodDisruptionBudget keeps all but one running. Default: 1."""
    resources: NotRequired[ResourcesArgs]
    """Requests and limits of one pod."""
    placement: NotRequired[PlacementArgs]
    """Which nodes the pods run on. Default: `placement` of the Deployment."""
    pool_size: NotRequired[pulumi.Input[int]]
    """Connections that one pod keeps to the database (`default_pool_size`). Default: 20."""
    max_client_connections: NotRequired[pulumi.Input[int]]
    """Connections that one pod accepts from Airflow (`max_client_conn`). Default: 1000."""
    settings: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Further settings of `pgbouncer.ini` by name: `{"max_prepared_statements": "200"}`."""


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """Validated `PgBouncerArgs`."""

    image: pulumi.Input[str]
    replicas: pulumi.Input[int]
    resources: Resources
    placement: Placement
    pool_size: pulumi.Input[int]
    max_client_connections: pulumi.Input[int]
    settings: Mapping[str, pulumi.Input[str]]
