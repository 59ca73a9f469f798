"""Arguments whose value may be in an existing Secret or ConfigMap."""

import base64
import re
from typing import Final

import pulumi

from astro_pulumi.airflow.facts import AUTH_MANAGER_CLASSES, AirflowFacts
from astro_pulumi.args.reader import Arguments, Check
from astro_pulumi.errors import ArgumentError
from astro_pulumi.spec import Auth, EnvironmentFrom, LoginFrom, ValueFrom

_PREFIX: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_CLASS_PATH: Final = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
_FERNET_KEY_BYTES: Final = 32


def read_value(
    given: Arguments, key: str, check: Check[str] | None = None
) -> pulumi.Input[str] | ValueFrom | None:
    """Return the argument `key`, the reference in `<key>_from`, or None."""
    _refuse_both(given, key, f"{key}_from")
    return read_reference(given, f"{key}_from") or given.optional_text(key, check)


def read_reference(given: Arguments, key: str) -> ValueFrom | None:
    """Return the reference in the `ValueFromArgs` of `key`, or None if it is not given."""
    return value_from(given.section(key)) if given.has(key) else None


def value_from(args: Arguments) -> ValueFrom:
    """Return the reference in `ValueFromArgs` or `SecretFromArgs`."""
    kind, name = _object(args)
    return ValueFrom(kind, name, args.text("key"))


def read_login(given: Arguments, username_key: str | None) -> LoginFrom | None:
    """Return the login in `login_from`, or None if it is not given. `username_key` is the default key."""
    if not given.has("login_from"):
        return None
    for key in ("username", "password"):
        _refuse_both(given, key, "login_from")
    args = given.section("login_from")
    named = args.has("username_key") or username_key is not None
    return LoginFrom(
        secret=args.text("secret"),
        username_key=args.text("username_key", username_key) if named else None,
        password_key=args.text("password_key", "password"),
    )


def read_environment(given: Arguments) -> tuple[EnvironmentFrom, ...]:
    """Return the Secrets and ConfigMaps in `environment_from`."""
    return tuple(
        EnvironmentFrom(*_object(args), args.optional_text("prefix", _check_prefix))
        for args in given.sections("environment_from")
    )


def read_fernet_key(given: Arguments) -> pulumi.Input[str] | ValueFrom | None:
    """Return the Fernet key or its reference. With None a key is generated."""
    return read_value(given, "fernet_key", _check_fernet_key)


def read_auth(given: Arguments, facts: AirflowFacts) -> Auth:
    """Return the auth settings. The class path of a known manager is equivalent to its short name."""
    args = given.section("auth")
    known = facts.auth_managers
    manager = args.plain_text("manager", next(iter(known)))
    manager = AUTH_MANAGER_CLASSES.get(manager, manager)
    if manager not in known and not _CLASS_PATH.match(manager):
        raise ArgumentError(
            args.path("manager"),
            f"must be one of {', '.join(known)}, or the class path of another auth manager, "
            f"not {manager!r}",
        )
    password = read_value(args, "admin_password")
    if password is not None and manager not in known:
        key = "admin_password_from" if isinstance(password, ValueFrom) else "admin_password"
        raise ArgumentError(
            args.path(key),
            f"needs the manager {' or '.join(known)}: {manager} has users of its own",
        )
    return Auth(manager, password)


def _object(args: Arguments) -> tuple[str, pulumi.Input[str]]:
    """Return the kind and the name of the object in `args`."""
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
        raise ArgumentError(path, f"{prefix!r} is no beginning of a variable's name: AIRFLOW_VAR_")
    return prefix


def _check_fernet_key(text: str, path: str) -> str:
    """Refuse an invalid Fernet key. The message does not show the key."""
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
