"""Rules on the whole project: required files, ignore patterns and links."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from astro_pulumi.project.image_files import DOCKERFILE, PACKAGES, REQUIREMENTS, Listing
from astro_pulumi.project.lint import rules
from astro_pulumi.project.lint.findings import Finding, printable
from astro_pulumi.project.lint.lint_context import EXAMPLE_FROM, LintContext

_HIDDEN = re.compile(r"/(?:\.|dags/|node_modules/|site-packages/)")


def why_not_a_project(directory: Path) -> Finding | None:
    """Return the finding that makes all other checks pointless, or None."""
    if not directory.is_dir():
        return rules.NO_DIRECTORY.broken_by(
            ".",
            "this is a file" if directory.exists() else "there is no such directory",
            "Give the path of an Astro project, relative to the working directory.",
        )
    if (directory / DOCKERFILE).is_file():
        return None
    if not (directory / "dags").is_dir():
        return rules.NOT_A_PROJECT.broken_by(
            ".",
            "this is not an Astro project: it has neither a Dockerfile nor dags/",
            other_projects(directory)
            or "Give the path of an Astro project, or run `astro dev init`.",
        )
    similar = [path.name for path in directory.iterdir() if path.name.lower() == "dockerfile"]
    return rules.NO_DOCKERFILE.broken_by(
        ".",
        "there is no Dockerfile",
        f"Rename {similar[0]} to Dockerfile."
        if similar
        else f"Add one that names the Airflow image to build on: {EXAMPLE_FROM}",
    )


def other_projects(directory: Path) -> str:
    """Return a sentence with the Astro projects below or around `directory`; empty if there is none."""
    directory = directory.resolve()
    files = (
        file for depth in ("*", "*/*", "*/*/*") for file in directory.glob(f"{depth}/Dockerfile")
    )
    below = [file.parent.relative_to(directory) for file in files if _is_project(file.parent)]
    names = [path.as_posix() for path in below if not _HIDDEN.search(f"/{path.as_posix()}/")]
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return f"Give the path of a project below it: {', '.join(sorted(names)[:5])}{more}."
    around = next(filter(_is_project, directory.parents), None)
    return f"Give the path of the project around it: {os.path.relpath(around)}." if around else ""


def _is_project(directory: Path) -> bool:
    return (directory / DOCKERFILE).is_file() and (
        (directory / "dags").is_dir() or (directory / ".astro").is_dir()
    )


def check_layout(context: LintContext) -> Iterator[Finding]:
    """Check required files, ignore patterns and links."""
    listing = context.listing
    for error in listing.ignore_file.invalid:
        yield rules.BAD_IGNORE_PATTERN.broken_by(
            listing.ignore_file.name,
            f"Docker does not accept the pattern {error.pattern!r}",
            "Close the bracket, or put a backslash before a literal character.",
            error.line,
        )
    for path, reason in listing.unreadable:
        yield rules.UNREADABLE.broken_by(
            path,
            f"it cannot be read: {reason}",
            "Make it readable for the user who deploys, or add it to .dockerignore.",
        )
    if context.has_onbuild:
        yield from _needed_files(listing)
    yield from _dead_links(listing)


def _needed_files(listing: Listing) -> Iterator[Finding]:
    ignored = listing.ignore_file
    for name, rule in ((REQUIREMENTS, rules.NO_REQUIREMENTS), (PACKAGES, rules.NO_PACKAGES)):
        if name in listing.by_path:
            continue
        verdict = ignored.rules.judge(name, ignored.rules.root)
        if verdict.ignored:
            exists = (listing.directory / name).is_file()
            yield rules.NEEDED_FILE_IGNORED.broken_by(
                ignored.name,
                f"this pattern excludes {name}, which the base image installs",
                f"Remove the pattern, or add the line !{name} below it."
                + ("" if exists else f" Then add the file, which may be empty: touch {name}"),
                verdict.line,
            )
        else:
            yield rule.broken_by(
                name,
                f"{name} is missing, and the base image installs it",
                f"Add the file, which may be empty: touch {name}",
            )


def _dead_links(listing: Listing) -> Iterator[Finding]:
    by_folder: dict[str, list[str]] = {}
    for link in listing.dead_links:
        if link.path == "dags":
            continue  # AP501 reports it
        by_folder.setdefault(link.path.rpartition("/")[0], []).append(link.path)
    for paths in by_folder.values():
        target = printable(os.fspath((listing.directory / paths[0]).readlink()))
        others = f", like {len(paths) - 1} more in this directory" if len(paths) > 1 else ""
        yield rules.DEAD_LINK.broken_by(
            paths[0],
            f"the link leads to {target}, which is not in the image; it is left out{others}",
            "Replace the link with a copy, or add it to .dockerignore.",
        )
