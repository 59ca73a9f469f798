"""Composes the URLs of services whose login is in an existing Secret.

Pulumi knows such a URL without its login, and Kubernetes the login without percent-encoding. Airflow reads
a setting that it does not have from the output of the command in `<setting>_CMD`: this script is that
command, with the service and the URL as arguments. Each use of the setting costs a process then, so that
what we start ourselves composes all URLs at once, with `compose_urls`. The command is left for shells in a
pod.
Usage: astro_urls.py SERVICE URL
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

COMMAND = "_CMD"


def compose_urls(environment: MutableMapping[str, str]) -> None:
    """Set each variable that this script is the command of, and remove the command and the login.

    Child processes see what they would see of a URL that was given as one.
    """
    services = set()
    for name, command in list(environment.items()):
        if name.endswith(COMMAND) and __name__ in command:
            service, url = shlex.split(command)[-2:]
            environment[name[: -len(COMMAND)]] = compose(service, url, environment)
            services.add(service)
            del environment[name]
    for service in services:
        for part in ("USERNAME", "PASSWORD"):
            environment.pop(variable(service, part), None)


def compose(service: str, url: str, environment: Mapping[str, str]) -> str:
    """Return `url`, which has no login, with the login of `service`, percent-encoded."""
    scheme, _, rest = url.partition("://")
    # Files that became Secrets end with a newline, which is part of no login.
    username, password = (
        quote(environment.get(variable(service, part), "").rstrip("\n"), safe="")
        for part in ("USERNAME", "PASSWORD")
    )
    login = f"{username}:{password}@" if password else f"{username}@" if username else ""
    return f"{scheme}://{login}{rest}"


def variable(service: str, part: str) -> str:
    """Return the name of the variable with a part of the login: `ASTRO_DATABASE_PASSWORD`."""
    return f"ASTRO_{service}_{part}"


if __name__ == "__main__":
    sys.stdout.write(compose(sys.argv[1], sys.argv[2], os.environ))
