"""What a Dockerfile says about the image it starts from."""

import re
from dataclasses import dataclass
from pathlib import Path

from astro_pulumi.errors import ProjectError

_FROM = re.compile(
    r"^\s*FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?\s*$", re.IGNORECASE
)
_ARG = re.compile(r"^\s*ARG\s+(?P<name>\w+)(?:=(?P<value>.*?))?\s*$", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::?-(?P<default>[^}]*))?\}|(?P<plain>\w+))")


@dataclass(frozen=True, slots=True)
class BaseImage:
    """The image that the last stage of a Dockerfile is built on, and the line that names it."""

    reference: str  # "quay.io/astronomer/astro-runtime:12.4.0"
    line: int


def read_base_image(dockerfile: Path) -> BaseImage:
    """The base image of the final stage; stages built on other stages are followed to their root.

    :raises ProjectError: when there is no `FROM`, or it uses an `ARG` that has no default.
    """
    arguments: dict[str, str | None] = {}
    stages: dict[str, BaseImage] = {}
    final: BaseImage | None = None
    for number, line in _logical_lines(dockerfile.read_text(errors="replace")):
        if final is None and (match := _ARG.match(line)):
            value = match["value"]
            arguments[match["name"]] = value.strip("\"'") if value is not None else None
        elif match := _FROM.match(line):
            reference = _substitute(match["image"], arguments, dockerfile, number)
            final = stages.get(reference.lower(), BaseImage(reference, number))
            if match["stage"]:
                stages[match["stage"].lower()] = final
    if final is None:
        raise ProjectError(
            f"{dockerfile}: there is no FROM line. Start it with the Airflow image to build on, "
            "for example FROM quay.io/astronomer/astro-runtime:13.1.0"
        )
    return final


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """(line number, line), comments left out and continued lines joined."""
    lines: list[tuple[int, str]] = []
    start, pending = 0, ""
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        start = start or number
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        lines.append((start, pending))
        start, pending = 0, ""
    return [*lines, (start, pending)] if pending else lines


def _substitute(image: str, arguments: dict[str, str | None], dockerfile: Path, line: int) -> str:
    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        found = arguments.get(name) or match["default"]
        if found is None:
            raise ProjectError(
                f"{dockerfile}:{line}: FROM uses ${name}, which has no value before FROM. "
                f"Give it one: ARG {name}=..."
            )
        return found

    return _VARIABLE.sub(value, image)
