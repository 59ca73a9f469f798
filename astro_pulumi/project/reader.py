"""Reads an Astro project: what it is built on, what goes into the image, and whether it can be deployed."""

import hashlib
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.errors import ProjectError
from astro_pulumi.project import runtime
from astro_pulumi.project.build_steps import missing_build_steps
from astro_pulumi.project.dockerfile import BaseImage
from astro_pulumi.project.files import ProjectFile, content_of, list_files
from astro_pulumi.project.findings import Finding
from astro_pulumi.project.lint import inspect, why_not_a_project


@dataclass(frozen=True)
class Project:
    """An Astro project that can be built."""

    directory: Path
    base_image: BaseImage
    airflow_version: AirflowVersion | None  # None: the base image does not say
    files: tuple[ProjectFile, ...]  # sorted by path
    findings: tuple[Finding, ...] = ()  # what is worth a warning
    build_steps: str = ""  # added to the Dockerfile, where the base image does not do them

    @cached_property
    def file_digests(self) -> tuple[bytes, ...]:
        """SHA-256 of the content of each of `files`."""
        return tuple(map(digest_of, self.files))

    @cached_property
    def content_hash(self) -> str:
        """What the image would contain, in 64 hex digits: see `hash_files`."""
        digest = hash_files(self.files, self.file_digests)
        if self.build_steps:
            digest = hashlib.sha256(f"{digest}\n{self.build_steps}".encode()).hexdigest()
        return digest


def digest_of(file: ProjectFile) -> bytes:
    """SHA-256 of a file's content, or of a link's target."""
    return hashlib.sha256(content_of(file)).digest()


def hash_files(files: Iterable[ProjectFile], digests: Iterable[bytes]) -> str:
    """SHA-256 over names, kinds and contents of `files`, which are sorted by path.

    :param digests: of the content of each of them.

    The same on any machine: times, umask, owners, and the place of the checkout do not count; the
    executable bit does, since it decides whether a script runs. So do the bytes of a name, and what a
    link leads to.
    """
    whole = hashlib.sha256()
    for file, content in zip(files, digests, strict=True):
        kind = b"link" if file.is_link else b"exec" if file.executable else b"file"
        whole.update(b"%s %s\0%s" % (kind, os.fsencode(file.path), content))
    return whole.hexdigest()


def read_project(directory: Path, accept: Collection[str] = ()) -> Project:
    """Reads the project in `directory`. Needs neither Docker nor a cluster, and writes nothing.

    :param accept: codes of findings that are errors otherwise, and warnings here.
    :raises ProjectError: with everything that keeps the project from being deployed.
    """
    hindrance = why_not_a_project(directory)
    if hindrance:
        raise ProjectError(f"{hindrance.text}")
    listing = list_files(directory)
    subject, findings = inspect(listing)
    errors = [each for each in findings if each.is_error and each.code not in accept]
    if errors:
        raise ProjectError(_explain(directory, errors))
    if subject.base is None:  # only where the finding about it is accepted
        raise ProjectError(f"{directory / 'Dockerfile'}: there is no FROM to build on.")
    return Project(
        directory=directory,
        base_image=subject.base,
        airflow_version=runtime.airflow_version(subject.base),
        files=listing.files,
        findings=tuple(findings),
        build_steps=missing_build_steps(subject.dockerfile, subject.base),
    )


def _explain(directory: Path, errors: list[Finding]) -> str:
    count = "one error" if len(errors) == 1 else f"{len(errors)} errors"
    lines = [f"The project {directory} cannot be deployed: {count}. Nothing that runs was changed."]
    lines += [f"{directory / each.place}: {each.text}" for each in errors]
    return "\n".join(lines)
