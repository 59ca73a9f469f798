"""Find the release to go back to, by number, by image digest, or as `previous`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from astro_pulumi.errors import ReleaseError
from astro_pulumi.release.release_records import (
    AIRFLOW_VERSION,
    ASKED_FOR,
    NUMBER,
    RELEASES,
    RESTORES,
    Release,
    number_or_none,
)

PREVIOUS: Final = "previous"


@dataclass(frozen=True, slots=True)
class ListedRelease:
    """A release as the list of releases has it, without its record."""

    digest: str
    restores: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseList:
    """The list of releases, and which one is current."""

    current: int
    releases: Mapping[int, ListedRelease]
    # The argument of the rollback that made the current release, such as "previous".
    asked_for: str | None = None
    airflow_version: str | None = None

    @classmethod
    def from_annotations(cls, annotations: Mapping[str, str]) -> "ReleaseList":
        """Read the ConfigMap `<deployment>-release`."""
        current = int(annotations[NUMBER])
        listed: Mapping[str, Any] = json.loads(annotations.get(RELEASES, "{}"))
        releases = {
            int(number): ListedRelease(entry["image"], number_or_none(entry.get("restores")))
            for number, entry in listed.items()
        }
        if current not in releases:
            releases[current] = ListedRelease("", number_or_none(annotations.get(RESTORES)))
        return cls(current, releases, annotations.get(ASKED_FOR), annotations.get(AIRFLOW_VERSION))

    @classmethod
    def from_releases(cls, releases: list[Release]) -> "ReleaseList":
        """Read records, the newest first. The newest is the current one."""
        known = {
            release.number: ListedRelease(release.digest, release.restores) for release in releases
        }
        current = max(known)
        return cls(current, known, None, releases[0].airflow_version)

    @property
    def content_number(self) -> int:
        """Number of the release whose content runs: the current one, or the one that it restored."""
        return self.releases[self.current].restores or self.current


def choose(release_list: ReleaseList, wanted: str) -> int:
    """Return the number of a release.

    `previous` is the newest release before the one whose content runs. Releases that only restored another
    one are left out, so that repeated rollbacks walk back. In a program, `previous` keeps its first meaning.

    Args:
        release_list: The releases.
        wanted: A number, `previous`, or a digest, which may be shortened.

    Raises:
        ReleaseError: There is no such release. The message lists those that exist.
    """
    if wanted == PREVIOUS:
        if release_list.asked_for == PREVIOUS:
            return release_list.content_number
        earlier = [
            number
            for number, release in release_list.releases.items()
            if number < release_list.content_number and not release.restores
        ]
        if not earlier:
            raise ReleaseError(
                f"There is no release before release {release_list.content_number}. "
                f"{_available(release_list)}"
            )
        return max(earlier)
    if wanted.isdigit():
        if int(wanted) not in release_list.releases:
            raise ReleaseError(f"There is no release {wanted}. {_available(release_list)}")
        return int(wanted)
    digest = wanted.rpartition("@")[2]
    if re.fullmatch("[0-9a-f]{7,64}", digest):  # as `astro-pulumi history` shows it
        digest = f"sha256:{digest}"
    if not digest.startswith("sha256:"):
        raise ReleaseError(
            f"{wanted!r} is not a release: use a number, `previous`, or an image digest (sha256:...). "
            f"{_available(release_list)}"
        )
    matching = [n for n, known in release_list.releases.items() if known.digest.startswith(digest)]
    if not matching:
        raise ReleaseError(f"No release has the image {digest}. {_available(release_list)}")
    return max(matching)


def _available(release_list: ReleaseList) -> str:
    numbers = sorted(release_list.releases)
    shown = ", ".join(str(number) for number in numbers[-10:])
    return (
        f"Releases: {'... ' if len(numbers) > 10 else ''}{shown}; current: {release_list.current}."
    )
