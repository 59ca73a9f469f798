"""What secrets look like: credentials of known form, and values that people use as passwords.

Pure functions on names and values; which files they are asked about is in `secrets`.
"""

import math
import re
from collections import Counter
from typing import Final, NamedTuple
from urllib.parse import unquote


class Credential(NamedTuple):
    """A form of credentials that nothing else has."""

    what: str
    markers: tuple[bytes, ...]  # one of them is in every match: asking for that is fast
    pattern: re.Pattern[bytes]


def _credential(what: str, pattern: bytes, *markers: bytes) -> Credential:
    return Credential(what, markers, re.compile(pattern))


PRIVATE_KEY = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:\\+[rn]|[\s\"'+,()]|(?:Proc-Type|DEK-Info|Version|Comment): [^\n]*)*[A-Za-z0-9+/]{32}"
)
FERNET_KEY = re.compile(rb"(?i:fernet_?key)[\"']?\s*[:=]\s*[\"']?([A-Za-z0-9_-]{43}=)")
CREDENTIALS: Final = (
    _credential(
        "an AWS access key", rb"(?<![A-Z0-9])A[KS]IA[A-Z2-7]{16}(?![A-Z0-9])", b"AKIA", b"ASIA"
    ),
    _credential(
        "an AWS secret access key",
        rb"(?i:aws_?secret_?access_?key)[\"']?\s*[:=]\s*[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        b"secret_access",
        b"SECRET_ACCESS",
        b"SecretAccess",
    ),
    _credential("an Azure storage key", rb"AccountKey=([A-Za-z0-9+/]{86}==)", b"AccountKey="),
    _credential(
        "a GitHub token",
        rb"(?<![A-Za-z0-9])(?:gh[ps]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})",
        b"ghp_",
        b"ghs_",
        b"github_pat_",
    ),
    _credential("a GitLab token", rb"glpat-[A-Za-z0-9_-]{20}", b"glpat-"),
    _credential("a Slack token", rb"(?<![A-Za-z0-9])xox[abpsr]-[0-9A-Za-z-]{24}", b"xox"),
    _credential(
        "a Slack webhook",
        rb"hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20}",
        b"hooks.slack.com",
    ),
    _credential("a Stripe key", rb"(?<![A-Za-z0-9])[sr]k_live_[0-9A-Za-z]{20}", b"k_live_"),
    _credential("a Databricks token", rb"(?<![A-Za-z0-9])dapi[0-9a-f]{32}(?![0-9a-f])", b"dapi"),
    _credential(
        "an API key of OpenAI or Anthropic",
        rb"(?<![A-Za-z0-9_-])sk-(?:(?:proj|svcacct|admin|ant-api03)-[A-Za-z0-9_-]{40}"
        rb"|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})",
        b"sk-proj-",
        b"sk-svcacct-",
        b"sk-ant-",
        b"T3BlbkFJ",
    ),
    _credential("a SendGrid key", rb"(?<![A-Za-z0-9])SG\.[\w-]{22}\.[\w-]{43}", b"SG."),
    _credential("a PyPI token", rb"pypi-AgEIcHlwaS5vcmc[\w-]{50}", b"pypi-AgEI"),
    _credential("a Hugging Face token", rb"(?<!\w)hf_[A-Za-z]{34}(?![A-Za-z0-9])", b"hf_"),
    _credential("a Pulumi token", rb"(?<![A-Za-z0-9-])pul-[a-f0-9]{40}", b"pul-"),
)

URL_WITH_PASSWORD = re.compile(
    r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}://(?P<user>[^\s/:@\"'`<>${}()]*):(?P<password>[^\s/@\"'`<>${}()]+)@"
    r"(?P<host>[^\s/:\"'`?]*)"
)
SENSITIVE_NAME: Final = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api_?key|access_?key|private_?key"
    r"|secret_?key|fernet_?key|encryption_?key|account_?key|auth_?key)"
)
# A name whose last word says that its value is a secret; `PASSWORD_FILE` and `SENSITIVE_NAME` do not.
_IS_SENSITIVE_NAME = re.compile(
    rf"(?:^|[_.-]|(?-i:[a-z](?=[A-Z]))){SENSITIVE_NAME}$", re.IGNORECASE
)
# These name a secret in a secrets backend, they are none: AIRFLOW__CORE_FERNET_KEY_SECRET.
_NAMES_A_SECRET = re.compile(r"(?:_CONN|_KEY|_URL|_BACKEND|_PASSWORD)_SECRET$")
_PLACEHOLDER = re.compile(
    r"example|sample|dummy|placeholder|change.?me|change.?this|replace|your|insert|todo|fixme|redacted"
    r"|x{4}|\*{3}|\.{3}|0{6}|<.*>|\[.*\]|\{.*\}|^\$|%\(|^env:|^vault:|^secretsmanager:|^arn:",
    re.IGNORECASE,
)
_THROWAWAY: Final = frozenset(
    re.findall(
        r"\S+",
        "123 1234 12345 123456 12345678 admin admin123 airflow astro default dev guest local localhost "
        "minio minio123 minioadmin minio_password mypassword mysecretpassword mysql none null pass passwd "
        "password password123 postgres pwd redis root secret test test123 token user",
    )
)
_LOCAL_HOST = re.compile(
    r"^(?:|localhost|127\.\d+\.\d+\.\d+|host\.docker\.internal|postgres|redis|db)$"
)


def is_secret_name(name: str) -> bool:
    """Whether the value of `name` is a secret: PASSWORD, apiKey, snowflake_token."""
    return bool(_IS_SENSITIVE_NAME.search(name)) and not _NAMES_A_SECRET.search(name)


def looks_like_password(value: str) -> bool:
    """Whether somebody may have made up `value` as a password. No names, paths, templates, prose."""
    if is_made_up(value) or is_plain(value) or is_throwaway(value, "", None) or " " in value:
        return False
    kinds = sum(
        bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]", r"[^A-Za-z0-9_.:/-]")
    )
    return (len(value) >= 8 and kinds >= 3) or looks_generated(value)


def looks_generated(value: str) -> bool:
    """Whether `value` is as random as a generated secret: no word, no name, no address."""
    if len(value) < 16 or is_made_up(value) or is_plain(value) or re.search(r"\s|://", value):
        return False
    has_both = bool(re.search("[0-9]", value)) and bool(re.search("[A-Za-z]", value))
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return has_both and entropy >= 3.3


def is_made_up(value: str) -> bool:
    """Whether `value` stands for a secret that comes from elsewhere, or for none."""
    return len(set(value)) < 3 or bool(_PLACEHOLDER.search(value))


def is_plain(value: str) -> bool:
    """Whether `value` is a switch, a number, a path, a name or a reference: anything but a secret."""
    return bool(
        re.fullmatch(
            r"(?i:true|false|yes|no|on|off|none|null|enabled|disabled|auto)|-?\d{1,3}(?:\.\d+)?"
            r"|\.{0,2}/.*|\$.*|[\w-]+(?:\.[A-Za-z_]\w*)+|projects/.*|[\w+.-]+://[^:@]*",
            value,
        )
    ) or bool(re.fullmatch(r"[a-z]+(?:[_-][a-z]+)+|[A-Z]+(?:_[A-Z]+)+", value))


def is_throwaway(password: str, user: str, host: str | None) -> bool:
    """Whether it is the password of a database that somebody starts for a test."""
    password = unquote(password)
    lower = password.lower()
    if lower in _THROWAWAY or (user and lower == user.lower()) or is_made_up(password):
        return True
    return host is not None and bool(_LOCAL_HOST.match(host.lower())) and len(password) < 16
