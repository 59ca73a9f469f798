"""Existing Secrets and ConfigMaps of the namespace, and the keys to read in them."""

from typing import Final, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.defaults import Default, Defaults, unsent

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


class LoginFromArgs(TypedDict):
    """User and password in an existing Secret of the namespace. Pods read it when they start."""

    secret: pulumi.Input[str]
    """Name of the Secret."""
    username_key: NotRequired[pulumi.Input[str]]
    """Key of the user name. Default: `username`; for a broker none, since Redis needs no user."""
    password_key: NotRequired[pulumi.Input[str]]
    """Key of the password. Default: `password`."""


class EnvironmentFromArgs(TypedDict):
    """All keys of an existing Secret or ConfigMap of the namespace, as environment variables."""

    secret: NotRequired[pulumi.Input[str]]
    """Name of the Secret. Give this or `config_map`."""
    config_map: NotRequired[pulumi.Input[str]]
    """Name of the ConfigMap."""
    prefix: NotRequired[pulumi.Input[str]]
    """Prefix of each key in the name of its variable: `AIRFLOW_VAR_`. Default: none."""
