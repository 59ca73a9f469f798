"""A summary of a project, with enough detail to list changes later.

Each release stores a summary in the cluster, and previews show it. It contains no secrets: addresses in
`requirements.txt`, which may have a login or a token, are cut to the host and a fingerprint.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from astro_pulumi.project import url_redaction
from astro_pulumi.project.astro_project import Project
from astro_pulumi.project.image_files import PACKAGES, REQUIREMENTS, ProjectFile, decode
from astro_pulumi.project.lint.findings import printable
from astro_pulumi.project.requirements import logical_lines, split_requirement

_HASH = re.compile(r"\s--hash[ =]\S+")
_MARK_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Summary:
    """The parts of a project."""

    base_image: str
    # Path -> short digest and kind of the file. None if there are too many files.
    files: Mapping[str, str] | None
    requirements: Mapping[str, str]  # name -> rest of the line
    packages: tuple[str, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Summary":
        """Return the summary from the result of `dataclasses.asdict`."""
        return cls(
            base_image=values["base_image"],
            files=values["files"],
            requirements=values["requirements"],
            packages=tuple(values["packages"]),
        )


def summarize(project: Project) -> Summary:
    """Summarize `project`."""
    return Summary(
        base_image=project.base_image.reference,
        files={
            printable(file.path): _mark(file, digest)
            for file, digest in zip(project.files, project.file_digests, strict=True)
        },
        requirements=_requirements(_text(project, REQUIREMENTS)),
        packages=tuple(_packages(_text(project, PACKAGES))),
    )


def _mark(file: ProjectFile, digest: bytes) -> str:
    kind = "l" if file.is_link else "x" if file.executable else ""
    return digest.hex()[:_MARK_DIGITS] + kind


def _text(project: Project, path: str) -> str:
    is_there = any(file.path == path for file in project.files)
    return decode((project.directory / path).read_bytes()) if is_there else ""


def _requirements(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in logical_lines(text):
        name, rest = split_requirement(url_redaction.fingerprinted(_HASH.sub("", line.text)))
        # One package may be listed for several versions of Python.
        found[name] = f"{found[name]}, {rest}" if found.get(name) else rest
    return found


def _packages(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from line.partition("#")[0].split()
