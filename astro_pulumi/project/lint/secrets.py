"""Rules on secrets in the image.

A finding never shows the secret. In a file, each line and each value is reported once. Private keys, formats
of a single service, and passwords in Dockerfile and requirements.txt are errors. To allow a false alarm,
write the comment `astro-pulumi: allow AP408` on the line or on the line above.
"""

import math
import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote

from astro_pulumi.project.dockerfile import parse_dockerfile
from astro_pulumi.project.image_files import DOCKERFILE, ProjectFile, decode
from astro_pulumi.project.lint import rules
from astro_pulumi.project.lint.findings import Finding, Rule

PRIVATE_KEY = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:\\+[rn]|[\s\"'+,()]|(?:Proc-Type|DEK-Info|Version|Comment): [^\n]*)*[A-Za-z0-9+/]{32}"
)
_MARKERS: Final = (  # every credential contains one of them, and they are fast to find
    *(b"AKIA", b"ASIA", b"AccountKey=", b"ghp_", b"ghs_", b"github_pat_", b"glpat-"),
    *(b"xox", b"hooks.slack", b"k_live_", b"dapi", b"sk-", b"SG.", b"pypi-", b"hf_", b"pul-"),
)
# Each format belongs to a single service.
_CREDENTIALS: Final = {
    what: re.compile(pattern)
    for what, pattern in (
        ("an AWS access key", rb"(?<![A-Z0-9])A[KS]IA[A-Z2-7]{16}(?![A-Z0-9])"),
        ("an Azure storage key", rb"AccountKey=([A-Za-z0-9+/]{86}==)"),
        (
            "a GitHub token",
            rb"(?<![A-Za-z0-9])(?:gh[ps]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})",
        ),
        ("a GitLab token", rb"glpat-[A-Za-z0-9_-]{20}"),
        ("a Slack token", rb"(?<![A-Za-z0-9])xox[abpsr]-[0-9A-Za-z-]{24}"),
        (
            "a Slack webhook",
            rb"hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20}",
        ),
        ("a Stripe key", rb"(?<![A-Za-z0-9])[sr]k_live_[0-9A-Za-z]{20}"),
        ("a Databricks token", rb"(?<![A-Za-z0-9])dapi[0-9a-f]{32}(?![0-9a-f])"),
        (
            "an API key of OpenAI or Anthropic",
            rb"(?<![A-Za-z0-9_-])sk-(?:(?:proj|svcacct|admin|ant-api03)-[A-Za-z0-9_-]{40}"
            rb"|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})",
        ),
        ("a SendGrid key", rb"(?<![A-Za-z0-9])SG\.[\w-]{22}\.[\w-]{43}"),
        ("a PyPI token", rb"pypi-AgEIcHlwaS5vcmc[\w-]{50}"),
        ("a Hugging Face token", rb"(?<!\w)hf_[A-Za-z]{34}(?![A-Za-z0-9])"),
        ("a Pulumi token", rb"(?<![A-Za-z0-9-])pul-[a-f0-9]{40}"),
    )
}

URL_WITH_PASSWORD = re.compile(
    r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}://(?P<user>[^\s/:@\"'`<>${}()]*):(?P<password>[^\s/@\"'`<>${}()]+)@"
    r"(?P<host>[^\s/:\"'`?]*)"
)
SENSITIVE_NAME: Final = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api_?key|access_?key|private_?key"
    r"|secret_?key|fernet_?key|encryption_?key|account_?key|auth_?key)"
)
# The last word of a name decides: the value of `PASSWORD_FILE` is not a password.
_IS_SENSITIVE_NAME = re.compile(
    rf"(?:^|[_.-]|(?-i:[a-z](?=[A-Z]))){SENSITIVE_NAME}$", re.IGNORECASE
)
# Names of secrets in a secrets backend: AIRFLOW__CORE__FERNET_KEY_SECRET.
_NAMES_A_SECRET = re.compile(r"(?:_CONN|_KEY|_URL|_BACKEND|_PASSWORD)_SECRET$")
_FAKE_NAME = re.compile(r"(?:^|_)(?:mock|fake|dummy|test|sample|example)s?_", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"example|sample|dummy|placeholder|change.?me|change.?this|change.?in|replace|your|insert|todo|fixme"
    r"|redacted|(?<![a-z])(?:fake|mock|test|demo|stub|foo|bar|local|dev|not)(?![a-z])"
    r"|x{4}|\*{3}|\.{3}|0{6}|<.*>|\[.*\]|\{.*\}|^\$|%\(|^env:|^vault:|^secretsmanager:|^arn:",
    re.IGNORECASE,
)
# Default passwords of local services, and public samples: Fernet keys in templates of the Astro CLI,
# docker-airflow, Bitnami and cryptography, the key of the Azurite emulator, secrets in Airflow's templates.
_KNOWN: Final = frozenset(
    re.findall(
        r"\S+",
        """
        123 1234 12345 123456 12345678 admin admin123 airflow astro default dev guest local localhost minio
        minio123 minioadmin minio_password mypassword mysecretpassword mysql none null pass passwd password
        password123 postgres pwd redis root secret test test123 token user temporary_key airflow_jwt_secret
        cryptography_not_found_storing_passwords_in_plain_text
        d6Vefz3G9U_ynXB3cr7y_Ak35tAHkEGAVxuz_B-jzWw= 46BKJoQYlPPOexq0OhDZnIlNepKFf87WFwLbfzqDDho=
        81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs= UKMzEm3yIuFYEq1y3-2FxPNWSVwRASpahmQ9kQfEr8E=
        ZmDfcTF7_60GrrY167zsiPd67pEvs0aGOv2oasOM1Pg=
        Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==
        """.lower(),
    )
)
_LOCAL_HOST = re.compile(
    r"^(?:|localhost|127\.\d+\.\d+\.\d+|host\.docker\.internal|[a-z0-9_-]+)$"  # a service of Compose
)
_PLAIN = re.compile(
    r"(?i:true|false|yes|no|on|off|none|null|enabled|disabled|auto)|-?\d{1,3}(?:\.\d+)?"
    r"|\.{0,2}/.*|\$.*|[\w-]+(?:\.[A-Za-z_]\w*)+|projects/.*|[\w+.-]+://[^:@]*"
    r"|[A-Za-z]+(?:[_-][A-Za-z]+)+(?:[_-]?\d{1,6})?"  # words: my-database-password-1
    r"|[a-z0-9-]+_[0-9a-f]{6}"  # the Astro CLI's name of a local project, which it uses as a key
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


def credentials(content: bytes) -> Iterator[tuple[str, int, str]]:
    """Yield description, position and value of each credential of a known service."""
    if not any(marker in content for marker in _MARKERS):
        return
    for what, pattern in _CREDENTIALS.items():
        for match in pattern.finditer(content):
            value = match[match.lastindex or 0].decode()
            if not is_made_up(value):
                yield what, match.start(), value


def is_secret_name(name: str) -> bool:
    """Return whether the value of `name` is a secret: PASSWORD, apiKey, snowflake_token."""
    return (
        bool(_IS_SENSITIVE_NAME.search(name))
        and not _NAMES_A_SECRET.search(name)
        and not _FAKE_NAME.search(name)
    )


def looks_like_password(value: str) -> bool:
    """Return whether `value` looks like a password or key, not like a name, path, template or prose."""
    if (
        is_made_up(value)
        or _PLAIN.fullmatch(value)
        or is_throwaway(value, "", None)
        or " " in value
    ):
        return False
    kinds = sum(
        bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]", r"[^A-Za-z0-9_.:/-]")
    )
    return (len(value) >= 8 and kinds >= 3) or looks_generated(value)


def looks_generated(value: str) -> bool:
    """Return whether `value` is as random as a generated secret."""
    if (
        len(value) < 16
        or is_made_up(value)
        or _PLAIN.fullmatch(value)
        or re.search(r"\s|://", value)
    ):
        return False
    has_both = bool(re.search("[0-9]", value)) and bool(re.search("[A-Za-z]", value))
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return has_both and entropy >= 3.3


def is_made_up(value: str) -> bool:
    """Return whether `value` is a placeholder, a reference, a default or a public sample."""
    return len(set(value)) < 3 or value.lower() in _KNOWN or bool(_PLACEHOLDER.search(value))


def is_throwaway(password: str, user: str, host: str | None) -> bool:
    """Return whether `password` belongs to a local database for tests."""
    password = unquote(password)
    if (user and password.lower() == user.lower()) or is_made_up(password):
        return True
    return host is not None and bool(_LOCAL_HOST.match(host.lower())) and len(password) < 16
