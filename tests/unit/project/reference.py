"""Writes the tables of docs/lint.md: every rule, with what the broken projects of the tests are told.

    python -m tests.unit.project.reference

A test holds the page against them.
"""

import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from unittest import mock

from astro_pulumi.project.findings import Finding
from astro_pulumi.project.lint import RULES, lint
from tests.unit.project.broken_projects import BROKEN, Broken
from tests.unit.project.projects import write_project

PAGE: Final = Path(__file__).parents[3] / "docs" / "lint.md"
_FAMILIES: Final = {
    "1": "The project as a whole",
    "2": "The Dockerfile and what the build runs",
    "3": "Requirements and packages",
    "4": "Secrets and local metadata that would get into the image",
    "5": "DAGs and plugins",
    "6": "Files and links",
}
_HEAD: Final = (
    "| code | | what it finds | for example | what to do | projects |\n|---|---|---|---|---|---|"
)
_TABLES = re.compile(r"(?<=<!-- tables -->\n).*(?=<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """The page with its tables made anew."""
    return _TABLES.sub(lambda _: "\n".join(_tables()), page)


def _tables() -> Iterator[str]:
    tried = Counter(broken.code for broken in BROKEN)
    examples = {broken.code: _example(broken) for broken in reversed(BROKEN)}
    examples.update(AP101=_nowhere(), AP108=_unreadable())
    for digit, title in _FAMILIES.items():
        yield f"\n## {title}\n\n{_HEAD}"
        for rule in RULES:
            if rule.code[2] == digit:
                example = examples[rule.code]
                cells = (rule.title, f"{example.place}: {example.message}", example.remedy)
                yield (
                    f"| {rule.code} | {rule.severity} | {' | '.join(map(_cell, cells))} "
                    f"| {tried[rule.code] or 1} |"
                )
    yield ""


def _example(broken: Broken) -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        return _told(broken.code, write_project(Path(folder, "project"), broken.changes))


def _nowhere() -> Finding:
    return _told("AP101", Path("project"))


def _unreadable() -> Finding:
    """Root may read everything: the answer of the file system is made up."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("os.access", lambda path, _: not str(path).endswith("secret.csv")),
    ):
        project = write_project(Path(folder, "project"), {"include/secret.csv": "1\n"})
        return _told("AP108", project)


def _told(code: str, project: Path) -> Finding:
    """What is found, without what differs between machines."""
    found = next(finding for finding in lint(project) if finding.code == code)
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    message = found.message.replace(str(project), "project").replace(python, "Python 3.x")
    return Finding(
        found.code, found.severity, found.file, found.line, found.column, message, found.remedy
    )


def _cell(text: str) -> str:
    """Text in a Markdown table, as it is."""
    return re.sub(r"([|\\*_<>])", r"\\\1", text)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
