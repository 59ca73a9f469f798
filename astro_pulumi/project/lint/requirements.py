"""Rules on `requirements.txt` and `packages.txt`, as pip and apt read them."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.project import base_image_tag
from astro_pulumi.project.image_files import PACKAGES, REQUIREMENTS
from astro_pulumi.project.lint import rules
from astro_pulumi.project.lint.findings import Finding
from astro_pulumi.project.lint.lint_context import LintContext
from astro_pulumi.project.requirements import (
    Line,
    is_legacy_requirement,
    logical_lines,
    parse_requirement,
)
from astro_pulumi.project.url_redaction import hidden

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_FILE_OPTION = re.compile(
    r"^(?:-[rce]\s*|--(?:requirement|constraint|editable)(?:\s+|=))(?P<path>[^\s\[]+)"
)
_URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")
_PATH = re.compile(
    r"^[^@;]*(?:[/\\]|\.(?:whl|zip|tar\.gz|tgz|tar\.bz2)(?:\[|#|\s|;|$))|^\.+(?:\[|$)"
)

_DEBIAN_PACKAGE = re.compile(
    r"^[a-z0-9][a-z0-9+.*?-]+(?::[a-z0-9-]+)?[+^-]?(?:=[^\s=]+|/[\w.-]+)?$"
)
_DEBIAN_FILE = re.compile(r"^(?:\.{0,2}/)\S+\.deb$")


def check_requirements(context: LintContext) -> Iterator[Finding]:
    """Check requirements.txt if the build installs it."""
    for line in logical_lines(_read(context, REQUIREMENTS)):
        yield from _check_line(context, Line(line.number, _VARIABLE.sub("x", line.text)))


def check_packages(context: LintContext) -> Iterator[Finding]:
    """Check packages.txt if the build installs it."""
    for number, line in enumerate(_read(context, PACKAGES).splitlines(), 1):
        for match in re.finditer(r"\S+", line.partition("#")[0]):
            name = match[0]
            is_option = name.startswith("-")  # for apt-get
            if is_option or _DEBIAN_PACKAGE.match(name) or _DEBIAN_FILE.match(name):
                continue
            yield rules.BAD_PACKAGE_NAME.broken_by(
                PACKAGES,
                f"{name!r} is not the name of a Debian package",
                _package_remedy(name),
                number,
                match.start() + 1,
            )


def _read(context: LintContext, path: str) -> str:
    """Return the text of a file that the build installs; empty if it is missing or not installed."""
    if path not in context.listing.by_path or not context.installs(path):
        return ""
    return context.listing.text(path) or ""


def _package_remedy(name: str) -> str:
    if re.search(r"[=~<>!]=|[<>]", name):
        return (
            "Move Python packages to requirements.txt. Debian packages are pinned as name=version."
        )
    return "Write one name per line, in lower case, as `apt-get install` takes it."


def _check_line(context: LintContext, line: Line) -> Iterator[Finding]:
    text = line.text
    if option := _FILE_OPTION.match(text):
        yield from _check_path(context, line, option["path"])
    elif text.startswith("-") or _URL.match(text):
        return
    elif _PATH.match(text):
        yield from _check_path(context, line, re.split(r"[\[#;\s]", text)[0])
    elif requirement := parse_requirement(text):
        version = context.base and base_image_tag.airflow_version(context.base)
        if (
            version
            and (context.has_onbuild or f"COPY {REQUIREMENTS}" in context.build_steps)
            and requirement.marker is None
            and re.fullmatch(r"apache[-_.]+airflow", requirement.name, re.IGNORECASE)
            and not _allows(requirement, version)
        ):
            yield rules.OTHER_AIRFLOW.broken_by(
                REQUIREMENTS,
                f"{_shortened(text)!r} contradicts the base image, which has Airflow {version}",
                "Remove the line. For another version of Airflow change FROM in the Dockerfile.",
                line.number,
            )
    elif not is_legacy_requirement(text):
        yield rules.BAD_REQUIREMENT.broken_by(
            REQUIREMENTS,
            f"{_shortened(text)!r} is not a requirement",
            _requirement_remedy(text),
            line.number,
        )


def _allows(requirement: "Requirement", version: AirflowVersion) -> bool:
    patches = range(50) if version.patch is None else (version.patch,)
    numbers = (f"{version.major}.{version.minor}.{patch}" for patch in patches)
    return any(map(requirement.specifier.contains, numbers))


def _check_path(context: LintContext, line: Line, path: str) -> Iterator[Finding]:
    # An absolute path may be in the base image.
    if not context.installs_first or _URL.match(path) or path.startswith(("/", "x/")):
        return
    yield rules.REQUIRED_FILE_MISSING.broken_by(
        REQUIREMENTS,
        f"{path} is not in the image yet when requirements.txt is installed",
        "Write its lines into requirements.txt."
        if re.match(r"-r|--req", line.text)
        else "Install it in the Dockerfile with RUN, or from a package index.",
        line.number,
    )


def _requirement_remedy(text: str) -> str:
    if match := re.match(r"^pip3?\s+install\s+(.+)$", text):
        return f"Leave out `pip install`: {_shortened(match[1])}"
    if match := re.match(r"^([\w.\[\],-]+)\s*=\s*[\"']?[\^~]?([\w.*]+)[\"']?$", text):
        return f"Versions are pinned with two equals signs: {match[1]}=={match[2]}"
    return "Write one requirement per line, for example pandas==2.2.3."


def _shortened(text: str) -> str:
    text = hidden(text)
    return text if len(text) <= 60 else f"{text[:57]}..."
