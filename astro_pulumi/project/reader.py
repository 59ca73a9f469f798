"""Reads an Astro project: the files that must exist, the base image, and what goes into the image."""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from astro_pulumi.airflow.version import AirflowVersion, version_in_image
from astro_pulumi.errors import ProjectError
from astro_pulumi.project.dockerfile import BaseImage, read_base_image
from astro_pulumi.project.ignore import DockerIgnore

# Never part of an image, whatever `.dockerignore` says: they belong to the local Airflow (its
# metadata, Connections and Variables), to git, or are made anew by whoever runs the code.
LOCAL_ONLY: Final = (
    ".git",
    ".env",
    ".astro",
    ".astro-pulumi",
    "airflow_settings.yaml",
    "airflow_settings.yml",
    "airflow.cfg",
    "airflow.db*",
    "standalone_admin_password.txt",
    "simple_auth_manager_passwords.json*",
    "logs",
    "**/.env",
    "**/__pycache__",
    "**/.DS_Store",
    ".dockerignore",
)
_REQUIRED_FILES: Final = ("Dockerfile", "requirements.txt", "packages.txt")


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """One file or symbolic link that goes into the image."""

    path: str  # relative to the project, with "/"
    source: Path
    is_link: bool
    executable: bool


@dataclass(frozen=True)
class Project:
    """An Astro project that can be built."""

    directory: Path
    base_image: BaseImage
    airflow_version: AirflowVersion | None  # None: the base image does not say
    files: tuple[ProjectFile, ...]  # sorted by path

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over what the image would contain: 64 hex digits.

        The same on any machine: times, umask, owners, and the place of the checkout do not count;
        the executable bit does, since it decides whether a script runs.
        """
        digest = hashlib.sha256()
        for file in self.files:
            kind = b"link" if file.is_link else b"exec" if file.executable else b"file"
            digest.update(b"%s %s\0" % (kind, file.path.encode("utf-8", "surrogateescape")))
            digest.update(hashlib.sha256(content_of(file)).digest())
        return digest.hexdigest()


def content_of(file: ProjectFile) -> bytes:
    """A file's bytes, or a link's target."""
    if file.is_link:
        return os.fsencode(file.source.readlink())
    return file.source.read_bytes()


def read_project(directory: Path) -> Project:
    """Reads the project in `directory`. Needs neither Docker nor a cluster, and writes nothing.

    :raises ProjectError: when it is not an Astro project that can be built.
    """
    if not directory.is_dir():
        raise ProjectError(
            f"{directory}: there is no such directory. Give the Astro project's path."
        )
    missing = [name for name in _REQUIRED_FILES if not (directory / name).is_file()]
    if "Dockerfile" in missing:
        raise ProjectError(
            f"{directory}: this is not an Astro project, it has no Dockerfile. "
            "`astro dev init` makes one, or give the path of the project's directory."
        )
    if missing:
        raise ProjectError(
            f"{directory}: {' and '.join(missing)} missing. The image is built from them; "
            f"an empty file is enough: touch {' '.join(missing)}"
        )
    base_image = read_base_image(directory / "Dockerfile")
    return Project(
        directory=directory,
        base_image=base_image,
        airflow_version=version_in_image(base_image.reference),
        files=tuple(sorted(_files(directory), key=lambda file: file.path)),
    )


def _files(directory: Path) -> Iterator[ProjectFile]:
    ignore_file = directory / ".dockerignore"
    lines = ignore_file.read_text(errors="replace").splitlines() if ignore_file.is_file() else []
    rules = DockerIgnore([*lines, *LOCAL_ONLY])

    def walk(folder: Path, prefix: str) -> Iterator[ProjectFile]:
        for entry in os.scandir(folder):
            path = prefix + entry.name
            ignored = rules.ignores(path) and path not in _REQUIRED_FILES
            if entry.is_symlink() or entry.is_file(follow_symlinks=False):
                if not ignored:
                    mode = 0 if entry.is_symlink() else entry.stat(follow_symlinks=False).st_mode
                    yield ProjectFile(
                        path, Path(entry.path), entry.is_symlink(), bool(mode & stat.S_IXUSR)
                    )
            # A directory that is ignored may still hold exceptions (`!dir/file`).
            elif not ignored or (rules.has_exceptions and path not in LOCAL_ONLY):
                yield from walk(Path(entry.path), path + "/")

    return walk(directory, "")
