"""The validated arguments that database and broker have in common."""

from dataclasses import dataclass

import pulumi

from astro_pulumi.args.existing_secrets import LoginFrom, ValueFrom
from astro_pulumi.args.resources_and_placement import Placement, Resources


@dataclass(frozen=True, slots=True)
class EmbeddedService:
    """Embedded PostgreSQL or Redis."""

    image: pulumi.Input[str]
    storage_size: pulumi.Input[str]
    storage_class: pulumi.Input[str] | None
    resources: Resources
    placement: Placement


@dataclass(frozen=True, slots=True)
class ExternalService:
    """The user's PostgreSQL or Redis: `url`, or its parts."""

    url: pulumi.Input[str] | None
    host: pulumi.Input[str] | None
    port: pulumi.Input[int]
    username: pulumi.Input[str] | None
    password: pulumi.Input[str] | None
    login_from: LoginFrom | None  # in place of `username` and `password`
    ca_certificate: pulumi.Input[str] | ValueFrom | None
