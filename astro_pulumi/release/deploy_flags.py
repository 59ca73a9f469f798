"""Flags of a single deploy, from the stack's configuration: what a deploy may do once.

`pulumi up --config` saves what it is given. So a confirmation names the release or the database that it
allows, and is ignored for any other. The release Job judges the confirmations for a release: only it knows
the number of the coming one, which the program learns afterwards.
"""

import re
from dataclasses import dataclass
from typing import Final

import pulumi

from astro_pulumi import stack_config
from astro_pulumi.errors import ArgumentError
from astro_pulumi.pod_files import astro_shared_names

DATABASE_KINDS: Final = ("embedded", "external")


@dataclass(frozen=True, slots=True)
class RemovedDags:
    """The confirmation to a release in which DAGs of the last one are gone."""

    release: int
    count: int


@dataclass(frozen=True, slots=True)
class DeployFlags:
    """The flags of this deploy of one Deployment."""

    description: str | None = None
    skip_dag_parse: int | None = None  # the release that it allows
    max_removed_dags: RemovedDags | None = None
    database_change: str | None = None  # the kind of database that it allows to change to
    run_tests: bool = False

    @classmethod
    def read(cls, deployment: str) -> "DeployFlags":
        """Return the flags of a Deployment in the stack's configuration.

        Raises:
            ArgumentError: A value has another form.
        """
        skip = _match(
            deployment,
            stack_config.SKIP_DAG_PARSE,
            r"(\d{1,9})",
            "the number of the release that may go without it, such as `12`",
        )
        removed = _match(
            deployment,
            stack_config.MAX_REMOVED_DAGS,
            r"(\d{1,9}):(\d{1,9})",
            "the number of a release and how many DAGs may be gone in it, such as `12:3`",
        )
        change = _match(
            deployment,
            stack_config.CONFIRM_DATABASE_CHANGE,
            f"({'|'.join(DATABASE_KINDS)})",
            f"the kind of database to change to, {' or '.join(DATABASE_KINDS)}",
        )
        tests = _match(deployment, stack_config.PYTEST, "(true|false)", "true or false")
        return cls(
            description=pulumi.Config(stack_config.NAMESPACE).get(stack_config.DESCRIPTION),
            skip_dag_parse=int(skip[1]) if skip else None,
            max_removed_dags=RemovedDags(int(removed[1]), int(removed[2])) if removed else None,
            database_change=change[1] if change else None,
            run_tests=tests is not None and tests[1] == "true",
        )

    def job_annotations(self, *, is_rollback: bool) -> dict[str, str]:
        """Return the confirmations as the release Job reads them.

        Annotations change in place: in the Job's spec, a confirmation would make another release.
        """
        skip, removed = self.skip_dag_parse, self.max_removed_dags
        given = {}
        if skip is not None:
            given[astro_shared_names.SKIP_DAG_PARSE] = str(skip)
        if is_rollback:  # DAGs that were added since then are meant to go
            given[astro_shared_names.MAX_REMOVED_DAGS] = astro_shared_names.ANY
        elif removed is not None:
            given[astro_shared_names.MAX_REMOVED_DAGS] = f"{removed.release}:{removed.count}"
        return given

    def warnings(self, current: int, database: str) -> list[str]:
        """Return a warning for each confirmation that was ignored.

        Args:
            current: The number of the release that this deploy made or left as it is.
            database: The kind of its database.
        """
        removed = self.max_removed_dags
        allowed = {
            stack_config.SKIP_DAG_PARSE: self.skip_dag_parse,
            stack_config.MAX_REMOVED_DAGS: removed.release if removed else None,
        }
        lines = [
            f"{_full(key)} is for release {number}, and release {current} is the current one: it was "
            f"ignored. Remove it: {_removal(key)}"
            for key, number in allowed.items()
            if number not in (None, current)
        ]
        if self.database_change not in (None, database):
            key = stack_config.CONFIRM_DATABASE_CHANGE
            lines.append(
                f"{_full(key)} allows a change to a database that is {self.database_change}, and it is "
                f"{database}: it was ignored. Remove it: {_removal(key)}"
            )
        return lines


def confirm_database_change(deployment: str, kind: str) -> str:
    """Return how to allow a change of the database."""
    return (
        f"`astro-pulumi deploy --confirm-database-change {kind}`, or `pulumi config set "
        f"{_full(stack_config.CONFIRM_DATABASE_CHANGE)} {deployment}={kind}` and `pulumi up`"
    )


def _match(deployment: str, key: str, pattern: str, expected: str) -> re.Match[str] | None:
    text = pulumi.Config(stack_config.NAMESPACE).get(key)
    value = stack_config.value_for(text, deployment) if text else None
    if value is None:
        return None
    found = re.fullmatch(pattern, value)
    if found is None:
        raise ArgumentError(_full(key), f"must be {expected}, not {value!r}")
    return found


def _full(key: str) -> str:
    return f"{stack_config.NAMESPACE}:{key}"


def _removal(key: str) -> str:
    return f"`pulumi config rm {_full(key)}`"
