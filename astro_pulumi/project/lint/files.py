"""Rules on files and links: what a build cannot send, and what it should not."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from astro_pulumi.project.files import Listing, ProjectFile
from astro_pulumi.project.findings import Finding, printable
from astro_pulumi.project.lint import rules
from astro_pulumi.project.lint.subject import Subject

_MEGABYTE: Final = 1024**2
BIG_FILE_BYTES: Final = 50 * _MEGABYTE
BIG_PROJECT_BYTES: Final = 1024 * _MEGABYTE


def check_files(subject: Subject) -> Iterator[Finding]:
    """All rules on files and links."""
    listing = subject.listing
    yield from _links(listing)
    yield from _names(listing)
    yield from _sizes(listing)
    for path in listing.special:
        yield rules.SPECIAL_FILE.broken_by(
            path,
            "a socket, pipe or device cannot be in an image and is left out",
            "Remove it, or name it in .dockerignore.",
        )


def _links(listing: Listing) -> Iterator[Finding]:
    root = os.path.realpath(listing.directory)
    environments = tuple(
        f"{file.path.removesuffix('pyvenv.cfg')}"
        for file in listing.files
        if file.path.endswith("/pyvenv.cfg")
    )
    for file in listing.files:
        # A virtual environment links to this machine's Python; it has a finding as a whole.
        if file.is_link and not file.path.startswith(environments or ("\0",)):
            yield from _link(file, root, listing)


def _link(file: ProjectFile, root: str, listing: Listing) -> Iterator[Finding]:
    """A link that leads nowhere is an error: it is of no use in the image, and pulumi-docker, which
    follows links to hash its build context, would stop at it with much less to say."""
    source = Path(file.source)
    target = source.readlink()
    shown = printable(os.fspath(target))
    real = os.path.realpath(source)
    inside = real == root or real.startswith(root + os.sep)
    path = os.path.relpath(real, root).replace(os.sep, "/")
    if target.is_absolute() and inside:
        yield rules.LINK_LEAVES_PROJECT.broken_by(
            file.path,
            f"the link leads to the absolute path {shown}, which is not there in the image",
            "Make the link relative.",
        )
    elif target.is_absolute() or not inside:
        yield rules.LINK_LEAVES_PROJECT.broken_by(
            file.path,
            f"the link leads out of the project to {shown}, which is not there in the image",
            "Replace it by what it leads to, or name it in .dockerignore.",
        )
    elif not source.exists():
        yield rules.LINK_TO_NOTHING.broken_by(
            file.path,
            f"the link leads to {shown}, which does not exist",
            "Remove the link, or name it in .dockerignore.",
        )
    elif path not in listing.by_path and not listing.has_directory(path):
        yield rules.LINK_TO_NOTHING.broken_by(
            file.path,
            f"the link leads to {shown}, which is not part of the image",
            "Name the link in .dockerignore as well.",
        )


def _names(listing: Listing) -> Iterator[Finding]:
    reported: set[str] = set()
    first_by_key: dict[str, str] = {}
    for file in listing.files:
        parts = file.path.split("/")
        for depth, part in enumerate(parts):
            path = "/".join(parts[: depth + 1])
            if path in reported:
                break
            if not part.isascii() and _has_stray_bytes(part):
                reported.add(path)
                yield rules.NAME_NOT_UTF8.broken_by(
                    path,
                    "its name is not valid UTF-8, and the build cannot send it",
                    "Rename it, or name it in .dockerignore.",
                )
                break
            first = first_by_key.setdefault(_key(path), path)
            if first != path:
                reported.add(path)
                yield rules.SAME_NAME_ELSEWHERE.broken_by(
                    path,
                    f"on macOS and Windows it is the same file as {printable(first)}: a checkout "
                    "there has only one of them, and makes another image",
                    "Rename one of them.",
                )
                break


def _key(path: str) -> str:
    """One for all names that a file system without regard for case or composition takes for one."""
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


def _has_stray_bytes(name: str) -> bool:
    try:
        os.fsencode(name).decode()
    except UnicodeDecodeError:
        return True
    return False


def _sizes(listing: Listing) -> Iterator[Finding]:
    total = 0
    for file in listing.files:
        total += file.size
        if file.size > BIG_FILE_BYTES and not file.is_link:
            yield rules.BIG_FILE.broken_by(
                file.path,
                f"it has {file.size / _MEGABYTE:.0f} MB; every deploy that changes a file of the "
                "project sends it again, and every node pulls it",
                "Keep data in object storage, or name the file in .dockerignore.",
            )
    if total > BIG_PROJECT_BYTES:
        largest = max(listing.files, key=lambda file: file.size)
        yield rules.BIG_PROJECT.broken_by(
            ".",
            f"the project has {total / _MEGABYTE:.0f} MB in {len(listing.files)} files, the largest "
            f"being {printable(largest.path)}",
            "Name in .dockerignore what Airflow does not need.",
        )
