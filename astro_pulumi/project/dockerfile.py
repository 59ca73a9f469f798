"""Read a Dockerfile as BuildKit's parser does: its instructions and its base image.

Handles directives (`# escape=`), comments within continued lines and here-documents.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_DIRECTIVE = re.compile(r"^\s*#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(\S.*?)\s*$")
_HERE_DOCUMENT = re.compile(r"(?<!<)<<(?!<)(-?)\s*([\"']?)([A-Za-z_]\w*)\2")
_FLAG = re.compile(r"--[a-z][-a-z]*(?:=(?:\"[^\"]*\"|\S)*)?\s*")
_SOURCE = re.compile(r"^--(?:from=|mount=(?:.*,)?from=)\"?([^\s,\"]+)")
_VARIABLE = re.compile(
    r"\$(?:\{(?P<braced>\w+)(?:(?P<modifier>:?[-+])(?P<word>[^}]*))?\}|(?P<plain>\w+))"
)
_ASSIGNMENT = re.compile(r"^(\w[\w.-]*)=(.*)$", re.DOTALL)
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::\d+)?/)?{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*"
    r"(?::[\w][\w.-]{0,127})?(?:@[a-zA-Z][\w.+-]*:[0-9a-fA-F]{32,})?$"
)
INSTRUCTIONS: Final = frozenset(
    re.findall(
        r"\w+",
        "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL "
        "STOPSIGNAL USER VOLUME WORKDIR",
    )
)
_WITH_HERE_DOCUMENTS: Final = frozenset({"ADD", "COPY", "RUN"})
# Arguments that BuildKit sets by itself.
_PREDEFINED_ARGUMENTS: Final = frozenset(
    f"{side}{part}"
    for side in ("TARGET", "BUILD")
    for part in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
)


@dataclass(frozen=True, slots=True)
class BaseImage:
    """The base image of a Dockerfile's last stage, and the line of its FROM."""

    reference: str  # "quay.io/astronomer/astro-runtime:12.4.0"
    line: int

    @property
    def name(self) -> str:
        """The reference without tag and digest."""
        name = self.reference.partition("@")[0]
        return name if ":" not in name.rsplit("/", 1)[-1] else name.rpartition(":")[0]

    @property
    def tag(self) -> str | None:
        """The tag, or None."""
        name = self.reference.partition("@")[0]
        return name.removeprefix(self.name).removeprefix(":") or None

    @property
    def is_valid(self) -> bool:
        """Whether Docker accepts the reference."""
        return bool(_REFERENCE.match(self.reference))


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, with its lines."""

    keyword: str  # upper-case: "COPY"
    flags: tuple[str, ...]  # "--from=builder"
    value: str  # after keyword and flags, continued lines joined
    lines: tuple[tuple[int, str], ...]  # (number, text), here-documents included

    @property
    def line(self) -> int:
        """The number of the first line, from 1."""
        return self.lines[0][0]

    def line_with(self, text: str) -> int:
        """Return the number of the first line that contains `text`, or of the first line."""
        return next((number for number, line in self.lines if text in line), self.line)

    def flag(self, name: str) -> str | None:
        """Return the value of `--name=`, or None."""
        prefix = f"--{name}="
        return next(
            (flag.removeprefix(prefix) for flag in self.flags if flag.startswith(prefix)), None
        )

    @property
    def sources(self) -> list[str]:
        """The images and stages that the instruction reads from, in lower case."""
        if self.keyword == "FROM":
            return [word.lower() for word in self.words[:1]]
        found = (_SOURCE.search(flag) for flag in self.flags)
        return [match[1].lower() for match in found if match]

    @cached_property
    def words(self) -> list[str]:
        """The words of the value, quotes and escapes resolved."""
        if self.value.startswith("["):
            try:
                words = json.loads(self.value)
            except ValueError:
                words = [None]  # Docker takes it for the shell form then
            if all(isinstance(word, str) for word in words):
                return list(words)
        try:
            return shlex.split(self.value)
        except ValueError:
            return self.value.split()

    @cached_property
    def assignments(self) -> list[tuple[str, str | None]]:
        """Names and values of ENV, ARG and LABEL. An ARG without a default has the value None."""
        words = self.words
        if self.keyword == "ENV" and words and "=" not in words[0]:  # the old form: ENV name value
            return [(words[0], self.value.strip().removeprefix(words[0]).strip())]
        found: list[tuple[str, str | None]] = []
        for word in words:
            if match := _ASSIGNMENT.match(word):
                found.append((match[1], match[2]))
            elif self.keyword == "ARG":
                found.append((word, None))
        return found


@dataclass(frozen=True)
class Dockerfile:
    """A parsed Dockerfile."""

    instructions: tuple[Instruction, ...]
    frontend: str | None  # of `# syntax=`

    @property
    def has_own_frontend(self) -> bool:
        """Whether another frontend than Docker's own interprets the instructions."""
        return self.frontend is not None and not re.search(r"docker/dockerfile\b", self.frontend)

    @property
    def frontend_installs_project(self) -> bool:
        """Whether the frontend installs and copies the project if the base image does not."""
        return self.frontend is not None and "astronomer/airflow-extensions" in self.frontend

    @cached_property
    def final_stage(self) -> tuple[Instruction, ...]:
        """Instructions of the last stage, after those of the stages on which it is built."""
        stages: dict[str, list[Instruction]] = {}
        current: list[Instruction] = []
        for instruction in self.instructions:
            if instruction.keyword == "FROM":
                words = instruction.words
                parent = stages.get(words[0].lower(), []) if words else []
                current = [*parent, instruction]
                if len(words) == 3:
                    stages[words[2].lower()] = current
            else:
                current.append(instruction)
        return tuple(current)

    @cached_property
    def built(self) -> tuple[Instruction, ...]:
        """Instructions that a build runs: BuildKit skips stages that the last stage does not use."""
        stages: list[list[Instruction]] = []
        numbers: dict[str, int] = {}
        for instruction in self.instructions:
            if instruction.keyword == "FROM":
                words = instruction.words
                numbers[str(len(stages))] = len(stages)
                if len(words) == 3:
                    numbers[words[2].lower()] = len(stages)
                stages.append([])
            if stages:
                stages[-1].append(instruction)
        used: set[int] = set()
        waiting = [len(stages) - 1] if stages else []
        while waiting:
            number = waiting.pop()
            if number in used:
                continue
            used.add(number)
            names = [name for each in stages[number] for name in each.sources]
            waiting += [numbers[name] for name in names if numbers.get(name, number) < number]
        return tuple(each for number in sorted(used) for each in stages[number])

    @cached_property
    def environment(self) -> dict[str, str]:
        """The variables that ENV sets in the image."""
        return {
            name: value or ""
            for instruction in self.final_stage
            if instruction.keyword == "ENV"
            for name, value in instruction.assignments
        }


class FromError(ValueError):
    """A FROM that is invalid, or uses an ARG without a value."""

    def __init__(self, line: int, variable: str | None = None) -> None:
        """Take the line of the FROM, and the name of the ARG or None."""
        super().__init__(variable)
        self.line = line
        self.variable = variable  # the ARG without value; None if FROM itself cannot be read


def parse_dockerfile(text: str) -> Dockerfile:
    """Parse a Dockerfile. Never raises: the linter reports mistakes."""
    lines = text.removeprefix("\ufeff").split("\n")
    directives = dict(_directives(lines))
    escape = directives.get("escape", "\\")
    continued = re.compile(rf"(?<!{re.escape(escape)}){re.escape(escape)}[ \t]*$")
    return Dockerfile(tuple(_instructions(lines, continued)), directives.get("syntax"))


def base_image(dockerfile: Dockerfile) -> BaseImage | None:
    """Return the base image of the last stage; None without any FROM.

    If the stage is built on another stage, the base image is that of the first stage in the chain.

    Raises:
        FromError: A FROM is invalid, or uses an ARG without a value.
    """
    arguments: dict[str, str | None] = {}
    stages: dict[str, BaseImage] = {}
    final: BaseImage | None = None
    for instruction in dockerfile.instructions:
        if instruction.keyword == "ARG" and final is None:
            for name, value in instruction.assignments:
                arguments[name] = value and _substitute(value, arguments, lambda _: "")
        elif instruction.keyword == "FROM":
            words = instruction.words
            if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
                raise FromError(instruction.line)

            def fail(variable: str, line: int = instruction.line) -> str:
                raise FromError(line, variable)

            reference = _substitute(words[0], arguments, fail)
            final = stages.get(reference.lower(), BaseImage(reference, instruction.line))
            if len(words) == 3:
                stages[words[2].lower()] = final
    return final


def _directives(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the `# key=value` lines at the top; any other line ends them."""
    for line in lines:
        match = _DIRECTIVE.match(line.removesuffix("\r"))
        if not match:
            return
        yield match[1].lower(), match[2]


def _instructions(lines: list[str], continued: re.Pattern[str]) -> Iterator[Instruction]:
    numbered = iter(enumerate((line.removesuffix("\r") for line in lines), 1))
    # Comments and blank lines do not end a continued line.
    meant = ((number, line) for number, line in numbered if not _is_comment_or_blank(line))
    for first in meant:
        taken, text = [first], first[1]
        while continued.search(text):
            text = continued.sub("", text)
            following = next(meant, None)
            if following is None:
                break
            taken.append(following)
            text += following[1]
        keyword, flags, value = _split(text)
        if keyword in _WITH_HERE_DOCUMENTS:
            taken.extend(_here_documents(text, lines, taken[-1][0], numbered))
        yield Instruction(keyword, flags, value, tuple(taken))


def _is_comment_or_blank(line: str) -> bool:
    text = line.strip()
    return not text or text.startswith("#")


def _split(text: str) -> tuple[str, tuple[str, ...], str]:
    keyword, _, rest = text.strip().partition(" ")
    if "\t" in keyword:
        keyword, _, rest = text.strip().partition("\t")
    rest, flags = rest.strip(), []
    while match := _FLAG.match(rest):
        flags.append(match[0].strip())
        rest = rest[match.end() :]
    return keyword.upper(), tuple(flags), rest


def _here_documents(
    text: str, lines: list[str], last: int, numbered: Iterator[tuple[int, str]]
) -> Iterator[tuple[int, str]]:
    for dash, _, name in _HERE_DOCUMENT.findall(text):
        strip: Callable[[str], str] = (lambda line: line.lstrip("\t")) if dash else str
        # Without an end line, `<<NAME` is shell arithmetic.
        if not any(strip(line.removesuffix("\r")) == name for line in lines[last:]):
            continue
        for last, line in numbered:
            yield last, line
            if strip(line) == name:
                break


def _substitute(
    text: str, arguments: dict[str, str | None], on_missing: Callable[[str], str]
) -> str:
    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        given = arguments.get(name)
        modifier, word = match["modifier"] or "", match["word"] or ""
        if modifier.endswith("+"):
            return word if given else ""
        if given or (given is not None and modifier == "-"):
            return given
        if modifier:
            return word
        # The platform may be part of an image's name. Any value makes the name valid.
        return "linux" if name in _PREDEFINED_ARGUMENTS else on_missing(name)

    return _VARIABLE.sub(value, text)
