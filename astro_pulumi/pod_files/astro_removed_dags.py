"""Refuse a release without DAGs, or without many DAGs of the last release, unless the user has confirmed it.

A confirmation names its release, and does not hold for any other: Pulumi keeps the configuration value after
the deploy. Only the release Job knows the number of the coming release. Confirmations are annotations of the
Job, so that a changed one does not create another release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import astro_release_records
import astro_shared_names
from astro_termination_message import ReleaseRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Confirmations(NamedTuple):
    """The confirmations for one release. `void` has a sentence for each confirmation for another release."""

    skip_dag_parse: bool
    max_removed_dags: int | None  # None: all but one
    void: tuple[str, ...] = ()

    @classmethod
    def read(cls, own_job: dict[str, Any], number: int) -> Confirmations:
        """Return the confirmations of the release Job for the release `number`."""
        annotations: dict[str, str] = own_job["metadata"].get("annotations") or {}
        skip = annotations.get(astro_shared_names.SKIP_DAG_PARSE, "")
        removed, _, count = annotations.get(astro_shared_names.MAX_REMOVED_DAGS, "").partition(":")
        given = {"astro:skipDagParse": skip, "astro:maxRemovedDags": removed}
        void = (
            f"{key} is for release {release}, and this is release {number}: it is ignored."
            for key, release in given.items()
            if release not in ("", astro_shared_names.ANY, str(number))
        )
        limits = {str(number): count, astro_shared_names.ANY: str(2**31 - 1)}
        limit = int(limits[removed]) if removed in limits else None
        return cls(skip == str(number), limit, tuple(void))


def refuse_without_dags(
    folder: str, confirmations: Confirmations, deployment: str, number: int
) -> None:
    """Raise the refusal of a release without any DAG."""
    how = advice(f"skipDagParse {deployment}={number}", "skip-dag-parse")
    text = f"There is no DAG in {folder}; no running workload was changed. To deploy without DAGs: {how}"
    raise ReleaseRefusedError(" ".join([text, *confirmations.void]))


def refuse_removed_dags(
    records: Sequence[dict[str, Any]],
    dags: Sequence[str],
    confirmations: Confirmations,
    deployment: str,
    number: int,
) -> None:
    """Refuse a release that lacks more DAGs of the last release than the user allows."""
    before = astro_release_records.last_dags(list(records))
    removed = sorted(set(before) - set(dags))
    allowed = confirmations.max_removed_dags
    limit = len(before) - 1 if allowed is None else allowed
    if not removed or len(removed) <= limit:
        return
    count = len(removed)
    if count == len(before):
        which = "No DAG of the last release is in this one"
    elif count == 1:
        which = "One DAG of the last release is not in this one"
    else:
        which = f"{count} DAGs of the last release are not in this one"
    how = advice(f"maxRemovedDags {deployment}={number}:{count}", f"max-removed-dags {count}")
    text = f"{which}; no running workload was changed. If this is intended: {how}"
    raise ReleaseRefusedError(" ".join([text, *confirmations.void, f"Gone: {', '.join(removed)}"]))


def advice(setting: str, flag: str) -> str:
    """Return the instructions for giving a confirmation, with and without `astro-pulumi`."""
    return (
        f"`astro-pulumi deploy --{flag}`, or `pulumi config set astro:{setting}` and `pulumi up`."
    )
