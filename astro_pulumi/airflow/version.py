"""Airflow versions, and the version in a base image."""

import re
from dataclasses import dataclass, replace
from typing import Self

# Astro Runtime 4 to 13 carry Airflow 2.2 to 2.11, one minor version each; from Airflow 3 on the tag
# itself is `<Airflow minor version>-<number>` (Astro Runtime release notes).
_RUNTIME_OF_AIRFLOW_2 = re.compile(r"^(?P<major>\d+)\.\d+\.\d+(?:[-.].*)?$")
_RUNTIME_OF_AIRFLOW_3 = re.compile(r"^(?P<version>\d+\.\d+)-\d+(?:[-.].*)?$")
_APACHE_AIRFLOW = re.compile(r"^(?:slim-)?(?P<version>\d+\.\d+\.\d+)(?:(?:rc|b|a)\d+)?(?:-.*)?$")
_FIRST_RUNTIME, _LAST_RUNTIME = 4, 13
_RUNTIME_NAMES = {"astro-runtime", "runtime", "runtime-dev", "astro-runtime-dev"}


@dataclass(frozen=True, slots=True, order=True)
class AirflowVersion:
    """An Airflow version. `patch` is None if only the minor version is known."""

    major: int
    minor: int
    patch: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse "3.3" or "2.10.4".

        Raises:
            ValueError: `text` is not an Airflow version.
        """
        match = re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?", text.strip())
        if not match:
            raise ValueError(f"{text!r} is not an Airflow version such as 3.1 or 2.10.4")
        return cls(int(match[1]), int(match[2]), int(match[3]) if match[3] else None)

    def with_patch(self) -> Self:
        """Return the oldest version that this one may be, which is comparable with any other."""
        return replace(self, patch=self.patch or 0)

    def __str__(self) -> str:
        """Return `3.3` or `2.10.4`."""
        patch = "" if self.patch is None else f".{self.patch}"
        return f"{self.major}.{self.minor}{patch}"


def version_in_image(reference: str) -> AirflowVersion | None:
    """Return the Airflow version that an image's name and tag promise, or None if they do not name one.

    Understands the two tag schemes of Astro Runtime and that of apache/airflow, and ignores a digest.
    """
    name, _, tag = reference.partition("@")[0].rpartition(":")
    if not name or "/" in tag:
        return None
    repository = name.rsplit("/", 1)[-1]
    if repository in _RUNTIME_NAMES:
        if match := _RUNTIME_OF_AIRFLOW_3.match(tag):
            return AirflowVersion.parse(match["version"])
        if match := _RUNTIME_OF_AIRFLOW_2.match(tag):
            runtime = int(match["major"])
            if _FIRST_RUNTIME <= runtime <= _LAST_RUNTIME:
                return AirflowVersion(2, runtime - 2)
    if repository == "airflow" and (match := _APACHE_AIRFLOW.match(tag)):
        return AirflowVersion.parse(match["version"])
    return None
