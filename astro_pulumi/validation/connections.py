"""Read the arguments of Airflow's Connections and Variables."""

import json
import re
from typing import Any, TypeVar

import pulumi

from astro_pulumi.args.connections import Connection
from astro_pulumi.args.existing_secrets import ValueFrom
from astro_pulumi.errors import ArgumentError
from astro_pulumi.validation.argument_reader import Arguments
from astro_pulumi.validation.existing_secrets import read_reference, read_value_from

T = TypeVar("T")


def read_connections(given: Arguments) -> dict[str, Connection]:
    """Read the Connections, by id."""
    connections = {}
    for key, args in given.named_sections("connections").items():
        _check_variable_key(key, given.path(f"connections[{key!r}]"))
        whole = [name for name in ("uri", "value_from") if args.has(name)]
        if len(whole) + args.has("type") != 1:
            raise ArgumentError(
                args.path("uri"), "give either `uri`, or `value_from`, or `type` and its fields"
            )
        texts = ("host", "schema", "login", "password")
        fields: dict[str, Any] = {
            **{name: args.optional_text(name) for name in texts},
            "extra": args.optional_text("extra", _check_json),
            "port": args.optional_number("port", 1, 65535),
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        if whole and fields:
            raise ArgumentError(
                args.path(next(iter(fields))), f"must not be given with `{whole[0]}`"
            )
        if args.has("type"):
            fields["conn_type"] = args.text("type")
        value_from = read_reference(args, "value_from")
        connections[key] = Connection(args.optional_text("uri"), value_from, fields)
    return _distinct(given, "connections", "AIRFLOW_CONN_", connections)


def read_variables(given: Arguments) -> dict[str, pulumi.Input[str]]:
    """Read the Variables whose values are given, by key."""
    variables = given.strings("variables", _check_variable_key)
    return _distinct(given, "variables", "AIRFLOW_VAR_", variables)


def read_variables_from(given: Arguments) -> dict[str, ValueFrom]:
    """Read the Variables whose values are in existing Secrets and ConfigMaps, by key."""
    found = {}
    variables = {key.upper() for key in given.mapping("variables")}
    for key, args in given.named_sections("variables_from").items():
        path = given.path(f"variables_from[{key!r}]")
        _check_variable_key(key, path)
        if key.upper() in variables:
            raise ArgumentError(path, "is given in `variables` as well")
        found[key] = read_value_from(args)
    return _distinct(given, "variables_from", "AIRFLOW_VAR_", found)


def _distinct(given: Arguments, argument: str, prefix: str, named: dict[str, T]) -> dict[str, T]:
    """Refuse names that differ only in case: Airflow reads both from one environment variable."""
    seen: dict[str, str] = {}
    for key in named:
        other = seen.setdefault(key.upper(), key)
        if other != key:
            raise ArgumentError(
                given.path(f"{argument}[{key!r}]"),
                f"and {other!r} differ only in case: Airflow reads both from {prefix}{key.upper()}",
            )
    return named


def _check_json(text: str, path: str) -> str:
    try:
        json.loads(text)
    except ValueError as error:
        raise ArgumentError(path, f"is not JSON: {error}") from None
    return text


def _check_variable_key(key: Any, path: str) -> None:
    """Refuse a key that cannot be a part of an environment variable's name."""
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z0-9_]+", key):
        raise ArgumentError(path, "must have a name of letters, digits and _ only")
