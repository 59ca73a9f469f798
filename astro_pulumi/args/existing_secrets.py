"""Existing Secrets and ConfigMaps of the namespace, and the keys to read in them."""

from dataclasses import dataclass
from typing import Final, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.default_types import Default, Defaults, unsent

DEFAULTS: Final[Defaults] = {
    "LoginFromArgs": {"username_key": unsent("username"), "password_key": Default("password")},
}


class ValueFromArgs(TypedDict):
    """One key of an existing Secret or ConfigMap of the namespace. Pods read it when they start."""

    secret: NotRequired[pulumi.Input[str]]
    """Name of the Secret. Give this or `config_map`."""
    config_map: NotRequired[pulumi.Input[str]]
    """Name of the ConfigMap, for values that are not secret."""
    key: pulumi.Input[str]
    """Key in it: `password`."""


class SecretFromArgs(TypedDict):
    """One key of an existing Secret of the namespace. Pods read it when they start."""

    secret: pulumi.Input[str]
    """Name of the Secret."""
    key: pulumi.Input[str]
    """Key in it: `password`."""


@dataclass(frozen=True, slots=True)
class ValueFrom:
    """Validated `ValueFromArgs` or `SecretFromArgs`."""

    kind: str  # "secret", "config_map"
    name: pulumi.Input[str]
    key: pulumi.Input[str]


class LoginFromArgs(TypedDict):
    """User and password in an existing Secret of the namespace. Pods read it when they start."""

    secret: pulumi.Input[str]
    """Name of the Secret."""
    username_key: NotRequired[pulumi.Input[str]]
    """Key of the user name. Default: `username`; for a broker none, since Redis needs no user."""
    password_key: NotRequired[pulumi.Input[str]]
    """Key of the password. Default: `password`."""


@dataclass(frozen=True, slots=True)
class LoginFrom:
    """Validated `LoginFromArgs`."""

    secret: pulumi.Input[str]
    username_key: pulumi.Input[str] | None  # None: there is no user
    password_key: pulumi.Input[str]

    @property
    def parts(self) -> dict[str, ValueFrom]:
        """The parts of the login, by the suffix of the environment variable for each."""
        username, password = self.username_key, self.password_key
        return {
            **(
                {} if username is None else {"USERNAME": ValueFrom("secret", self.secret, username)}
            ),
            "PASSWORD": ValueFrom("secret", self.secret, password),
        }


class EnvironmentFromArgs(TypedDict):
    """All keys of an existing Secret or ConfigMap of the namespace, as environment variables."""

    secret: NotRequired[pulumi.Input[str]]
    """Name of the Secret. Give this or `config_map`."""
    config_map: NotRequired[pulumi.Input[str]]
    """Name of the ConfigMap."""
    prefix: NotRequired[pulumi.Input[str]]
    """Prefix of each key in the name of its variable: `AIRFLOW_VAR_`. Default: none."""


@dataclass(frozen=True, slots=True)
class EnvironmentFrom:
    """Validated `EnvironmentFromArgs`."""

    kind: str  # "secret", "config_map"
    name: pulumi.Input[str]
    prefix: pulumi.Input[str] | None
