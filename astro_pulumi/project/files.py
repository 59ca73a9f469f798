"""Which files of a project go into the image."""

import codecs
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from astro_pulumi.project.ignore import DockerIgnore, InvalidPatternError, Verdict

DOCKERFILE: Final = "Dockerfile"
REQUIREMENTS: Final = "requirements.txt"
PACKAGES: Final = "packages.txt"

# Docker takes the first of these that is there.
_IGNORE_FILES: Final = ("Dockerfile.dockerignore", ".dockerignore")

# Never part of an image, whatever `.dockerignore` says: they belong to the local Airflow (its
# metadata, Connections and Variables), to git, or are made anew by whoever runs the code.
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
    """A file's bytes, or a link's target."""
    if file.is_link:
        return os.fsencode(os.readlink(file.source))  # noqa: PTH115 a Path for each costs more
    descriptor = os.open(file.source, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        # Most files come whole with one read; half the time of `Path.read_bytes`.
        data = os.read(descriptor, file.size + 1)
        if len(data) == file.size:
            return data
        parts = [data]
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class IgnoreFile:
    """A project's `.dockerignore`."""

    name: str  # "" when there is none
    rules: DockerIgnore
    invalid: tuple[InvalidPatternError, ...]  # patterns that Docker refuses, left out of the rules


@dataclass(frozen=True)
class Listing:
    """A project's directory, as a build would see it. Empty directories do not count: git has none."""

    directory: Path
    files: tuple[ProjectFile, ...]  # sorted by path
    ignore_file: IgnoreFile
    unreadable: tuple[tuple[str, str], ...] = ()  # (path, reason)
    special: tuple[str, ...] = ()  # sockets, pipes, devices: left out
    local: tuple[str, ...] = ()  # left out by LOCAL_ONLY, though the ignore file does not say so
    by_path: dict[str, ProjectFile] = field(default_factory=dict)

    def has_directory(self, path: str) -> bool:
        """Whether there is a file in the directory `path`; "." is the project."""
        return path in self._directories

    @cached_property
    def _directories(self) -> frozenset[str]:
        found = {"", "."}
        for path in self.by_path:
            while (path := path.rpartition("/")[0]) not in found:
                found.add(path)
        return frozenset(found)

    def text(self, path: str) -> str | None:
        """The text of a file of the project, ignored or not; None where there is none."""
        try:
            return decode((self.directory / path).read_bytes())
        except OSError:
            return None


def decode(data: bytes) -> str:
    """Text of whatever encoding it says it has; what is not text becomes U+FFFD."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def list_files(directory: Path) -> Listing:
    """Lists what goes into the image, and what cannot."""
    ignore_file = _read_ignore_file(directory)
    walk = _Walk(ignore_file.rules)
    files = sorted(
        walk.files_in(os.fspath(directory), "", ignore_file.rules.root),
        key=lambda file: os.fsencode(file.path),
    )
    return Listing(
        directory=directory,
        files=tuple(files),
        ignore_file=ignore_file,
        unreadable=tuple(sorted(walk.unreadable)),
        special=tuple(sorted(walk.special)),
        local=tuple(sorted(walk.left_out)),
        by_path={file.path: file for file in files},
    )


class _Walk:
    def __init__(self, rules: DockerIgnore) -> None:
        self.rules = rules
        self.local = DockerIgnore(LOCAL_ONLY)
        self.unreadable: list[tuple[str, str]] = []
        self.special: list[str] = []
        self.left_out: list[str] = []

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
                if not verdict.ignored:
                    self.left_out.append(path)
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
                self.special.append(path)
            elif not is_link and not os.access(entry.path, os.R_OK):
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
