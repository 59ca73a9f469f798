"""Every rule, by code. The first digit says what it is about:

1 the project as a whole, 2 the Dockerfile and what the build runs, 3 requirements and packages,
4 secrets and local metadata that would get into the image, 5 DAGs and plugins, 6 files and links.
"""

from typing import Final

from astro_pulumi.project.findings import Rule, Severity

_CODES: dict[str, Rule] = {}


def _rule(severity: Severity, code: str, title: str) -> Rule:
    if code in _CODES:
        raise ValueError(f"two rules have the code {code}")
    return _CODES.setdefault(code, Rule(code, severity, title))


def _error(code: str, title: str) -> Rule:
    return _rule(Severity.ERROR, code, title)


def _warning(code: str, title: str) -> Rule:
    return _rule(Severity.WARNING, code, title)


NO_DIRECTORY: Final = _error("AP101", "the project's directory does not exist")
NOT_A_PROJECT: Final = _error("AP102", "the directory is not an Astro project")
NO_DOCKERFILE: Final = _error("AP103", "there is no Dockerfile")
NO_REQUIREMENTS: Final = _error("AP104", "requirements.txt is missing")
NO_PACKAGES: Final = _error("AP105", "packages.txt is missing")
NEEDED_FILE_IGNORED: Final = _error("AP106", "an ignore file keeps out what the build needs")
BAD_IGNORE_PATTERN: Final = _error("AP107", "an ignore pattern that Docker does not understand")
UNREADABLE: Final = _error("AP108", "a file or directory that cannot be read")
BULK_NOT_IGNORED: Final = _warning("AP109", "a virtual environment or the like goes into the image")
LOCAL_NOT_IGNORED: Final = _warning("AP110", "a local file that `.dockerignore` does not name")

EMPTY_DOCKERFILE: Final = _error("AP201", "the Dockerfile is empty")
NO_FROM: Final = _error("AP202", "the Dockerfile has no FROM, or does not begin with it")
BAD_FROM: Final = _error("AP203", "a FROM that cannot be read")
FROM_WITHOUT_VALUE: Final = _error("AP204", "FROM uses an ARG that has no value")
UNPINNED: Final = _error("AP205", "the base image has no tag, or the tag `latest`")
UNSUPPORTED_AIRFLOW: Final = _error("AP206", "the base image's Airflow cannot be deployed")
UNKNOWN_RUNTIME: Final = _warning("AP207", "the base image does not say which Airflow it carries")
UNKNOWN_INSTRUCTION: Final = _error("AP208", "an instruction that Docker does not know")
NOTHING_TO_COPY: Final = _error("AP209", "COPY or ADD of what is not in the build context")
ENTRYPOINT_SWALLOWS_SIGNALS: Final = _error("AP210", "an ENTRYPOINT through which no signal comes")
ENTRYPOINT_REPLACED: Final = _warning("AP211", "ENTRYPOINT replaces the base image's init")
CMD_WITHOUT_EFFECT: Final = _warning("AP212", "a CMD, which no pod uses")
ROOT_USER: Final = _warning("AP213", "the Dockerfile ends as root")
CRLF_IN_BUILD: Final = _error("AP214", "Windows line ends in a script that the build runs")
CRLF_IN_SCRIPT: Final = _warning("AP215", "Windows line ends in another script")

AIRFLOW_PINNED: Final = _error("AP301", "requirements.txt asks for a version of apache-airflow")
AIRFLOW_LISTED: Final = _warning("AP302", "requirements.txt lists apache-airflow")
BAD_REQUIREMENT: Final = _error("AP303", "a line of requirements.txt that pip cannot read")
OLD_REQUIREMENT: Final = _warning("AP304", "a version that only old pip understands")
REQUIRED_FILE_MISSING: Final = _error("AP305", "requirements.txt names a file that is not there")
CONTRADICTING_PINS: Final = _error("AP306", "two versions of one package are asked for")
WRONG_ENCODING: Final = _warning("AP307", "requirements.txt is not UTF-8")
BAD_PACKAGE_NAME: Final = _error("AP308", "packages.txt has what is not a Debian package name")

PRIVATE_KEY: Final = _error("AP401", "a private key would be in the image")
SERVICE_CREDENTIAL: Final = _error("AP402", "a service's access key or token would be in the image")
PASSWORD_IN_DOCKERFILE: Final = _error("AP403", "the Dockerfile has a password or key in it")
DEFAULT_PASSWORD: Final = _warning("AP404", "the Dockerfile has a default password in it")
LOCAL_METADATA: Final = _error("AP405", "the local Airflow's metadata would be in the image")
DOTENV: Final = _warning("AP406", "a file of environment variables would be in the image")
GENERATED_SECRET: Final = _error("AP407", "a generated secret or Fernet key would be in the image")
PASSWORD_LITERAL: Final = _warning("AP408", "code or configuration seems to have a password in it")
PASSWORD_IN_REQUIREMENTS: Final = _error("AP409", "requirements.txt has a password in it")
CREDENTIALS_FILE: Final = _error("AP410", "a tool's credentials would be in the image")
KEY_STORE: Final = _warning("AP411", "a key store would be in the image")

NO_DAGS: Final = _error("AP501", "there is no DAG")
SYNTAX_ERROR: Final = _error("AP502", "a DAG file or plugin is not valid Python")
MAYBE_NEWER_SYNTAX: Final = _warning("AP503", "syntax that this Python does not know")
SYNTAX_ERROR_ELSEWHERE: Final = _warning("AP504", "another Python file is not valid Python")
DUPLICATE_DAG_ID: Final = _error("AP505", "two files define the same DAG")
DAG_ID_TWICE_IN_FILE: Final = _warning("AP506", "a file defines the same DAG twice")
DAG_NEVER_CALLED: Final = _warning("AP507", "a function with @dag is never called")
BAD_DAG_ID: Final = _error("AP508", "a dag_id that Airflow refuses")

LINK_LEAVES_PROJECT: Final = _error("AP601", "a symbolic link leaves the project")
LINK_TO_NOTHING: Final = _error("AP602", "a symbolic link leads to what is not in the image")
NAME_NOT_UTF8: Final = _error("AP603", "a name that is not valid UTF-8")
BIG_FILE: Final = _warning("AP604", "a file of more than 50 MB")
BIG_PROJECT: Final = _warning("AP605", "more than 1 GB in all")
SPECIAL_FILE: Final = _warning("AP606", "a socket, pipe or device")
SAME_NAME_ELSEWHERE: Final = _warning("AP607", "names that are one on some machines")

RULES: Final = tuple(_CODES[code] for code in sorted(_CODES))
