"""Read what Airflow and DAGs get: environment variables, Connections, Variables and the Fernet key."""

import base64
import json
import re
from typing import Any, Final, TypeVar

import pulumi

from astro_pulumi import spec
from astro_pulumi.airflow.environment_variables import check_environment_name, check_open_name
from astro_pulumi.args.reader import Arguments
from astro_pulumi.errors import ArgumentError
from astro_pulumi.validation.existing import read_reference, read_value, read_value_from

T = TypeVar("T")
_FERNET_KEY_BYTES: Final = 32


def read_environment(
    given: Arguments,
) -> tuple[dict[str, pulumi.Input[str]], dict[str, pulumi.Input[str]]]:
    """Return the arguments `environment` and `secret_environment`."""
    plain = given.strings("environment", check_open_name)
    secret = given.strings("secret_environment", check_environment_name)
    for key in secret:
        if key in plain:
            raise ArgumentError(f"secret_environment[{key!r}]", "is given in `environment` as well")
    return plain, secret


def read_connections(given: Arguments) -> dict[str, spec.Connection]:
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
        connections[key] = spec.Connection(args.optional_text("uri"), value_from, fields)
    return _distinct(given, "connections", "AIRFLOW_CONN_", connections)


def read_variables(given: Arguments) -> dict[str, pulumi.Input[str]]:
    """Read the Variables whose values are given, by key."""
    variables = given.strings("variables", _check_variable_key)
    return _distinct(given, "variables", "AIRFLOW_VAR_", variables)


def read_variables_from(given: Arguments) -> dict[str, spec.ValueFrom]:
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


def read_fernet_key(given: Arguments) -> pulumi.Input[str] | spec.ValueFrom | None:
    """Return the Fernet key, or where it is. None if it is to be generated."""
    return read_value(given, "fernet_key", _check_fernet_key)


def _check_fernet_key(text: str, path: str) -> str:
    """Refuse what Airflow cannot use. The message does not show the key."""
    for key in text.split(","):
        try:
            size = len(base64.b64decode(key.strip(), altchars=b"-_", validate=True))
        except ValueError:
            size = 0
        if size != _FERNET_KEY_BYTES:
            raise ArgumentError(
                path,
                "must be a Fernet key, 32 bytes in url-safe base64, or two with a comma between them, the "
                "new one first. To make one: "
                'python -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"',
            )
    return text
