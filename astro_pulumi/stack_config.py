"""The keys that this package reads from a stack's configuration, and how their values name a Deployment.

A value is for every Deployment of the stack, `3`, or for some of them by name, `analytics=3,reports=7`.
"""

from collections.abc import Sequence
from typing import Final

NAMESPACE: Final = "astro"
ROLLBACK_TO: Final = "rollbackTo"
# Decisions about a single deploy.
DESCRIPTION: Final = "description"
SKIP_DAG_PARSE: Final = "skipDagParse"
MAX_REMOVED_DAGS: Final = "maxRemovedDags"
CONFIRM_DATABASE_CHANGE: Final = "confirmDatabaseChange"
PYTEST: Final = "pytest"


def value_for(text: str, deployment: str) -> str | None:
    """Return the part of a value that is for one Deployment; None if it is for others only."""
    if "=" not in text:
        return text.strip()
    return _entries(text).get(deployment)


def with_value(before: str | None, deployment: str, value: str, deployments: Sequence[str]) -> str:
    """Return a value in which the part for one Deployment is changed.

    Args:
        before: The value so far.
        deployment: The Deployment whose part it is.
        value: Its part.
        deployments: Every Deployment of the stack. A value for the only one needs no name.
    """
    if len(deployments) <= 1:
        return value
    is_for_all = before and "=" not in before
    entries = dict.fromkeys(deployments, before) if is_for_all else _entries(before or "")
    return ",".join(f"{name}={part}" for name, part in {**entries, deployment: value}.items())


def _entries(text: str) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in text.split(",") if entry)
    return {name.strip(): value.strip() for name, _, value in pairs}
