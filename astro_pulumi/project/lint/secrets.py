"""Rules on secrets and local metadata that would get into the image.

A finding never has the secret in it. Errors are only for what can hardly be anything else; what merely
looks like a password is a warning. The way out of a false alarm is `.dockerignore`, or the comment
`astro-pulumi: allow AP408` on the line or the one above.
"""

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from astro_pulumi.project.files import DOCKERFILE, REQUIREMENTS, ProjectFile
from astro_pulumi.project.findings import Finding
from astro_pulumi.project.lint import rules
from astro_pulumi.project.lint.secret_values import (
    CREDENTIALS,
    FERNET_KEY,
    PRIVATE_KEY,
    SENSITIVE_NAME,
    URL_WITH_PASSWORD,
    is_made_up,
    is_plain,
    is_secret_name,
    is_throwaway,
    looks_generated,
    looks_like_password,
)
from astro_pulumi.project.lint.subject import Subject

_ELSEWHERE: Final = (
    "Take it out of the project and give it to the Deployment: secret_environment, connections or "
    "variables. If it was ever pushed, make a new one."
)
_OR_IGNORE: Final = (
    "Name the file in .dockerignore, and give what Airflow needs of it to the Deployment."
)

# Larger files are data.
_LARGEST_READ_CLOSELY: Final = 1 << 18
_LONGEST_LINE: Final = 2000  # nobody writes longer ones
_CODE_AND_CONFIGURATION: Final = (
    ".cfg",
    ".conf",
    ".ini",
    ".json",
    ".properties",
    ".py",
    ".sh",
    ".toml",
    ".yaml",
    ".yml",
)


_LITERAL = re.compile(
    rf"(?P<name>[A-Za-z0-9_.-]{{0,40}}{SENSITIVE_NAME})(?P<close>[\"']?)[ \t]*[:=][ \t]*"
    r"(?P<quote>[\"'])(?P<value>[^\"'\n]{8,200})(?P=quote)",
    re.IGNORECASE,
)
_YAML_LITERAL = re.compile(
    rf"^[ \t-]*[\"']?(?P<name>[A-Za-z0-9_.-]{{0,40}}{SENSITIVE_NAME})[\"']?[ \t]*:[ \t]+"
    r"(?P<value>[^\s#\"'{\[&*|>$!%@`][^\s#]{7,200})[ \t]*(?:#.*)?$",
    re.IGNORECASE,
)
_DOTENV_LINE = re.compile(
    r"^(?:export\s+)?(?P<name>\w+)=(?P<quote>[\"']?)(?P<value>.*?)(?P=quote)\s*$"
)
_SECRET_WORDS: Final = ("pass", "pwd", "secret", "token", "key", "credential", "://")

_SECRET_BYTES: Final = tuple(word.encode() for word in _SECRET_WORDS)

_TEMPLATE_NAME = re.compile(
    r"example|sample|template|dist$|default$|\.j2$|\.tmpl$|\.tpl$", re.IGNORECASE
)
_DOTENV_NAME = re.compile(
    r"^(?:.*\.env|\.env[.-].+|.*\.env\..+|env\.(?:prod|dev|stag|local).*)$", re.IGNORECASE
)
_LOCAL_METADATA_NAME = re.compile(
    r"^(?:airflow_settings(?:[._-][\w-]+)?\.ya?ml|airflow\.db(?:-\w+)?|standalone_admin_password\.txt"
    r"|simple_auth_manager_passwords\.json(?:\.generated)?)$"
)
_CREDENTIALS_PATH = re.compile(
    r"(?:^|/)(?:\.netrc|_netrc|\.pypirc|\.git-credentials|\.pgpass|\.aws/credentials"
    r"|\.docker/config\.json|\.kube/config|\.config/gcloud/[^/]*credentials[^/]*"
    r"|application_default_credentials\.json|\.snowflake/credentials)$"
)
_KEY_STORE_NAME = re.compile(r"\.(?:p12|pfx|jks|keystore|kdbx|ppk)$", re.IGNORECASE)


def check_secrets(subject: Subject) -> Iterator[Finding]:
    """Rules on names of files, and on what the Dockerfile sets."""
    for file in subject.listing.files:
        yield from _by_name(file)
    yield from _dockerfile(subject)


def check_content(file: ProjectFile, content: bytes) -> Iterator[Finding]:
    """Rules on what is in a file."""
    if b"\0" in content[:1024]:
        return
    if b"PRIVATE KEY-----" in content and (match := PRIVATE_KEY.search(content)):
        yield rules.PRIVATE_KEY.broken_by(
            file.path,
            "there is a private key in it, which everybody would have who gets the image",
            _ELSEWHERE,
            _line(content, match.start()),
        )
    for what, markers, pattern in CREDENTIALS:
        for marker in markers:
            if marker in content:
                yield from _credentials(file.path, content, what, pattern)
                break
    if b"ernet" in content or b"ERNET" in content:
        for match in FERNET_KEY.finditer(content):
            yield rules.GENERATED_SECRET.broken_by(
                file.path,
                "there is a Fernet key in it, with which stored passwords can be read",
                "Take it out: each Deployment has a Fernet key of its own.",
                _line(content, match.start()),
            )
    if len(content) <= _LARGEST_READ_CLOSELY:
        yield from _close_reading(file.path, content)


def _credentials(
    path: str, content: bytes, what: str, pattern: re.Pattern[bytes]
) -> Iterator[Finding]:
    for match in pattern.finditer(content):
        if not is_made_up(match[match.lastindex or 0].decode()):
            yield rules.SERVICE_CREDENTIAL.broken_by(
                path,
                f"there is {what} in it, which everybody would have who gets the image",
                _ELSEWHERE,
                _line(content, match.start()),
            )


def _close_reading(path: str, content: bytes) -> Iterator[Finding]:
    name = posixpath.basename(path)
    if _is_dotenv(name):
        yield from _dotenv(path, content.decode("utf-8", "replace"))
    elif name == DOCKERFILE:
        return
    elif path == REQUIREMENTS or name.startswith("requirements"):
        yield from _requirements(path, content.decode("utf-8", "replace"))
    elif name.endswith(_CODE_AND_CONFIGURATION):
        lower = content.lower()
        if any(word in lower for word in _SECRET_BYTES):
            yield from _literals(path, content.decode("utf-8", "replace"))


def _by_name(file: ProjectFile) -> Iterator[Finding]:
    name = posixpath.basename(file.path)
    if _LOCAL_METADATA_NAME.match(name) and not _TEMPLATE_NAME.search(name):
        yield rules.LOCAL_METADATA.broken_by(
            file.path,
            "it belongs to the local Airflow, with its Connections, users or task history",
            _OR_IGNORE,
        )
    elif _CREDENTIALS_PATH.search(file.path):
        yield rules.CREDENTIALS_FILE.broken_by(
            file.path,
            "a tool keeps its credentials in it, which everybody would have who gets the image",
            _OR_IGNORE,
        )
    elif _KEY_STORE_NAME.search(name):
        yield rules.KEY_STORE.broken_by(
            file.path,
            "it is a key store: everybody who gets the image would have the keys in it",
            _OR_IGNORE,
        )
    elif _is_dotenv(name) and file.size:
        yield rules.DOTENV.broken_by(
            file.path,
            "it sets environment variables, which Airflow does not read from a file",
            "Name it in .dockerignore, and give what Airflow needs of it to the Deployment: "
            "environment and secret_environment.",
        )


def _is_dotenv(name: str) -> bool:
    return bool(_DOTENV_NAME.match(name)) and not _TEMPLATE_NAME.search(name)


def _dotenv(path: str, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), 1):
        match = _DOTENV_LINE.match(line.strip())
        if match and is_secret_name(match["name"]) and looks_generated(match["value"]):
            yield rules.GENERATED_SECRET.broken_by(
                path,
                f"the value of {match['name']} looks like a real secret",
                _OR_IGNORE,
                number,
            )


def _requirements(path: str, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), 1):
        for match in URL_WITH_PASSWORD.finditer(line):
            if not is_made_up(match["password"]):
                yield rules.PASSWORD_IN_REQUIREMENTS.broken_by(
                    path,
                    f"the address of {match['host'] or 'a package index'} has a password in it",
                    "Use a secret of the build: RUN --mount=type=secret,... pip install ... in the "
                    "Dockerfile.",
                    number,
                )


def _literals(path: str, text: str) -> Iterator[Finding]:
    patterns = [_LITERAL, _YAML_LITERAL] if path.endswith((".yaml", ".yml")) else [_LITERAL]
    for number, line in enumerate(text.splitlines(), 1):
        lower = line.lower()
        if len(line) <= _LONGEST_LINE and any(word in lower for word in _SECRET_WORDS):
            what = _password_in(line, patterns)
            if what:
                yield rules.PASSWORD_LITERAL.broken_by(
                    path,
                    f"{what} seems to have a password or key in it",
                    "Read it from a Connection, a Variable or the environment. If it is none, say so: "
                    "# astro-pulumi: allow AP408",
                    number,
                )


def _password_in(line: str, patterns: list[re.Pattern[str]]) -> str | None:
    """What of a line has a password in it."""
    for pattern in patterns:
        for match in pattern.finditer(line):
            if is_secret_name(match["name"]) and looks_like_password(match["value"]):
                return match["name"]
    for match in URL_WITH_PASSWORD.finditer(line):
        if not is_throwaway(match["password"], match["user"], match["host"]):
            return f"the address of {match['host'] or 'a service'}"
    return None


def _dockerfile(subject: Subject) -> Iterator[Finding]:
    for instruction in subject.dockerfile.instructions:
        named: set[int] = set()
        if instruction.keyword in ("ENV", "ARG"):
            for name, value in instruction.assignments:
                verdict = _verdict(name, value or "")
                if verdict is None:
                    continue
                line = instruction.line_with(name)
                named.add(line)
                yield _password_in_dockerfile(line, f"{instruction.keyword} {name}", verdict)
        for number, text in instruction.lines:
            if number in named:
                continue
            for match in URL_WITH_PASSWORD.finditer(text):
                if not is_made_up(match["password"]):
                    throwaway = is_throwaway(match["password"], match["user"], match["host"])
                    what = f"the address of {match['host'] or 'a service'}"
                    yield _password_in_dockerfile(number, what, throwaway)


def _password_in_dockerfile(line: int, what: str, throwaway: bool) -> Finding:
    if throwaway:
        return rules.DEFAULT_PASSWORD.broken_by(
            DOCKERFILE,
            f"{what} has a default password in it, as for a local database",
            "Set it where it is used: .env for `astro dev start`, secret_environment or connections "
            "for the Deployment.",
            line,
        )
    return rules.PASSWORD_IN_DOCKERFILE.broken_by(
        DOCKERFILE,
        f"{what} has a password or key in it, which everybody can read who gets the image",
        "Give it to the Deployment: secret_environment or connections. What only the build needs is "
        "passed with RUN --mount=type=secret.",
        line,
    )


def _verdict(name: str, value: str) -> bool | None:
    """Whether a password that a Dockerfile sets is a throwaway one; None when it sets none."""
    if match := URL_WITH_PASSWORD.search(value):
        if is_made_up(match["password"]):
            return None
        return is_throwaway(match["password"], match["user"], match["host"])
    if not is_secret_name(name) or is_made_up(value) or is_plain(value):
        return None
    return is_throwaway(value, "", None)


def _line(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1
