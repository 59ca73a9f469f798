"""Findings about a project, and their rules.

Codes of rules are stable: users write them into CI scripts and `# astro-pulumi: allow AP403` comments.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error stops the deploy, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, its place and its solution."""

    code: str
    severity: Severity
    file: str  # relative to the project, with "/"; "." is the project itself
    line: int | None  # from 1; None for the file as a whole
    column: int | None  # from 1
    message: str  # the problem, without a full stop
    remedy: str  # the solution, in whole sentences

    @property
    def is_error(self) -> bool:
        """Whether the finding stops the deploy."""
        return self.severity is Severity.ERROR

    @property
    def place(self) -> str:
        """The place in the format that editors and terminals open: `dags/sales.py:3:7`."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)

    @property
    def text(self) -> str:
        """Code, problem and solution, without the place."""
        return f"{self.code} {self.message}. {self.remedy}"

    def __str__(self) -> str:
        """Return place, code, problem and solution."""
        return f"{self.place}: {self.text}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for projects."""

    code: str
    severity: Severity
    title: str  # what breaks the rule, for the reference page

    def broken_by(
        self,
        file: str,
        message: str,
        remedy: str,
        line: int | None = None,
        column: int | None = None,
    ) -> Finding:
        """Return a finding of this rule, with a printable file name."""
        return Finding(self.code, self.severity, printable(file), line, column, message, remedy)


def printable(path: str) -> str:
    """Escape control characters and bytes that are not UTF-8."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_reading_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sort by file and line, with findings about the whole project first, and drop duplicates."""
    return sorted(
        dict.fromkeys(findings),
        key=lambda finding: (
            finding.file != ".",
            finding.file,
            finding.line or 0,
            finding.column or 0,
            finding.code,
        ),
    )
