"""The providers that the embedded engine brings along, by package name.

Each is imported when it is first needed: a program without Docker does not load Docker's client.
"""

import importlib
import threading
from typing import Final, Protocol, cast

from astro_pulumi.embedded.provider import Provider
from astro_pulumi.embedded.values import Properties
from astro_pulumi.errors import EngineError

# Held while a client library is imported. Those of Docker and Kubernetes both import `requests`, whose
# modules import each other: two threads that do so at once can each see half of them, and fail.
CLIENT_IMPORTS: Final = threading.Lock()


class Factory(Protocol):
    """Makes a provider from its configuration: the inputs of its provider resource."""

    def __call__(self, config: Properties) -> Provider: ...


_FACTORIES: Final = {
    "docker": ("astro_pulumi.embedded.providers.docker", "DockerProvider"),
    "kubernetes": ("astro_pulumi.embedded.providers.kubernetes", "KubernetesProvider"),
    "random": ("astro_pulumi.embedded.providers.random", "RandomProvider"),
}


def make_provider(package: str, config: Properties) -> Provider:
    """A configured provider of `package`."""
    require_known(package)
    module, name = _FACTORIES[package]
    factory = cast(Factory, getattr(importlib.import_module(module), name))
    return factory(config)


def preload(package: str) -> None:
    """Imports what `package` needs, so that it is there when the program asks."""
    if package in _FACTORIES:
        importlib.import_module(_FACTORIES[package][0])


def innermost(error: BaseException) -> str:
    """What the other side said, or the first cause of an error: client libraries wrap them in words of
    their own, addresses of objects included."""
    while not getattr(error, "explanation", None) and (error.__cause__ or error.__context__):
        error = error.__cause__ or error.__context__ or error
    said = getattr(error, "explanation", None) or error
    return str(said).strip() or type(error).__name__


def require_known(package: str) -> None:
    """Raises when the engine has no such provider."""
    if package not in _FACTORIES:
        known = ", ".join(sorted(_FACTORIES))
        raise EngineError(
            f"the embedded engine has no provider for package {package!r}, only for {known}. "
            "Install the Pulumi CLI (https://www.pulumi.com/docs/install/) and run this again: it "
            "takes over the stack as it is."
        )
