"""Reads a Dockerfile the way BuildKit's parser does: instructions, and the image they start from.

Directives (`# escape=`), comments inside of continued lines and here-documents are what simpler readers
get wrong on real projects.
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
# What BuildKit gives a value without being told.
_PREDEFINED_ARGUMENTS: Final = frozenset(
    f"{side}{part}"
    for side in ("TARGET", "BUILD")
    for part in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
)


@dataclass(frozen=True, slots=True)
class BaseImage:
    """The image that the last stage of a Dockerfile is built on, and the line that names it."""

    reference: str  # "quay.io/astronomer/astro-runtime:12.4.0"
    line: int

    @property
    def name(self) -> str:
        """The reference without tag and digest."""
        name = self.reference.partition("@")[0]
        return name if ":" not in name.rsplit("/", 1)[-1] else name.rpartition(":")[0]

    @property
    def tag(self) -> str | None:
        """The tag, None when there is none."""
        name = self.reference.partition("@")[0]
        return name.removeprefix(self.name).removeprefix(":") or None

    @property
    def has_digest(self) -> bool:
        """Whether it names one image for good."""
        return "@" in self.reference

    @property
    def is_valid(self) -> bool:
        """Whether Docker can read the reference."""
        return bool(_REFERENCE.match(self.reference))


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, with the lines that it stands on."""

    keyword: str  # upper-case: "COPY"
    flags: tuple[str, ...]  # "--from=builder"
    value: str  # what follows keyword and flags, continued lines joined
    lines: tuple[tuple[int, str], ...]  # (number, text), here-documents included

    @property
    def line(self) -> int:
        """Where it begins, counted from 1."""
        return self.lines[0][0]

    def line_with(self, text: str) -> int:
        """The line of this instruction that has `text`; else where it begins."""
        return next((number for number, line in self.lines if text in line), self.line)

    def flag(self, name: str) -> str | None:
        """The value of `--name=`."""
        prefix = f"--{name}="
        return next(
            (flag.removeprefix(prefix) for flag in self.flags if flag.startswith(prefix)), None
        )

    @cached_property
    def exec_form(self) -> list[str] | None:
        """The words of `["exec", "form"]`; None for the shell form."""
        if not self.value.startswith("["):
            return None
        try:
            words = json.loads(self.value)
        except ValueError:
            return None  # then Docker takes it for the shell form as well
        return words if all(isinstance(word, str) for word in words) else None

    @cached_property
    def words(self) -> list[str]:
        """The words of a value, quotes and escapes resolved."""
        if self.exec_form is not None:
            return self.exec_form
        try:
            return shlex.split(self.value)
        except ValueError:
            return self.value.split()

    @cached_property
    def assignments(self) -> list[tuple[str, str | None]]:
        """(name, value) of ENV, ARG and LABEL; the value of an ARG without default is None."""
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
    """A Dockerfile, read."""

    instructions: tuple[Instruction, ...]
    frontend: str | None  # of `# syntax=`

    @property
    def has_own_frontend(self) -> bool:
        """Whether something else than Docker decides what the instructions mean."""
        return self.frontend is not None and not re.search(r"docker/dockerfile\b", self.frontend)

    @cached_property
    def final_stage(self) -> tuple[Instruction, ...]:
        """What makes the image: the last stage, and before it the stages that it is built on."""
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

    def last(self, keyword: str) -> Instruction | None:
        """The instruction that counts, of those of which the last one does."""
        found = [each for each in self.final_stage if each.keyword == keyword]
        return found[-1] if found else None

    @cached_property
    def environment(self) -> dict[str, str]:
        """What ENV sets in the image."""
        return {
            name: value or ""
            for instruction in self.final_stage
            if instruction.keyword == "ENV"
            for name, value in instruction.assignments
        }


class FromError(ValueError):
    """A FROM that says nothing."""

    def __init__(self, line: int, variable: str | None = None) -> None:
        super().__init__(variable)
        self.line = line
        self.variable = variable  # the ARG without a value; None when FROM itself cannot be read


def parse_dockerfile(text: str) -> Dockerfile:
    """Reads the text of a Dockerfile. Whatever is in it: mistakes are for the linter to find."""
    lines = text.removeprefix("\ufeff").split("\n")
    directives = dict(_directives(lines))
    escape = directives.get("escape", "\\")
    continued = re.compile(rf"(?<!{re.escape(escape)}){re.escape(escape)}[ \t]*$")
    return Dockerfile(tuple(_instructions(lines, continued)), directives.get("syntax"))


def base_image(dockerfile: Dockerfile) -> BaseImage | None:
    """The base image of the final stage; stages built on other stages are followed to their root.

    :returns: None when there is no FROM.
    :raises FromError: when a FROM cannot be read, or uses an ARG that has no value.
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
    """`# key=value` at the very top: the first line that is anything else ends them."""
    for line in lines:
        match = _DIRECTIVE.match(line.removesuffix("\r"))
        if not match:
            return
        yield match[1].lower(), match[2]


def _instructions(lines: list[str], continued: re.Pattern[str]) -> Iterator[Instruction]:
    numbered = iter(enumerate((line.removesuffix("\r") for line in lines), 1))
    # Comments and, though Docker warns of them, blank lines do not end a continued line.
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
        # `<<NAME` may also be arithmetic in the shell: without its end it is no here-document.
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
        # A platform in the name of an image: any value will do to read the rest.
        return "linux" if name in _PREDEFINED_ARGUMENTS else on_missing(name)

    return _VARIABLE.sub(value, text)
