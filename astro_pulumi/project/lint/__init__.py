"""Find problems of an Astro project before a build, by reading its files only.

Each topic has a module. A check is a pure function from the files to findings.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from astro_pulumi.project.dockerfile import parse_dockerfile
from astro_pulumi.project.image_files import DOCKERFILE, Listing, content_of, decode, list_files
from astro_pulumi.project.lint.dags import check_dags
from astro_pulumi.project.lint.dockerfile import check_dockerfile, check_from
from astro_pulumi.project.lint.findings import Finding, in_reading_order
from astro_pulumi.project.lint.layout import check_layout, why_not_a_project
from astro_pulumi.project.lint.lint_context import LintContext
from astro_pulumi.project.lint.requirements import check_packages, check_requirements
from astro_pulumi.project.lint.rules import RULES
from astro_pulumi.project.lint.secrets import check_secrets

__all__ = ["RULES", "inspect", "lint", "why_not_a_project"]

_CHECKS: Final = (check_layout, check_dockerfile, check_requirements, check_packages, check_dags)
_LARGEST_READ: Final = 1 << 20  # bytes; larger files are data
_ALLOWED = re.compile(r"astro-pulumi:\s*allow\s+(AP\d{3}(?:[\s,]+AP\d{3})*)")


def lint(directory: Path) -> list[Finding]:
    """Return the findings about the project in `directory`, without Docker or a cluster."""
    problem = why_not_a_project(directory)
    return [problem] if problem else inspect(list_files(directory))[1]


def inspect(listing: Listing) -> tuple[LintContext, list[Finding]]:
    """Return the parsed project, and the findings about it."""
    dockerfile = parse_dockerfile(listing.text(DOCKERFILE) or "")
    base, findings = check_from(dockerfile)
    context = LintContext(listing, dockerfile, base)
    for check in _CHECKS:
        findings.extend(check(context))
    findings.extend(_check_contents(listing))
    return context, list(_without_allowed(in_reading_order(findings), listing))


def _check_contents(listing: Listing) -> Iterator[Finding]:
    for file in listing.files:
        if not file.is_link and file.size <= _LARGEST_READ:
            try:
                yield from check_secrets(file, content_of(file))
            except OSError:
                continue  # it was removed meanwhile; the build will report it


def _without_allowed(findings: Iterable[Finding], listing: Listing) -> Iterator[Finding]:
    """Leave out findings that a comment on their line, or on the line above, allows."""
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
