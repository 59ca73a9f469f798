"""List the files of a project that go into the image."""

import codecs
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from astro_pulumi.project.dockerignore_patterns import DockerIgnore, InvalidPatternError, Verdict

DOCKERFILE: Final = "Dockerfile"
REQUIREMENTS: Final = "requirements.txt"
PACKAGES: Final = "packages.txt"

# Docker reads the first of these that exists.
_IGNORE_FILES: Final = ("Dockerfile.dockerignore", ".dockerignore")

# Never part of an image, also without `.dockerignore`: files of the local Airflow (metadata, Connections,
# Variables), of git, and files that are generated when the code runs.
LOCAL_ONLY: Final = (
    ".git",
    ".astro",
    ".astro-pulumi",
    "airflow.cfg",
    "logs",
    "**/.env",
    "**/airflow_settings.yaml",
    "**/airflow_settings.yml",
    "**/airflow.db*",
    "**/standalone_admin_password.txt",
    "**/simple_auth_manager_passwords.json*",
    "**/__pycache__",
    "**/.DS_Store",
    *_IGNORE_FILES,
)


class ProjectFile(NamedTuple):
    """One file or symbolic link that goes into the image."""

    path: str  # relative to the project, with "/"
    source: str  # where it is on disk
    is_link: bool
    executable: bool
    size: int  # bytes; of a link, of its target's name


def content_of(file: ProjectFile) -> bytes:
    """Return a file's bytes, or a link's target."""
    if file.is_link:
        return os.fsencode(os.readlink(file.source))  # noqa: PTH115 a Path for each costs more
    return Path(file.source).read_bytes()


@dataclass(frozen=True)
class IgnoreFile:
    """A project's `.dockerignore`."""

    name: str  # "" if there is none
    rules: DockerIgnore
    invalid: tuple[InvalidPatternError, ...]  # patterns that Docker refuses, not part of the rules


@dataclass(frozen=True)
class Listing:
    """A project's directory as a build sees it, without empty directories, which git does not store."""

    directory: Path
    files: tuple[ProjectFile, ...]  # sorted by path
    ignore_file: IgnoreFile
    unreadable: tuple[tuple[str, str], ...] = ()  # (path, reason)
    dead_links: tuple[ProjectFile, ...] = ()  # links to what is not in the image, left out
    by_path: dict[str, ProjectFile] = field(default_factory=dict)

    def has_directory(self, path: str) -> bool:
        """Return whether there is a file in the directory `path`. "." is the project."""
        return path in self._directories

    @cached_property
    def _directories(self) -> frozenset[str]:
        found = {"", "."}
        for path in (file.path for file in self.files):
            while (path := path.rpartition("/")[0]) not in found:
                found.add(path)
        return frozenset(found)

    def text(self, path: str) -> str | None:
        """Return the text of a file of the project, ignored or not; None if it cannot be read."""
        try:
            return decode((self.directory / path).read_bytes())
        except OSError:
            return None


def decode(data: bytes) -> str:
    """Decode UTF-8, or UTF-16 with its mark. Invalid bytes become U+FFFD."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def list_files(directory: Path) -> Listing:
    """List the files of a project that go into the image, and the files that cannot."""
    ignore_file = _read_ignore_file(directory)
    walk = _Walk(ignore_file.rules)
    files = sorted(
        walk.files_in(os.fspath(directory), "", ignore_file.rules.root),
        key=lambda file: os.fsencode(file.path),
    )
    dead = _dead_links(directory, files)
    kept = [file for file in files if file not in dead] if dead else files
    return Listing(
        directory=directory,
        files=tuple(kept),
        ignore_file=ignore_file,
        unreadable=tuple(sorted(walk.unreadable)),
        dead_links=tuple(dead),
        by_path={file.path: file for file in kept},
    )


def _dead_links(directory: Path, files: list[ProjectFile]) -> list[ProjectFile]:
    """Return the links whose target is not in the image.

    They are left out: pulumi-docker follows links to hash its build context, and fails at such a link.
    """
    links = [file for file in files if file.is_link]
    if not links:
        return []
    root = os.path.realpath(directory)
    found = Listing(directory, tuple(files), IgnoreFile("", DockerIgnore(()), ()))
    paths = {file.path for file in files}
    dead = []
    for link in links:
        real = os.path.realpath(link.source)
        path = os.path.relpath(real, root).replace(os.sep, "/")
        is_inside = path in paths or found.has_directory(path)
        if Path(link.source).readlink().is_absolute() or not is_inside or not Path(real).exists():
            dead.append(link)
    return dead


class _Walk:
    def __init__(self, rules: DockerIgnore) -> None:
        self.rules = rules
        self.local = DockerIgnore(LOCAL_ONLY)
        self.unreadable: list[tuple[str, str]] = []

    def files_in(self, folder: str, prefix: str, above: Verdict) -> Iterator[ProjectFile]:
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            if not above.ignored:
                self._note(prefix.rstrip("/") or ".", error)
            return
        for entry in entries:
            path = prefix + entry.name
            verdict = self.rules.judge(path, above)
            if self.local.judge(path, self.local.root).ignored:
                continue
            if entry.is_dir(follow_symlinks=False):
                # An ignored directory may still hold exceptions (`!dir/file`).
                if not verdict.ignored or self.rules.may_hold_exceptions(path):
                    yield from self.files_in(entry.path, f"{path}/", verdict)
            # The build needs the Dockerfile even where an ignore file hides it.
            elif not verdict.ignored or path == DOCKERFILE:
                yield from self._file(entry, path)

    def _file(self, entry: os.DirEntry[str], path: str) -> Iterator[ProjectFile]:
        try:
            status = entry.stat(follow_symlinks=False)
            is_link = stat.S_ISLNK(status.st_mode)
            if not is_link and not stat.S_ISREG(status.st_mode):
                return  # sockets, pipes and devices cannot be in an image
            if not is_link and not os.access(entry.path, os.R_OK):
                self.unreadable.append((path, "permission denied"))
            else:
                yield ProjectFile(
                    path,
                    entry.path,
                    is_link,
                    bool(status.st_mode & stat.S_IXUSR) and not is_link,
                    status.st_size,
                )
        except OSError as error:
            self._note(path, error)

    def _note(self, path: str, error: OSError) -> None:
        self.unreadable.append((path, (error.strerror or str(error)).lower()))


def _read_ignore_file(directory: Path) -> IgnoreFile:
    for name in _IGNORE_FILES:
        try:
            content = (directory / name).read_bytes().removeprefix(codecs.BOM_UTF8)
        except OSError:
            continue
        lines = os.fsdecode(content).split("\n")  # as names of files are read
        invalid: list[InvalidPatternError] = []
        while True:
            try:
                return IgnoreFile(name, DockerIgnore(lines), tuple(invalid))
            except InvalidPatternError as error:
                invalid.append(error)
                lines[error.line - 1] = ""
    return IgnoreFile("", DockerIgnore(()), ())
