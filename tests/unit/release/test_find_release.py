"""Which release a number, `previous` or a digest means."""

import json

import pytest

from astro_pulumi.errors import ReleaseError
from astro_pulumi.release.find_release import ListedRelease, ReleaseList, choose
from astro_pulumi.release.release_records import ASKED_FOR, NUMBER, RELEASES


def release_list(
    current: int, *restoring: tuple[int, int], asked_for: str | None = None
) -> ReleaseList:
    """Releases 1 to `current`; `restoring` are (number, what it restored)."""
    restores = dict(restoring)
    known = {
        number: ListedRelease(f"sha256:{number:064x}", restores.get(number))
        for number in range(1, current + 1)
    }
    return ReleaseList(current, known, asked_for)


def test_a_number_is_that_release() -> None:
    assert choose(release_list(5), "3") == 3


def test_previous_is_the_release_before_the_current_one() -> None:
    assert choose(release_list(5), "previous") == 4


def test_going_back_twice_goes_back_two_releases() -> None:
    after_the_first = release_list(6, (6, 4))
    assert choose(after_the_first, "previous") == 3


def test_previous_leaves_out_releases_that_only_restored_another() -> None:
    # 3 was a rollback to 1; 4 is new: before it ran what 1 and 2 are.
    assert choose(release_list(4, (3, 1)), "previous") == 2


def test_a_program_that_says_previous_stays_where_that_led_to() -> None:
    assert choose(release_list(6, (6, 4), asked_for="previous"), "previous") == 4


def test_forward_again_is_the_number_of_the_newer_release() -> None:
    assert choose(release_list(6, (6, 4)), "5") == 5


def test_a_digest_may_be_short_and_may_come_with_its_repository() -> None:
    three = f"sha256:{3:064x}"
    assert choose(release_list(5), three) == 3
    assert choose(release_list(5), f"ghcr.io/acme/analytics@{three}") == 3
    known = {1: ListedRelease("sha256:aabb"), 2: ListedRelease("sha256:ccdd")}
    assert choose(ReleaseList(2, known), "sha256:aa") == 1


def test_a_digest_may_be_given_as_the_history_shows_it() -> None:
    known = {1: ListedRelease("sha256:070e7f7663b7ff"), 2: ListedRelease("sha256:a369ff2af6dd00")}
    assert choose(ReleaseList(2, known), "070e7f7663b7") == 1


def test_of_releases_with_the_same_image_the_newest_is_meant() -> None:
    known = {
        1: ListedRelease("sha256:aa"),
        2: ListedRelease("sha256:aa"),
        3: ListedRelease("sha256:bb"),
    }
    assert choose(ReleaseList(3, known), "sha256:aa") == 2


@pytest.mark.parametrize("wanted", ["9", "0", "sha256:ff", "yesterday", "-1", "latest"])
def test_what_there_is_not_is_refused_with_what_there_is(wanted: str) -> None:
    with pytest.raises(ReleaseError, match="Releases: 1, 2, 3; current: 3"):
        choose(release_list(3), wanted)


def test_there_is_nothing_before_the_first_release() -> None:
    with pytest.raises(ReleaseError, match="no release before release 1"):
        choose(release_list(1), "previous")


def test_the_list_is_read_from_the_annotations_of_the_current_release() -> None:
    releases = {"1": {"image": "sha256:aa"}, "2": {"image": "sha256:bb", "restores": "1"}}
    annotations = {NUMBER: "2", RELEASES: json.dumps(releases), ASKED_FOR: "previous"}
    assert ReleaseList.from_annotations(annotations) == ReleaseList(
        2, {1: ListedRelease("sha256:aa"), 2: ListedRelease("sha256:bb", 1)}, "previous"
    )
