"""Read an Astro project: its base image, its files, and whether it can be deployed."""

import hashlib
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.errors import ProjectError
from astro_pulumi.project import base_image_tag
from astro_pulumi.project.build_secrets import why_no_secrets
from astro_pulumi.project.dags import DAGS, why_no_dag_deploys
from astro_pulumi.project.dockerfile import BaseImage
from astro_pulumi.project.image_files import ProjectFile, content_of, list_files
from astro_pulumi.project.lint import inspect, why_not_a_project
from astro_pulumi.project.lint.findings import Finding


@dataclass(frozen=True)
class Project:
    """An Astro project that can be built."""

    directory: Path
    base_image: BaseImage
    airflow_version: AirflowVersion | None  # None if the base image does not say
    files: tuple[ProjectFile, ...]  # sorted by path
    findings: tuple[Finding, ...] = ()  # warnings
    build_steps: str = ""  # appended to the Dockerfile
    no_build_secrets: str | None = None  # why its build cannot take secrets
    no_dag_deploys: str | None = None  # why its DAGs cannot be deployed on their own
    has_dags: bool = True  # False: `without_dags`

    @cached_property
    def file_digests(self) -> tuple[bytes, ...]:
        """SHA-256 of the content of each of `files`."""
        return tuple(map(digest_of, self.files))

    @cached_property
    def content_hash(self) -> str:
        """Hash of all files and build steps of the image, 64 hex digits; see `hash_files`."""
        digest = hash_files(self.files, self.file_digests)
        if self.build_steps:
            digest = hashlib.sha256(f"{digest}\n{self.build_steps}".encode()).hexdigest()
        return digest

    def without_dags(self) -> "Project":
        """Return the project of the image that pods run with DAG deploys: everything but `dags/`."""
        files = tuple(file for file in self.files if not file.path.startswith(DAGS))
        return replace(self, files=files, has_dags=False)


def digest_of(file: ProjectFile) -> bytes:
    """Return the SHA-256 of a file's content, or of a link's target."""
    return hashlib.sha256(content_of(file)).digest()


def hash_files(files: Iterable[ProjectFile], digests: Iterable[bytes]) -> str:
    """Return the SHA-256 of names, kinds, executable bits and contents of files, in hex.

    It is the same on any machine, independent of times, umask, owners and the path of the checkout.

    Args:
        files: Files sorted by path.
        digests: Digests of their contents.
    """
    whole = hashlib.sha256()
    for file, content in zip(files, digests, strict=True):
        kind = b"link" if file.is_link else b"exec" if file.executable else b"file"
        whole.update(b"%s %s\0%s" % (kind, os.fsencode(file.path), content))
    return whole.hexdigest()


def read_project(directory: Path, accept: Collection[str] = ()) -> Project:
    """Read the project in `directory`, without Docker or a cluster, and without writing files.

    Args:
        directory: The Astro project.
        accept: Codes of errors that do not stop the deploy.

    Raises:
        ProjectError: With all errors of the project.
    """
    problem = why_not_a_project(directory)
    if problem:
        raise ProjectError(f"{problem.code} {directory}: {problem.message}. {problem.remedy}")
    listing = list_files(directory)
    context, findings = inspect(listing)
    errors = [each for each in findings if each.is_error and each.code not in accept]
    if errors:
        raise ProjectError(_explain(directory, errors))
    if context.base is None:  # only if the error about it is accepted
        raise ProjectError(f"{directory / 'Dockerfile'}: there is no FROM to build on.")
    return Project(
        directory=directory,
        base_image=context.base,
        airflow_version=base_image_tag.airflow_version(context.base),
        files=listing.files,
        findings=tuple(findings),
        build_steps=context.build_steps,
        no_build_secrets=why_no_secrets(context),
        no_dag_deploys=why_no_dag_deploys(listing.files, context.dockerfile),
    )


def _explain(directory: Path, errors: list[Finding]) -> str:
    count = "one error" if len(errors) == 1 else f"{len(errors)} errors"
    lines = [
        f"The project {directory} cannot be deployed: {count}. No running workload was changed."
    ]
    lines += [f"{directory / each.place}: {each.text}" for each in errors]
    return "\n".join(lines)
