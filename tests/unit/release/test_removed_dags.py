"""Confirmations of one release, as the release Job judges them."""

import json
from typing import Any

import pytest

from tests.unit.release.pod_file import load

confirmations = load("astro_removed_dags")


def job(**annotations: str) -> dict[str, Any]:
    """The release Job with annotations: `max_removed_dags="12:3"`."""
    given = {f"astro-pulumi/{k.replace('_', '-')}": value for k, value in annotations.items()}
    return {"metadata": {"annotations": given}}


def records(*dags: str) -> list[dict[str, Any]]:
    """The records of two releases, the newer of which did not record its DAGs."""
    return [{"number": "10", "dags": json.dumps(dags)}, {"number": "11"}]


def test_a_confirmation_holds_for_the_release_that_it_names() -> None:
    given = confirmations.Confirmations.read(job(skip_dag_parse="12", max_removed_dags="12:3"), 12)
    assert given == (True, 3, ())


@pytest.mark.parametrize("number", [11, 13])
def test_a_confirmation_for_another_release_is_void(number: int) -> None:
    given = confirmations.Confirmations.read(
        job(skip_dag_parse="12", max_removed_dags="12:3"), number
    )
    assert (given.skip_dag_parse, given.max_removed_dags) == (False, None)
    assert given.void == (
        f"astro:skipDagParse is for release 12, and this is release {number}: it is ignored.",
        f"astro:maxRemovedDags is for release 12, and this is release {number}: it is ignored.",
    )


def test_nothing_is_allowed_by_default() -> None:
    assert confirmations.Confirmations.read({"metadata": {}}, 12) == (False, None, ())


@pytest.mark.parametrize(
    ("before", "after", "allowed", "refusal"),
    [
        (["a", "b"], ["b"], "", ""),
        (["a", "b"], ["c"], "", "No DAG of the last release is in this one"),
        (["a", "b"], ["c"], "12:2", ""),
        (
            ["a", "b"],
            ["c"],
            "11:2",
            "is for release 11, and this is release 12: it is ignored. Gone: a",
        ),
        (["a", "b"], ["c"], "12:1", "analytics=12:2` and `pulumi up`. Gone: a, b"),
        (["a", "b"], ["c"], "12:1", "`astro-pulumi deploy --max-removed-dags 2`"),
        (["a", "b", "c"], ["c"], "12:1", "2 DAGs of the last release are not in this one"),
        (["a", "b"], ["b"], "12:0", "One DAG of the last release is not in this one"),
        (["a", "b"], ["c"], "any", ""),
        (["a"], ["a", "b"], "12:0", ""),
        ([], ["a"], "", ""),
    ],
)
def test_dags_that_vanish(before: list[str], after: list[str], allowed: str, refusal: str) -> None:
    given = confirmations.Confirmations.read(
        job(max_removed_dags=allowed) if allowed else job(), 12
    )

    def check() -> None:
        confirmations.refuse_removed_dags(records(*before), after, given, "analytics", 12)

    if not refusal:
        check()
        return
    with pytest.raises(load("astro_termination_message").ReleaseRefusedError) as caught:
        check()
    assert refusal in str(caught.value)
    assert "no running workload was changed" in str(caught.value)


def test_a_release_without_dags_needs_a_confirmation_that_names_it() -> None:
    with pytest.raises(load("astro_termination_message").ReleaseRefusedError) as caught:
        confirmations.refuse_without_dags(
            "/usr/local/airflow/dags", confirmations.Confirmations(False, None), "analytics", 12
        )
    assert str(caught.value) == (
        "There is no DAG in /usr/local/airflow/dags; no running workload was changed. To deploy without "
        "DAGs: `astro-pulumi deploy --skip-dag-parse`, or "
        "`pulumi config set astro:skipDagParse analytics=12` and `pulumi up`."
    )
