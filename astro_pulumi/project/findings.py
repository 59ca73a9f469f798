"""What is wrong with a project: findings, and the rules that they break.

A rule's code is stable: people write it into `.dockerignore` reviews, CI scripts and
`# astro-pulumi: allow AP403` comments.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """An error stops the deploy; a warning is shown and the deploy goes on."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where it is, and what to do about it."""

    code: str
    severity: Severity
    file: str  # relative to the project, with "/"; "." is the project itself
    line: int | None  # counted from 1; None where the file as a whole is meant
    column: int | None  # counted from 1
    message: str  # what is wrong, without a full stop
    remedy: str  # what to do, whole sentences

    @property
    def is_error(self) -> bool:
        """Whether it stops the deploy."""
        return self.severity is Severity.ERROR

    @property
    def place(self) -> str:
        """`dags/sales.py:3:7`, as editors and terminals open it."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)

    @property
    def text(self) -> str:
        """What is wrong and what to do, without the place."""
        return f"{self.code} {self.message}. {self.remedy}"

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a project must or should not be like."""

    code: str
    severity: Severity
    title: str  # for the reference: what breaks the rule

    def broken_by(
        self,
        file: str,
        message: str,
        remedy: str,
        line: int | None = None,
        column: int | None = None,
    ) -> Finding:
        """A finding of this rule. Bytes of `file`'s name that are not UTF-8 are shown as `\\xff`."""
        return Finding(self.code, self.severity, printable(file), line, column, message, remedy)


def printable(path: str) -> str:
    """`path` as it can be printed anywhere: bytes that are not UTF-8 and control characters escaped."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_reading_order(findings: Iterable[Finding]) -> list[Finding]:
    """By file and line, as one reads a project; what is about the whole project comes first."""
    return sorted(
        dict.fromkeys(findings),  # the same may be found in two ways
        key=lambda finding: (
            finding.file != ".",
            finding.file,
            finding.line or 0,
            finding.column or 0,
            finding.code,
        ),
    )
