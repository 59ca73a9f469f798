"""Finds what is wrong with an Astro project, before anything is built. Reads files, and nothing else.

One module for each family of rules, all rules by code in `rules`. A check is a pure function from what
was read to findings.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from astro_pulumi.project.dockerfile import parse_dockerfile
from astro_pulumi.project.files import DOCKERFILE, Listing, content_of, decode, list_files
from astro_pulumi.project.findings import Finding, in_reading_order
from astro_pulumi.project.lint.dags import check_dags
from astro_pulumi.project.lint.dockerfile import check_dockerfile, check_from, crlf_check
from astro_pulumi.project.lint.files import check_files
from astro_pulumi.project.lint.layout import check_layout, why_not_a_project
from astro_pulumi.project.lint.requirements import check_packages, check_requirements
from astro_pulumi.project.lint.rules import RULES
from astro_pulumi.project.lint.secrets import check_content, check_secrets
from astro_pulumi.project.lint.subject import Check, ContentCheck, Subject

__all__ = ["RULES", "inspect", "lint", "why_not_a_project"]

_CHECKS: Final[tuple[Check, ...]] = (
    check_layout,
    check_dockerfile,
    check_requirements,
    check_packages,
    check_secrets,
    check_dags,
    check_files,
)
_LARGEST_LOOKED_AT: Final = 1 << 20  # bytes; larger files are data
_ALLOWED = re.compile(r"astro-pulumi:\s*allow\s+(AP\d{3}(?:[\s,]+AP\d{3})*)")


def lint(directory: Path) -> list[Finding]:
    """Everything that is wrong with the project in `directory`. Needs neither Docker nor a cluster."""
    hindrance = why_not_a_project(directory)
    return [hindrance] if hindrance else inspect(list_files(directory))[1]


def inspect(listing: Listing) -> tuple[Subject, list[Finding]]:
    """What was read of a project, and everything that is wrong with it."""
    dockerfile = parse_dockerfile(listing.text(DOCKERFILE) or "")
    base, findings = check_from(dockerfile)
    subject = Subject(listing, dockerfile, base)
    for check in _CHECKS:
        findings.extend(check(subject))
    findings.extend(_check_contents(listing, (check_content, crlf_check(dockerfile))))
    return subject, list(_without_allowed(in_reading_order(findings), listing))


def _check_contents(listing: Listing, checks: tuple[ContentCheck, ...]) -> Iterator[Finding]:
    for file in listing.files:
        if file.is_link or file.size > _LARGEST_LOOKED_AT:
            continue
        try:
            content = content_of(file)
        except OSError:  # it went away, or is not ours to read: then the build will say so
            continue
        for check in checks:
            yield from check(file, content)


def _without_allowed(findings: Iterable[Finding], listing: Listing) -> Iterator[Finding]:
    """Leaves out what a comment on the line, or on the one above, allows."""
    lines_of: dict[str, list[str]] = {}
    for finding in findings:
        file = listing.by_path.get(finding.file)
        if finding.line is None or file is None or file.is_link:
            yield finding
            continue
        if finding.file not in lines_of:
            text = decode(content_of(file))
            lines_of[finding.file] = text.splitlines() if "astro-pulumi:" in text else []
        near = lines_of[finding.file][max(finding.line - 2, 0) : finding.line]
        if not any(finding.code in match[1] for line in near if (match := _ALLOWED.search(line))):
            yield finding
