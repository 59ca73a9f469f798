"""Decisions about a single deploy: the flags of `astro-pulumi deploy` as stack configuration.

A confirmation names the coming release. Its number is computed from the Deployment's releases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from astro_pulumi import stack_config
from astro_pulumi.cli.find_deployment import Deployed, InStack, connect, of_stack


class DatabaseKind(StrEnum):
    """The kind of a Deployment's database."""

    embedded = "embedded"
    external = "external"


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of a command. Three of them are confirmations."""

    description: str | None = None
    pytest: bool = False
    skip_dag_parse: bool = False
    max_removed_dags: int | None = None
    confirm_database_change: DatabaseKind | None = None

    @property
    def name_a_release(self) -> bool:
        """Whether one of the flags is a confirmation to a release."""
        return self.skip_dag_parse or self.max_removed_dags is not None


def configuration(
    flags: Flags,
    stack: str,
    name: str | None,
    deployments: Sequence[InStack],
    config: Mapping[str, Any],
) -> dict[str, str | None]:
    """Return the stack configuration for this deploy.

    Confirmations in the configuration stay unless a flag gives another one: they expire by themselves.

    Args:
        flags: The flags.
        stack: The stack.
        name: The Deployment that the confirmations are for. Default: every Deployment of the stack.
        deployments: The Deployments of the stack.
        config: The configuration of the stack so far.

    Raises:
        ClusterError: The releases of a Deployment cannot be read.
    """
    names = [one.name for one in deployments]
    meant = [name] if name in names else names
    found = _next_releases(stack, deployments) if flags.name_a_release else {}
    values: dict[str, str | None] = {stack_config.DESCRIPTION: flags.description}

    def decide(key: str, template: str) -> None:
        before = config.get(f"{stack_config.NAMESPACE}:{key}")
        value = None if before is None else stack_config.as_text(before)
        for one in meant or [""]:
            part = template.format(found.get(one, 1))
            value = stack_config.with_value(value, one, part, names)
        values[key] = value

    if flags.pytest:
        decide(stack_config.PYTEST, "true")
    if flags.skip_dag_parse:
        decide(stack_config.SKIP_DAG_PARSE, "{}")
    if flags.max_removed_dags is not None:
        decide(stack_config.MAX_REMOVED_DAGS, f"{{}}:{flags.max_removed_dags}")
    if flags.confirm_database_change is not None:
        decide(stack_config.CONFIRM_DATABASE_CHANGE, flags.confirm_database_change.value)
    return values


def _next_releases(stack: str, deployments: Sequence[InStack]) -> dict[str, int]:
    """Return the number of the coming release of each Deployment with releases."""
    if not any(one.namespace for one in deployments):
        return {}
    return {one.name: next_release(one) for one in of_stack(connect(None, stack), deployments)}


def next_release(deployed: Deployed) -> int:
    """Return the highest number of a release plus one, as the release Job does."""
    return max([deployed.current, *(release.number for release in deployed.releases())]) + 1
