"""Read the arguments of the login."""

import re
from typing import Final

from astro_pulumi.airflow.version_differences import AUTH_MANAGER_CLASSES, AirflowFacts
from astro_pulumi.args.auth import Auth
from astro_pulumi.args.existing_secrets import ValueFrom
from astro_pulumi.errors import ArgumentError
from astro_pulumi.validation.argument_reader import Arguments
from astro_pulumi.validation.existing_secrets import read_value

_CLASS_PATH: Final = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")


def read_auth(given: Arguments, facts: AirflowFacts) -> Auth:
    """Read who may log in. The class path of a known auth manager counts as its name."""
    args = given.section("auth")
    known = facts.auth_managers
    manager = args.plain_text("manager")
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
