"""The choice of an existing cluster and registry in place of the local ones."""

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from local.errors import RequirementError


@dataclass(frozen=True)
class Choice:
    """A cluster and a registry of the user's, or neither."""

    context: str | None = None
    registry: str | None = None

    @classmethod
    def make(cls, context: str | None = None, registry: str | None = None) -> "Choice":
        """Return the choice in the arguments, else in the environment.

        Raises:
            RequirementError: One of the two is chosen and the other is not.
        """
        chosen = cls(
            context or os.environ.get("ASTRO_KUBE_CONTEXT") or None,
            registry or os.environ.get("ASTRO_REGISTRY") or None,
        )
        if chosen.context and not chosen.registry:
            raise RequirementError(
                f"The Kubernetes context {chosen.context!r} was chosen, but no registry.",
                why="The cluster must be able to pull the images that are built here.",
                to_do="Set ASTRO_REGISTRY (or --registry), for example ghcr.io/acme.",
            )
        if chosen.registry and not chosen.context:
            raise RequirementError(
                "A registry was chosen, but no Kubernetes context.",
                why="The platform's own cluster has a registry of its own.",
                to_do="Set ASTRO_KUBE_CONTEXT (or --context) too, or unset ASTRO_REGISTRY.",
            )
        return chosen


def chosen_kubeconfig() -> Path:
    """Return the kubeconfig with the chosen context: the first of $KUBECONFIG, or the default one."""
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first) if first else Path.home() / ".kube" / "config"


def check_context(kubeconfig: Path, context: str) -> None:
    """Raise a `RequirementError` unless the kubeconfig has the context."""
    try:
        contexts = yaml.safe_load(kubeconfig.read_text()).get("contexts") or []
    except OSError as error:
        raise RequirementError(
            f"The kubeconfig {kubeconfig} cannot be read.", why=str(error)
        ) from error
    names = [entry["name"] for entry in contexts]
    if context not in names:
        raise RequirementError(
            f"The kubeconfig {kubeconfig} has no context {context!r}.",
            why=f"It has: {', '.join(names) or 'none'}.",
        )
