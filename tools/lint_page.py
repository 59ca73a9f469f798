"""Generate the tables of docs/lint.md: every rule, with a finding from a broken project of the tests."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from unittest import mock

from astro_pulumi.project.lint import RULES, lint
from astro_pulumi.project.lint.findings import Finding
from tests.unit.project.broken_projects import BROKEN, Broken
from tests.unit.project.projects import write_project

_FAMILIES: Final = {
    "1": "The project as a whole",
    "2": "The Dockerfile",
    "3": "Requirements and packages",
    "4": "Secrets in the image",
    "5": "DAGs and plugins",
    "6": "Links",
}
_HEAD: Final = "| code | | problem | example | solution |\n|---|---|---|---|---|"
_TABLES = re.compile(r"(?<=<!-- tables -->\n).*(?=<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """Return the page with new tables."""
    return _TABLES.sub(lambda _: "\n".join(_tables()), page)


def _tables() -> Iterator[str]:
    examples = {broken.code: _example(broken) for broken in reversed(BROKEN)}
    examples.update(AP101=_nowhere(), AP108=_unreadable())
    for digit, title in _FAMILIES.items():
        yield f"\n## {title}\n\n{_HEAD}"
        for rule in RULES:
            if rule.code[2] == digit:
                example = examples[rule.code]
                cells = (rule.title, f"{example.place}: {example.message}", example.remedy)
                yield f"| {rule.code} | {rule.severity} | {' | '.join(map(_cell, cells))} |"
    yield ""


def _example(broken: Broken) -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        return _finding(broken.code, write_project(Path(folder, "project"), broken.changes))


def _nowhere() -> Finding:
    return _finding("AP101", Path("project"))


def _unreadable() -> Finding:
    """Return the finding about an unreadable file. `os.access` is replaced, since root can read all files."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("os.access", lambda path, _: not str(path).endswith("secret.csv")),
    ):
        project = write_project(Path(folder, "project"), {"include/secret.csv": "1\n"})
        return _finding("AP108", project)


def _finding(code: str, project: Path) -> Finding:
    """Return the first finding with the code."""
    return next(finding for finding in lint(project) if finding.code == code)


def _cell(text: str) -> str:
    """Escape text for a Markdown table."""
    return re.sub(r"([|\\*_<>])", r"\\\1", text)
