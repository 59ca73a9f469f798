"""Rules on the project as a whole: what must be there, and what the ignore files say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from astro_pulumi.project.files import DOCKERFILE, PACKAGES, REQUIREMENTS, Listing
from astro_pulumi.project.findings import Finding
from astro_pulumi.project.lint import rules
from astro_pulumi.project.lint.subject import EXAMPLE_FROM, Subject

# What of `LOCAL_ONLY` tells something to whoever gets the image.
_TELLING = re.compile(
    r"^(?:\.env|\.git|airflow_settings\.ya?ml|airflow\.cfg|airflow\.db|standalone_admin_password\.txt"
    r"|simple_auth_manager_passwords\.json.*)$"
)
# Directories that a machine makes for itself, by their name; virtual environments have any name.
_BULK: Final = frozenset({"node_modules", ".tox", ".nox", ".terraform", ".mypy_cache"})


def why_not_a_project(directory: Path) -> Finding | None:
    """What is wrong with `directory` that keeps everything else from being looked at."""
    if not directory.is_dir():
        what = "this is a file" if directory.exists() else "there is no such directory"
        return rules.NO_DIRECTORY.broken_by(
            ".",
            f"{directory}: {what}",
            "Give the path of an Astro project, relative to where the program runs.",
        )
    if (directory / DOCKERFILE).is_file():
        return None
    if not (directory / "dags").is_dir():
        return rules.NOT_A_PROJECT.broken_by(
            ".",
            f"{directory}: this is not an Astro project, it has neither a Dockerfile nor dags/",
            "Give the path of the project's directory; `astro dev init` makes a new one.",
        )
    similar = [path.name for path in directory.iterdir() if path.name.lower() == "dockerfile"]
    return rules.NO_DOCKERFILE.broken_by(
        ".",
        f"{directory}: there is no Dockerfile",
        f"Rename {similar[0]} to Dockerfile."
        if similar
        else f"Add one that names the Airflow image to build on: {EXAMPLE_FROM}",
    )


def check_layout(subject: Subject) -> Iterator[Finding]:
    """All rules on the project as a whole."""
    yield from _ignore_patterns(subject.listing)
    yield from _unreadable(subject.listing)
    yield from _needed_files(subject)
    yield from _bulk(subject.listing)
    yield from _local_files(subject.listing)


def _ignore_patterns(listing: Listing) -> Iterator[Finding]:
    for error in listing.ignore_file.invalid:
        yield rules.BAD_IGNORE_PATTERN.broken_by(
            listing.ignore_file.name,
            f"Docker does not understand the pattern {error.pattern!r}",
            "Close the bracket, or put a backslash before a character that is meant as it is.",
            error.line,
        )


def _unreadable(listing: Listing) -> Iterator[Finding]:
    for path, reason in listing.unreadable:
        yield rules.UNREADABLE.broken_by(
            path,
            f"it cannot be read: {reason}",
            "Make it readable for the user who deploys, or name it in .dockerignore.",
        )


def _needed_files(subject: Subject) -> Iterator[Finding]:
    if not subject.installs_requirements:
        return
    listing = subject.listing
    for name, rule in (
        (REQUIREMENTS, rules.NO_REQUIREMENTS),
        (PACKAGES, rules.NO_PACKAGES),
    ):
        if name in listing.by_path:
            continue
        if (listing.directory / name).is_file():
            verdict = listing.ignore_file.rules.judge(name, listing.ignore_file.rules.root)
            yield rules.NEEDED_FILE_IGNORED.broken_by(
                listing.ignore_file.name,
                f"this pattern keeps out {name}, which the build installs from",
                f"Remove the pattern, or add the line !{name} below it.",
                verdict.line,
            )
        else:
            yield rule.broken_by(
                name,
                f"{name} is missing, and the build installs what it lists",
                f"An empty file is enough: touch {name}",
            )


def _bulk(listing: Listing) -> Iterator[Finding]:
    found = set()
    for file in listing.files:
        folder, _, name = file.path.rpartition("/")
        if name == "pyvenv.cfg" and folder:
            found.add(folder)
        elif not _BULK.isdisjoint(parts := folder.split("/")):
            last = next(i for i, part in enumerate(parts) if part in _BULK)
            found.add("/".join(parts[: last + 1]))
    for folder in sorted(found):
        kind = "a directory that tools fill" if folder.endswith(tuple(_BULK)) else None
        yield rules.BULK_NOT_IGNORED.broken_by(
            folder,
            f"{kind or 'a virtual environment'} goes into the image, where it is of no use",
            f"Add {folder} to .dockerignore.",
        )


def _local_files(listing: Listing) -> Iterator[Finding]:
    names = [path for path in listing.local if _TELLING.match(path.rpartition("/")[2])]
    if names:
        name = listing.ignore_file.name or ".dockerignore"
        yield rules.LOCAL_NOT_IGNORED.broken_by(
            name,
            f"{name} does not name {', '.join(names)}; astro-pulumi leaves out what is local, but other "
            "ways to build this project would bake it into the image",
            f"Add to {name}, one a line: {' '.join(names)}",
        )
