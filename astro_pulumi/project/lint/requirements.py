"""Rules on `requirements.txt` and `packages.txt`, as pip, uv and apt read them."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from astro_pulumi.project import runtime
from astro_pulumi.project.addresses import hidden
from astro_pulumi.project.files import PACKAGES, REQUIREMENTS, Listing, content_of, decode
from astro_pulumi.project.findings import Finding
from astro_pulumi.project.lint import rules
from astro_pulumi.project.lint.subject import Subject

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
# What pip takes on a line of its own; `--hash` and the like stand after a requirement.
_OPTION = re.compile(
    r"^(?:-[irfec]\b|--(?:index-url|extra-index-url|no-index|find-links|requirement|constraint|editable"
    r"|pre|prefer-binary|no-binary|only-binary|require-hashes|trusted-host|use-feature|pypi-url"
    r"|no-build-isolation|process-dependency-links|config-settings?|global-option)\b)"
)
_INCLUDE = re.compile(r"^(?:-[rc]\s*|--(?:requirement|constraint)(?:\s+|=))(?P<path>\S+)")
_EDITABLE = re.compile(r"^(?:-e\s*|--editable(?:\s+|=))(?P<path>\S+)")
_TRAILING_OPTIONS = re.compile(r"\s--(?:hash|config-settings?|global-option|install-option)[ =].*$")
_URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")
_PATH = re.compile(r"^\.{0,2}/|[/\\]|\.(?:whl|zip|tar\.gz|tgz|tar\.bz2)(?:\[|#|$)")
_REQUIREMENT = re.compile(
    r"^(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?P<extras>\[[^\]]*\])?\s*"
    r"(?P<versions>[^;@]*?)\s*(?P<rest>[;@].*)?$"
)
# The everyday forms, which need no real parser: importing one costs as much as all else here.
_SIMPLE_VERSIONS = re.compile(
    r"^(?:(?:[=!]=\s*\d+(?:\.\d+)*(?:\.\*)?|(?:[=!~<>]=|[<>])\s*\d+(?:\.\d+)*(?:(?:a|b|rc|\.?post|\.?dev)\d+)?)"
    r"\s*(?:,\s*(?=\S)|$))*$"
)
_SIMPLE_EXTRAS = re.compile(r"^\[\s*[A-Za-z0-9._-]+(?:\s*,\s*[A-Za-z0-9._-]+)*\s*\]$")
# What pip before 24.1 took for a version: anything.
_ANY_VERSIONS = re.compile(r"^\(?(?:(?:===?|[!~<>]=|[<>])\s*[^\s,;()=<>!~]+\s*(?:,\s*|\)?$))+$")
_PIN = re.compile(r"^\s*===?\s*([^\s,*]+)\s*$")

_DEBIAN_PACKAGE = re.compile(r"^[a-z0-9][a-z0-9+.*?-]+(?::[a-z0-9-]+)?[+-]?(?:=[^\s=]+|/[\w.-]+)?$")
_LOCAL_DEBIAN_PACKAGE = re.compile(r"^(?:\.{0,2}/)\S+\.deb$")

_AIRFLOW: Final = "apache-airflow"
_AIRFLOW_PARTS: Final = ("apache-airflow-core", "apache-airflow-task-sdk")


class Line(NamedTuple):
    """A logical line: continued lines joined, the comment left out, blanks made one."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class _Pin:
    version: str
    place: str
    text: str


def check_requirements(subject: Subject) -> Iterator[Finding]:
    """All rules on `requirements.txt`, and on those that it includes."""
    if REQUIREMENTS in subject.listing.by_path:
        yield from _Requirements(subject).check(REQUIREMENTS)


def check_packages(subject: Subject) -> Iterator[Finding]:
    """All rules on `packages.txt`."""
    text = _read(subject.listing, PACKAGES)
    if text is None:
        return
    if text.encoding:
        yield rules.BAD_PACKAGE_NAME.broken_by(
            PACKAGES,
            f"it is {text.encoding}, of which apt understands nothing",
            "Save it as UTF-8.",
        )
        return
    for number, line in enumerate(text.text.splitlines(), 1):
        for match in re.finditer(r"\S+", line.partition("#")[0]):
            name = match[0]
            if _DEBIAN_PACKAGE.match(name) or _LOCAL_DEBIAN_PACKAGE.match(name):
                continue
            if name.startswith("-"):  # an option for apt-get
                continue
            yield rules.BAD_PACKAGE_NAME.broken_by(
                PACKAGES,
                f"{name!r} is not the name of a Debian package",
                _package_remedy(name),
                number,
                match.start() + 1,
            )


def _package_remedy(name: str) -> str:
    if re.search(r"[=~<>!]=|[<>]", name):
        return "Python packages belong into requirements.txt; Debian's are pinned as name=version."
    if re.fullmatch(r"[A-Za-z0-9][\w.+-]+", name):
        return (
            f"Names are lower-case, without underscores; perhaps {name.lower().replace('_', '-')}."
        )
    return "One name a line, as `apt-get install` takes it."


class _Requirements:
    """One run over a requirements file and those that it includes."""

    def __init__(self, subject: Subject) -> None:
        self.listing = subject.listing
        self.base = subject.base
        self.installs = subject.base and runtime.installs_project(subject.base)
        self.alone = subject.copies_nothing_before
        self.pins: dict[str, _Pin] = {}
        self.seen: set[str] = set()

    def check(self, file: str) -> Iterator[Finding]:
        self.seen.add(file)
        text = _read(self.listing, file)
        if text is None:
            return
        if text.encoding:
            yield rules.WRONG_ENCODING.broken_by(
                file,
                f"it is {text.encoding}, which not every installer reads",
                "Save it as UTF-8. In PowerShell: pip freeze | Out-File -Encoding utf8 requirements.txt",
            )
        for line in logical_lines(text.text):
            yield from self._line(file, line)

    def _line(self, file: str, line: Line) -> Iterator[Finding]:
        text = _VARIABLE.sub("x", line.text)
        if include := _INCLUDE.match(text) or _EDITABLE.match(text):
            path = include["path"]
            if not _URL.match(path):
                yield from self._file(file, line, path, includes=bool(_INCLUDE.match(text)))
        elif text.startswith("-"):
            if not _OPTION.match(text):
                yield self._bad(
                    file, line, "is not an option that pip takes here", "Remove the line."
                )
        elif _URL.match(text) and "@" not in text.split(":")[0]:
            return
        elif _PATH.search(text.split(";")[0].split("@")[0]):
            path = re.split(r"[\[#;\s]", text)[0]
            yield from self._file(file, line, path, includes=False)
        else:
            yield from self._requirement(file, line, _TRAILING_OPTIONS.sub("", text))

    def _file(self, file: str, line: Line, path: str, includes: bool) -> Iterator[Finding]:
        if path.startswith(("/", "x")) and _VARIABLE.search(line.text):
            return
        if path.startswith("/"):
            return  # in the image, where only the build knows
        if self.alone:
            yield rules.REQUIRED_FILE_MISSING.broken_by(
                file,
                f"{path} is not there when requirements.txt is installed: the project's other files are "
                "copied later",
                "Write what it lists into requirements.txt."
                if includes
                else "Install it in the Dockerfile, after COPY, or from a package index.",
                line.number,
            )
            return
        found = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
        if found not in self.listing.by_path and not self.listing.has_directory(found):
            yield rules.REQUIRED_FILE_MISSING.broken_by(
                file,
                f"there is no {found} in the image",
                "Correct the path, which is relative to this file.",
                line.number,
            )
        elif includes and found not in self.seen:
            yield from self.check(found)

    def _requirement(self, file: str, line: Line, text: str) -> Iterator[Finding]:
        match = _REQUIREMENT.match(text)
        if match is None:
            yield self._bad(file, line, "is not a requirement", _requirement_remedy(text))
            return
        name = _normalised(match["name"])
        versions, rest = match["versions"], match["rest"] or ""
        if not self._is_valid(match, text):
            if _ANY_VERSIONS.match(versions) and (not rest or _is_requirement(f"x{rest}")):
                yield rules.OLD_REQUIREMENT.broken_by(
                    file,
                    f"{_shortened(text)!r} has a version that only pip before 24.1 understands",
                    "Write it as in name==1.2.3 or name>=1.2.",
                    line.number,
                )
            else:
                yield self._bad(file, line, "is not a requirement", _requirement_remedy(text))
                return
        if name == _AIRFLOW or name in _AIRFLOW_PARTS:
            yield from self._airflow(file, line, name, versions or rest.startswith("@"))
        if (pin := _PIN.match(versions)) and ";" not in rest:
            yield from self._pin(file, line, name, pin[1])

    @staticmethod
    def _is_valid(match: re.Match[str], text: str) -> bool:
        if (
            not match["rest"]
            and _SIMPLE_VERSIONS.match(match["versions"])
            and (not match["extras"] or _SIMPLE_EXTRAS.match(match["extras"]))
        ):
            return True
        return _is_requirement(text)

    def _airflow(self, file: str, line: Line, name: str, versions: str | bool) -> Iterator[Finding]:
        reference = self.base.reference if self.base else "the base image"
        version = self.base and runtime.airflow_version(self.base)
        if self.installs is False and version and str(versions).replace(" ", "") == f"=={version}":
            return  # what Airflow's own documentation recommends for apache/airflow
        if versions and name == _AIRFLOW and self.installs is not None:
            yield rules.AIRFLOW_PINNED.broken_by(
                file,
                f"{reference} brings its own Airflow, and {_shortened(line.text)!r} would replace it",
                "Remove the line; for another version of Airflow change FROM in the Dockerfile.",
                line.number,
            )
        else:
            yield rules.AIRFLOW_LISTED.broken_by(
                file,
                f"{reference} brings its own Airflow, {name} is not needed here",
                "Remove the line; for another version of Airflow change FROM in the Dockerfile.",
                line.number,
            )

    def _pin(self, file: str, line: Line, name: str, version: str) -> Iterator[Finding]:
        pin = _Pin(_canonical(version), f"{file}:{line.number}", line.text)
        first = self.pins.setdefault(name, pin)
        if first.version != pin.version:
            yield rules.CONTRADICTING_PINS.broken_by(
                file,
                f"{_shortened(line.text)!r} contradicts {_shortened(first.text)!r} in {first.place}",
                "Keep one of them.",
                line.number,
            )

    @staticmethod
    def _bad(file: str, line: Line, problem: str, remedy: str) -> Finding:
        return rules.BAD_REQUIREMENT.broken_by(
            file, f"{_shortened(line.text)!r} {problem}", remedy, line.number
        )


def logical_lines(text: str) -> Iterator[Line]:
    """The lines that mean something, as pip reads them."""
    start, pending = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment:
            pending += line[:-1]
            continue
        whole = _COMMENT.sub("", pending + (" " if is_comment else "") + line)
        if whole.strip():
            yield Line(start, " ".join(whole.split()))
        start, pending = 0, ""
    if pending.strip():
        yield Line(start, " ".join(pending.split()))


def split_requirement(line: str) -> tuple[str, str]:
    """A logical line as name and rest, both normalised: ("pandas", "[excel]==2.2.3 ; extra == 'x'")."""
    match = None if line.startswith("-") else _REQUIREMENT.match(line)
    if match is None:
        return line, ""
    versions = "".join(f"{match['extras'] or ''}{match['versions']}".split())
    rest = f" {match['rest']}" if match["rest"] else ""
    return _normalised(match["name"]), f"{versions}{rest}"


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_requirement(text: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True


def _requirement_remedy(text: str) -> str:
    if match := re.match(r"^pip3?\s+install\s+(.+)$", text):
        return f"Leave out `pip install`: {_shortened(match[1])}"
    if match := re.match(r"^([\w.\[\],-]+)\s*=\s*[\"']?[\^~]?([\w.*]+)[\"']?$", text):
        return f"Versions are pinned with two equals signs: {match[1]}=={match[2]}"
    if match := re.match(r"^([\w.\[\],-]+)\s+v?(\d[\w.]*)$", text):
        return f"Perhaps {match[1]}=={match[2]}"
    return "One requirement a line, such as pandas==2.2.3."


def _shortened(text: str) -> str:
    text = hidden(text)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _canonical(version: str) -> str:
    """`1.0` and `1.0.0` are one version."""
    return re.sub(r"(?:\.0)+$", "", version.lower())


class _Text(NamedTuple):
    text: str
    encoding: str | None  # what it is instead of UTF-8


def _read(listing: Listing, path: str) -> _Text | None:
    file = listing.by_path.get(path)
    if file is None:
        return None
    if file.is_link:
        text = listing.text(path)
        return None if text is None else _Text(text, None)
    content = content_of(file)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _Text(decode(content), "UTF-16")
    try:
        return _Text(content.decode("utf-8-sig"), None)
    except UnicodeDecodeError:
        return _Text(decode(content), "neither UTF-8 nor UTF-16")
