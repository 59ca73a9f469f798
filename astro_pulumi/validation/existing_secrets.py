"""Read arguments about existing Secrets and ConfigMaps, in place of values or beside them."""

import re
from typing import Final

import pulumi

from astro_pulumi.args.existing_secrets import EnvironmentFrom, LoginFrom, ValueFrom
from astro_pulumi.errors import ArgumentError
from astro_pulumi.validation.argument_reader import Arguments, Check

_PREFIX: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def read_value(
    given: Arguments, key: str, check: Check[str] | None = None
) -> pulumi.Input[str] | ValueFrom | None:
    """Return the argument `key`, or the reference in `<key>_from`. None if neither is given."""
    _refuse_both(given, key, f"{key}_from")
    return read_reference(given, f"{key}_from") or given.optional_text(key, check)


def read_reference(given: Arguments, key: str) -> ValueFrom | None:
    """Return the reference in the argument `key`. None if it is not given."""
    return read_value_from(given.section(key)) if given.has(key) else None


def read_value_from(args: Arguments) -> ValueFrom:
    """Return the reference in `ValueFromArgs` or `SecretFromArgs`."""
    kind, name = _object(args)
    return ValueFrom(kind, name, args.text("key"))


def read_login(given: Arguments, needs_user: bool) -> LoginFrom | None:
    """Return the login in `login_from`. None if it is not given."""
    if not given.has("login_from"):
        return None
    for key in ("username", "password"):
        _refuse_both(given, key, "login_from")
    args = given.section("login_from")
    has_user = needs_user or args.has("username_key")
    return LoginFrom(
        secret=args.text("secret"),
        username_key=args.text("username_key") if has_user else None,
        password_key=args.text("password_key"),
    )


def read_environment_from(given: Arguments) -> tuple[EnvironmentFrom, ...]:
    """Return the Secrets and ConfigMaps in `environment_from`."""
    return tuple(
        EnvironmentFrom(*_object(args), args.optional_text("prefix", _check_prefix))
        for args in given.sections("environment_from")
    )


def _object(args: Arguments) -> tuple[str, pulumi.Input[str]]:
    """Return the kind and the name of the object that `args` are about."""
    has_config_map = args.has("config_map")
    if args.has("secret") == has_config_map:
        raise ArgumentError(args.path("secret"), "give either `secret` or `config_map`")
    kind = "config_map" if has_config_map else "secret"
    return kind, args.text(kind)


def _refuse_both(given: Arguments, key: str, other: str) -> None:
    if given.has(key) and given.has(other):
        raise ArgumentError(given.path(other), f"must not be given with `{key}`")


def _check_prefix(prefix: str, path: str) -> str:
    if not _PREFIX.match(prefix):
        raise ArgumentError(
            path, f"{prefix!r} is not a valid prefix of variables, such as AIRFLOW_VAR_"
        )
    return prefix
