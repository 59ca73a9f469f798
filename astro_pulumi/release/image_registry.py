"""Whether a registry still has an image, before a rollback relies on it.

Kubernetes would find out, too, but only in the release Job, and Pulumi waits for that for half an hour.
This asks the registry itself, by the distribution API, from where the program runs. Whatever it cannot
know for certain (no login, no route to the registry) is left to Kubernetes.
"""

import base64
import json
import re
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from astro_pulumi.project.dockerfile import BaseImage

_TIMEOUT: Final = 5.0  # seconds, for each of at most three requests
_DOCKER_HUB: Final = "registry-1.docker.io"
_MANIFESTS: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')


def basic_login(username: str, password: str) -> str:
    """Return the login as an HTTP Authorization header."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def is_gone(image: str, login: str | None) -> bool:
    """Whether the registry says that it does not have `image`, a reference by digest or tag.

    False as well when it cannot be asked. `login` is what `basic_login` makes.
    """
    named, _, digest = image.partition("@")
    base = BaseImage(named, 1)
    server, name = _server_and_name(base.name)
    url = f"{_scheme(server)}://{server}/v2/{name}/manifests/{digest or base.tag or 'latest'}"
    try:
        status, challenge = _head(url, None)
        if status == HTTPStatus.UNAUTHORIZED:
            status, _ = _head(url, _authorization(challenge, login))
    except (OSError, ValueError):  # urllib's errors are OSErrors; an answer that is no JSON
        return False
    return status == HTTPStatus.NOT_FOUND


def _head(url: str, authorization: str | None) -> tuple[int, str]:
    """-> status, what the registry asks for."""
    headers = {"Accept": _MANIFESTS}
    if authorization:
        headers["Authorization"] = authorization
    request = urllib.request.Request(url, headers=headers, method="HEAD")  # noqa: S310 see _scheme
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("WWW-Authenticate", "")


def _authorization(challenge: str, login: str | None) -> str | None:
    """Return the answer to a challenge: the login itself, or a token in exchange for it."""
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() != "bearer":
        return login
    parameters = dict(_CHALLENGE.findall(rest))
    realm = parameters.pop("realm", "")
    if not realm.startswith(("https://", "http://")):
        return None
    request = urllib.request.Request(  # noqa: S310 checked above
        f"{realm}?{urlencode(parameters)}",
        headers={"Authorization": login} if login else {},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
        body = json.load(answer)
    return f"Bearer {body.get('token') or body.get('access_token')}"


def _server_and_name(repository: str) -> tuple[str, str]:
    """`ghcr.io/acme/a` -> `ghcr.io`, `acme/a`; by Docker's rules, `acme/a` is on Docker Hub."""
    first, slash, rest = repository.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return (_DOCKER_HUB if first in ("docker.io", "index.docker.io") else first), rest
    return _DOCKER_HUB, repository if slash else f"library/{repository}"


def _scheme(server: str) -> str:
    """Docker takes registries on this machine, and no others, to speak plain HTTP."""
    host = server.rsplit(":", 1)[0]
    return "http" if host == "localhost" or host.startswith("127.") else "https"
