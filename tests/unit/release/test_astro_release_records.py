"""The release records as the release Job sees them."""

import json
from typing import Any

from tests.unit.release.pod_file import load

records = load("astro_release_records")


def record(number: int, **data: Any) -> dict[str, Any]:
    heads = json.dumps({"core": data.pop("head", "h33"), "fab": "f1"})
    return {
        "number": str(number),
        "name": f"analytics-release-{number}",
        "image": f"repo@sha256:{number}",
        "airflowVersion": "3.3.2",
        "heads": heads,
        **data,
    }


def current(number: int) -> dict[str, Any]:
    return {"metadata": {"annotations": {"astro-pulumi/release": str(number)}}}


def test_the_first_release_is_1() -> None:
    assert records.next_number([], None) == 1


def test_numbers_go_on_after_records_were_pruned() -> None:
    assert records.next_number([record(48), record(49)], current(49)) == 50


def test_a_number_is_not_given_twice_when_the_newest_record_was_deleted_by_hand() -> None:
    assert records.next_number([record(1), record(2)], current(3)) == 4


def test_the_oldest_records_make_room_for_the_new_one() -> None:
    kept = [record(number) for number in range(1, 6)]
    assert [r["number"] for r in records.records_to_delete(kept, 4)] == ["1", "2"]
    assert records.records_to_delete(kept, 50) == []


def test_far_too_many_records_shrink_to_the_limit() -> None:
    kept = [record(number) for number in range(1, 71)]
    assert len(kept) - len(records.records_to_delete(kept, 50)) + 1 == 50


HEADS = {"core": "h33", "fab": "f1"}


def test_a_downgrade_runs_in_the_image_that_migrated_the_database() -> None:
    release_list = [record(1, head="h32", airflowVersion="3.2.2"), record(2), record(3)]
    found = records.newest_image(release_list, [], HEADS, "repo@sha256:1")
    assert found == ("repo@sha256:3", "release 3")


def test_after_an_interrupted_downgrade_the_newest_airflow_knows_the_way() -> None:
    release_list = [
        record(1, head="h32", airflowVersion="3.2.2"),
        record(2),
        record(3, airflowVersion="3.10.0"),
    ]
    found = records.newest_image(release_list, [], {"core": "between"}, "repo@sha256:1")
    assert found == ("repo@sha256:3", "release 3")


def test_what_runs_without_a_record_is_asked_before_older_releases() -> None:
    release_list = [record(1, head="h32", airflowVersion="3.2.2")]
    found = records.newest_image(release_list, ["repo@sha256:9"], {"core": "h33"}, "repo@sha256:1")
    assert found == ("repo@sha256:9", "the deploy that runs now")


def test_without_any_other_image_there_is_none() -> None:
    assert records.newest_image([record(1)], ["repo@sha256:1"], HEADS, "repo@sha256:1") is None


def test_images_may_know_more_tables_than_others() -> None:
    assert records.is_at({"core": "a", "fab": "b"}, {"core": "a"})
    assert not records.is_at({"core": "a", "fab": "b"}, {"core": "a", "fab": "c"})
    assert not records.is_at({}, {"core": "a"})
