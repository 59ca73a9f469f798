"""Compose the URLs of services whose login is in an existing Secret.

Pulumi knows such a URL without its login, and Kubernetes the login without percent-encoding. Airflow reads
a setting that it does not have from the output of the command in `<setting>_CMD`: this script, with the
service and the URL as arguments. Each read of the setting then costs a process, so the processes of the
Deployment compose all URLs at their start, with `compose_urls`. Shells in a pod still need the command.
Usage: astro_urls_with_login.py SERVICE URL
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
    """Set each variable whose command is this script, and remove the command and the login.

    Child processes get the same environment as with a complete URL.
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
            environment.pop(login_variable(service, part), None)


def compose(service: str, url: str, environment: Mapping[str, str]) -> str:
    """Return `url`, which has no login, with the login of `service`, percent-encoded."""
    scheme, _, rest = url.partition("://")
    # Secrets that were created from files end with a newline.
    username, password = (
        quote(environment.get(login_variable(service, part), "").rstrip("\n"), safe="")
        for part in ("USERNAME", "PASSWORD")
    )
    login = f"{username}:{password}@" if password else f"{username}@" if username else ""
    return f"{scheme}://{login}{rest}"


def login_variable(service: str, part: str) -> str:
    """Return the name of the variable with a part of the login: `ASTRO_DATABASE_PASSWORD`."""
    return f"ASTRO_{service}_{part}"


if __name__ == "__main__":
    sys.stdout.write(compose(sys.argv[1], sys.argv[2], os.environ))
