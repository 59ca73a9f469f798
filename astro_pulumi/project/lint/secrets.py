"""Rules on secrets in the image.

A finding never shows the secret. In a file, each line and each value is reported once. Private keys, formats
of a single service, and passwords in Dockerfile and requirements.txt are errors. To allow a false alarm,
write the comment `astro-pulumi: allow AP408` on the line or on the line above.
"""

import posixpath
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from astro_pulumi.project.dockerfile import parse_dockerfile
from astro_pulumi.project.files import DOCKERFILE, ProjectFile, decode
from astro_pulumi.project.findings import Finding, Rule
from astro_pulumi.project.lint import rules
from astro_pulumi.project.lint.secret_values import (
    PRIVATE_KEY,
    SENSITIVE_NAME,
    URL_WITH_PASSWORD,
    credentials,
    is_secret_name,
    is_throwaway,
    looks_generated,
    looks_like_password,
)

_REMEDIES: Final = {
    rules.PASSWORD_IN_DOCKERFILE: "Give it to the Deployment: secret_environment or connections. If only the "
    "installation of requirements.txt needs it: build_secrets.",
    rules.PASSWORD_IN_REQUIREMENTS: "Write a variable in its place, such as ${PYPI_PASSWORD}, and give its "
    "value to the Deployment: build_secrets.",
    rules.PASSWORD_LITERAL: "Read it from a Connection, a Variable or the environment. To allow it, add the "
    "comment # astro-pulumi: allow AP408",
}
_REMEDY: Final = (
    "Remove it from the project and give it to the Deployment: secret_environment, connections or "
    "variables. If it was ever pushed, replace it."
)

# Larger files and longer lines are data.
_LARGEST_READ_CLOSELY: Final = 1 << 18
_LONGEST_LINE: Final = 2000
_READ_CLOSELY = re.compile(
    r"\.(?:cfg|conf|ini|json|properties|py|sh|toml|ya?ml|env)$|^\.?env\b|\.env\.|^credentials$",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(
    r"example|sample|template|exemplo|ejemplo|dist$|default$|\.j2$|\.tmpl$|\.tpl$", re.IGNORECASE
)
_INSTALLED = re.compile(r"(?:^|/)(?:site-packages|node_modules|dbt_packages)/")
_TEST_OR_TEXT = re.compile(
    r"(?:^|/)(?:tests?|fixtures|docs|examples?)/|(?:^|/)(?:test_[^/]*|conftest)\.py$|\.(?:md|rst|txt)$"
)

_MAY_ASSIGN = re.compile(rf"{SENSITIVE_NAME}[\"']?[ \t]*[:=]", re.IGNORECASE)
_NAME: Final = rf"(?P<name>[A-Za-z0-9_.-]{{0,40}}{SENSITIVE_NAME})[\"']?[ \t]*"
_QUOTED = re.compile(
    rf"{_NAME}[:=][ \t]*(?P<quote>[\"'])(?P<value>[^\"'\n]{{8,200}})(?P=quote)", re.IGNORECASE
)
_YAML = re.compile(
    rf"^[ \t-]*[\"']?{_NAME}:[ \t]+(?P<value>[^\s#\"'{{\[&*|>$!%@`][^\s#]{{7,200}})[ \t]*(?:#.*)?$",
    re.IGNORECASE,
)
_UNQUOTED = re.compile(
    rf"^[ \t-]*(?:export\s+)?{_NAME}=[ \t]*(?P<value>[^\s\"'#]{{8,200}})[ \t]*$", re.IGNORECASE
)


class _Secret(NamedTuple):
    rule: Rule
    line: int
    value: str
    message: str


def check_secrets(file: ProjectFile, content: bytes) -> Iterator[Finding]:
    """Check one file, unless it is a template such as `*.example` or part of an installed package."""
    is_template = _TEMPLATE.search(posixpath.basename(file.path))
    if b"\0" in content[:1024] or is_template or _INSTALLED.search(file.path):
        return
    lines: set[int] = set()
    values: set[str] = set()
    for secret in _secrets(file.path, content):
        if secret.line not in lines and secret.value not in values:
            remedy = _REMEDIES.get(secret.rule, _REMEDY)
            yield secret.rule.broken_by(file.path, secret.message, remedy, secret.line)
        lines.add(secret.line)
        values.add(secret.value)


def _secrets(path: str, content: bytes) -> Iterator[_Secret]:
    """Yield the secrets of a file, those of the most reliable rules first."""
    name = posixpath.basename(path)
    is_test_or_text = bool(_TEST_OR_TEXT.search(path))
    if b"PRIVATE KEY-----" in content and not is_test_or_text:
        for match in PRIVATE_KEY.finditer(content):
            line = content.count(b"\n", 0, match.start()) + 1
            yield _Secret(rules.PRIVATE_KEY, line, str(match[0]), "this is a private key")
    for what, start, value in credentials(content):
        line = content.count(b"\n", 0, start) + 1
        yield _Secret(rules.SERVICE_CREDENTIAL, line, value, f"this is {what}")
    if len(content) > _LARGEST_READ_CLOSELY:
        return
    if path == DOCKERFILE:
        yield from _in_dockerfile(decode(content))
    elif name.startswith("requirements") and name.endswith(".txt"):
        for number, line_text in enumerate(decode(content).splitlines(), 1):
            for host, value in _in_addresses(line_text):
                message = f"the address of {host} has a password, which is in the image"
                yield _Secret(rules.PASSWORD_IN_REQUIREMENTS, number, value, message)
    elif _READ_CLOSELY.search(name) and not is_test_or_text:
        yield from _literals(name, decode(content))


def _literals(name: str, text: str) -> Iterator[_Secret]:
    patterns = [(_QUOTED, looks_like_password)]
    if name.endswith((".yaml", ".yml")):
        patterns.append((_YAML, looks_like_password))
    if not name.endswith((".py", ".json")):  # there an unquoted value is an expression
        patterns.append((_UNQUOTED, looks_generated))
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST_LINE:
            continue
        for pattern, is_secret in patterns if _MAY_ASSIGN.search(line) else ():
            for match in pattern.finditer(line):
                if is_secret_name(match["name"]) and is_secret(match["value"]):
                    message = f"the value of {match['name']} looks like a password or key"
                    yield _Secret(rules.PASSWORD_LITERAL, number, match["value"], message)
        for host, value in _in_addresses(line):
            message = f"the address of {host} seems to have a password"
            yield _Secret(rules.PASSWORD_LITERAL, number, value, message)


def _in_addresses(line: str) -> Iterator[tuple[str, str]]:
    """Yield host and password of each address with a password, except local databases."""
    for match in URL_WITH_PASSWORD.finditer(line) if "://" in line else ():
        if not is_throwaway(match["password"], match["user"], match["host"]):
            yield match["host"] or "a service", match["password"]


def _in_dockerfile(text: str) -> Iterator[_Secret]:
    rule, where = rules.PASSWORD_IN_DOCKERFILE, "which is in the image and its history"
    for instruction in parse_dockerfile(text).instructions:
        for name, value in instruction.assignments if instruction.keyword in ("ENV", "ARG") else ():
            if value and is_secret_name(name) and looks_like_password(value):
                line = instruction.line_with(name)
                message = f"{instruction.keyword} {name} has a password or key, {where}"
                yield _Secret(rule, line, value, message)
        for number, line_text in instruction.lines:
            for host, value in _in_addresses(line_text):
                message = f"the address of {host} has a password, {where}"
                yield _Secret(rule, number, value, message)
