"""Login to the webserver."""

from dataclasses import dataclass
from typing import Final, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.default_types import Default, Defaults
from astro_pulumi.args.existing_secrets import SecretFromArgs, ValueFrom

DEFAULTS: Final[Defaults] = {
    "AuthArgs": {"manager": Default("fab")},
}


class AuthArgs(TypedDict):
    """Who may log in. With `fab` and `simple` there is a user `admin`; others have their own users."""

    manager: NotRequired[str]
    """`fab`: users and roles in the database; its provider must be in the image. `simple`: only the
    user `admin`, for trial, with Airflow 3. Or the class path of another auth manager in the image, with its
    settings in `environment` and `secret_environment`:
    `airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager`. Default: `fab`."""
    admin_password: NotRequired[pulumi.Input[str]]
    """Password of the user `admin`. Kept secret. Default: generated once."""
    admin_password_from: NotRequired[SecretFromArgs]
    """The same, in an existing Secret. Then there is no output `admin_password`."""


@dataclass(frozen=True, slots=True)
class Auth:
    """Validated `AuthArgs`."""

    manager: str  # a key of `AirflowFacts.auth_managers`, or the path of a class
    admin_password: pulumi.Input[str] | ValueFrom | None  # None: generated
