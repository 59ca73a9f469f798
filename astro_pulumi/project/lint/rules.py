"""All rules by code.

The first digit of a code is the topic: 1 the whole project, 2 the Dockerfile, 3 requirements and packages,
4 secrets, 5 DAGs and plugins, 6 files and links. A rule with possible false alarms only warns.
"""

from functools import partial
from typing import Final

from astro_pulumi.project.lint.findings import Rule, Severity

_CODES: dict[str, Rule] = {}


def _rule(severity: Severity, code: str, title: str) -> Rule:
    if code in _CODES:
        raise ValueError(f"two rules have the code {code}")
    return _CODES.setdefault(code, Rule(code, severity, title))


_error = partial(_rule, Severity.ERROR)
_warning = partial(_rule, Severity.WARNING)

NO_DIRECTORY: Final = _error("AP101", "the project's directory does not exist")
NOT_A_PROJECT: Final = _error("AP102", "the directory is not an Astro project")
NO_DOCKERFILE: Final = _error("AP103", "there is no Dockerfile")
NO_REQUIREMENTS: Final = _error("AP104", "requirements.txt is missing")
NO_PACKAGES: Final = _error("AP105", "packages.txt is missing")
NEEDED_FILE_IGNORED: Final = _error(
    "AP106", "an ignore pattern excludes a file that the build needs"
)
BAD_IGNORE_PATTERN: Final = _error("AP107", "an ignore pattern that Docker does not accept")
UNREADABLE: Final = _error("AP108", "a file or directory that cannot be read")

NO_FROM: Final = _error("AP202", "the Dockerfile does not begin with FROM")
BAD_FROM: Final = _error("AP203", "a FROM that Docker does not accept")
UNSUPPORTED_AIRFLOW: Final = _error("AP206", "the Airflow of the base image is not supported")
UNKNOWN_AIRFLOW: Final = _warning("AP207", "the base image does not tell its Airflow version")
UNKNOWN_INSTRUCTION: Final = _error("AP208", "an instruction that Docker does not know")
NOTHING_TO_COPY: Final = _error("AP209", "COPY or ADD of a file that is not in the build context")

OTHER_AIRFLOW: Final = _error("AP301", "requirements.txt requires another Airflow than the image's")
BAD_REQUIREMENT: Final = _error("AP303", "a line of requirements.txt that pip does not accept")
REQUIRED_FILE_MISSING: Final = _error("AP305", "requirements.txt names a file that is copied later")
BAD_PACKAGE_NAME: Final = _error("AP308", "packages.txt has a name that no Debian package has")

PRIVATE_KEY: Final = _error("AP401", "a private key")
SERVICE_CREDENTIAL: Final = _error("AP402", "an access key or token of a known service")
PASSWORD_IN_DOCKERFILE: Final = _error("AP403", "a password or key in the Dockerfile")
PASSWORD_LITERAL: Final = _warning("AP408", "a value that looks like a password or key")
PASSWORD_IN_REQUIREMENTS: Final = _error("AP409", "a password in requirements.txt")

NO_DAGS: Final = _error("AP501", "there is no DAG")
SYNTAX_ERROR: Final = _error("AP502", "a DAG file or plugin with a syntax error")
SYNTAX_ERROR_ELSEWHERE: Final = _warning("AP504", "another Python file with a syntax error")

DEAD_LINK: Final = _warning("AP601", "a symbolic link to a file that is not in the image")

RULES: Final = tuple(_CODES[code] for code in sorted(_CODES))
