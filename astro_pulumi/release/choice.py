"""Which release to go back to: a number, `previous` or an image digest becomes one of those there are."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from astro_pulumi.errors import ReleaseError
from astro_pulumi.release.ledger import (
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
class Known:
    """What is known of a release without reading its record."""

    digest: str
    restores: int | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """All releases in short, and the current one."""

    current: int
    releases: Mapping[int, Known]
    # The current release went back to `restores` because it was asked for this ("previous").
    asked_for: str | None = None
    airflow_version: str | None = None

    @classmethod
    def from_annotations(cls, annotations: Mapping[str, str]) -> "Ledger":
        """From the ConfigMap `<deployment>-release`."""
        current = int(annotations[NUMBER])
        listed: Mapping[str, Any] = json.loads(annotations.get(RELEASES, "{}"))
        releases = {
            int(number): Known(entry["image"], number_or_none(entry.get("restores")))
            for number, entry in listed.items()
        }
        if current not in releases:
            releases[current] = Known("", number_or_none(annotations.get(RESTORES)))
        return cls(current, releases, annotations.get(ASKED_FOR), annotations.get(AIRFLOW_VERSION))

    @classmethod
    def from_releases(cls, releases: list[Release]) -> "Ledger":
        """From the records themselves, the newest first: that is the current one."""
        known = {release.number: Known(release.digest, release.restores) for release in releases}
        current = max(known)
        return cls(current, known, None, releases[0].airflow_version)

    @property
    def origin(self) -> int:
        """The release whose content is running."""
        return self.releases[self.current].restores or self.current


def choose(ledger: Ledger, wanted: str) -> int:
    """The number of the release that `wanted` means.

    `previous` walks back: it is the newest release before the one whose content is running, leaving out
    those that only restored another. A program that says `previous` stays where that led to.

    :raises ReleaseError: when there is none, with those that there are.
    """
    if wanted == PREVIOUS:
        if ledger.asked_for == PREVIOUS:
            return ledger.origin
        earlier = [
            number
            for number, release in ledger.releases.items()
            if number < ledger.origin and not release.restores
        ]
        if not earlier:
            raise ReleaseError(
                f"There is no release before {ledger.origin} to go back to. {_those(ledger)}"
            )
        return max(earlier)
    if wanted.isdigit():
        if int(wanted) not in ledger.releases:
            raise ReleaseError(f"There is no release {wanted}. {_those(ledger)}")
        return int(wanted)
    digest = wanted.rpartition("@")[2]
    if re.fullmatch("[0-9a-f]{7,64}", digest):  # as `astro-pulumi history` shows it
        digest = f"sha256:{digest}"
    if not digest.startswith("sha256:"):
        raise ReleaseError(
            f"{wanted!r} is no release: give its number, `previous`, or an image digest (sha256:...). "
            f"{_those(ledger)}"
        )
    # A short digest will do, as everywhere else.
    matching = [n for n, known in ledger.releases.items() if known.digest.startswith(digest)]
    if not matching:
        raise ReleaseError(f"No release has the image {digest}. {_those(ledger)}")
    return max(matching)


def _those(ledger: Ledger) -> str:
    numbers = sorted(ledger.releases)
    shown = ", ".join(str(number) for number in numbers[-10:])
    return f"There are: {'... ' if len(numbers) > 10 else ''}{shown}; {ledger.current} is current."
