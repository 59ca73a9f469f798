"""Read `requirements.txt` line by line, as pip does."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_OPTIONS = re.compile(r"\s--[a-z].*$")  # `--hash=...` after a requirement
_SPECIFIER = re.compile(r"(===?|[!<>]=|[<>])\s*[^\s,;()=<>!~]+")


class Line(NamedTuple):
    """A logical line: continued lines joined, comment removed, blanks collapsed."""

    number: int
    text: str


def logical_lines(text: str) -> Iterator[Line]:
    """Yield the lines of a requirements file, without empty ones."""
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


def parse_requirement(line: str) -> "Requirement | None":
    """Return the requirement on a logical line; None if the line has none."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(_OPTIONS.sub("", line))
    except InvalidRequirement:
        return None


def is_legacy_requirement(line: str) -> bool:
    """Return whether only pip before 24.1, which accepted any text as a version, accepts the line."""
    return parse_requirement(_SPECIFIER.sub("==1", line)) is not None


def split_requirement(line: str) -> tuple[str, str]:
    """Return name and rest of a logical line, normalized: `("pandas", "[excel]==2.2.3 ; extra == 'x'")`.

    The name of a line that is not a requirement is the whole line.
    """
    from packaging.utils import canonicalize_name

    requirement = parse_requirement(line)
    if requirement is None:
        return line, ""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    url = f" @ {requirement.url}" if requirement.url else ""
    marker = f" ; {requirement.marker}".replace('"', "'") if requirement.marker else ""
    return canonicalize_name(requirement.name), f"{extras}{requirement.specifier}{url}{marker}"
