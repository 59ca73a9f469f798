"""Keys of the stack's configuration that this package reads, and their values.

A value is for every Deployment of the stack, `3`, or for Deployments by name, `analytics=3,reports=7`.
"""

from collections.abc import Sequence
from typing import Any, Final

NAMESPACE: Final = "astro"
ROLLBACK_TO: Final = "rollbackTo"
# Decisions about a single deploy.
DESCRIPTION: Final = "description"
SKIP_DAG_PARSE: Final = "skipDagParse"
MAX_REMOVED_DAGS: Final = "maxRemovedDags"
CONFIRM_DATABASE_CHANGE: Final = "confirmDatabaseChange"
PYTEST: Final = "pytest"


def as_text(value: Any) -> str:
    """Return a value in the stack's file as Pulumi gives it to a program."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def value_for(text: str, deployment: str) -> str | None:
    """Return the part of a value for one Deployment; None if the value is for others only."""
    if "=" not in text:
        return text.strip()
    return _entries(text).get(deployment)


def with_value(before: str | None, deployment: str, value: str, deployments: Sequence[str]) -> str:
    """Return a value with a changed part for one Deployment.

    Args:
        before: The value so far.
        deployment: The Deployment.
        value: Its new part.
        deployments: Every Deployment of the stack. The value of a single one needs no name.
    """
    if len(deployments) <= 1:
        return value
    is_for_all = before and "=" not in before
    entries = dict.fromkeys(deployments, before) if is_for_all else _entries(before or "")
    return ",".join(f"{name}={part}" for name, part in {**entries, deployment: value}.items())


def _entries(text: str) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in text.split(",") if entry)
    return {name.strip(): value.strip() for name, _, value in pairs}
