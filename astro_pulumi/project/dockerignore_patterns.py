"""Read `.dockerignore` as Docker does.

The rules differ from gitignore: patterns are anchored at the project's root, `*` stops at a slash, the last
matching pattern decides, and a pattern that matches a directory applies to everything in it. This follows
moby/patternmatcher for patterns and tonistiigi/fsutil for the walk, without their bugs that no project uses.
tests/cluster compares the result with a real `docker build`.
"""

import posixpath
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from astro_pulumi.errors import ProjectError

_WILDCARDS: Final = frozenset("*[]?^\\")
_TOKEN: Final = re.compile(r"\*\*/?|\[(?:\\.|[^\]])*\]|\\?.", re.DOTALL)
# Syntax of Go's `filepath.Match`: closed classes of characters and ranges, escapes with a character.
_CLASS_CHARACTER: Final = r"(?:\\.|[^\\\]-])"
_VALID: Final = re.compile(
    rf"(?:[^\\\[]|\\.|\[\^?+(?:{_CLASS_CHARACTER}(?:-{_CLASS_CHARACTER})?)+\])+", re.DOTALL
)
_REGEX_OF: Final = {"**/": "(?:.*/)?", "**": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}


class InvalidPatternError(ProjectError):
    """A pattern with which Docker refuses the build."""

    def __init__(self, line: int, pattern: str) -> None:
        """Take the pattern and its line, from 1."""
        super().__init__(f"line {line}: {pattern!r} is not a pattern that Docker understands")
        self.line = line
        self.pattern = pattern


@dataclass(frozen=True, slots=True)
class _Pattern:
    text: str  # without "!"
    line: int
    is_exception: bool
    regex: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on one path, the basis of the decisions on the paths below it."""

    ignored: bool
    matched: tuple[bool, ...]  # which patterns matched the path or a directory above
    line: int | None = None  # of the pattern that decided


class DockerIgnore:
    """The patterns of one `.dockerignore` file."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Parse the lines.

        Raises:
            InvalidPatternError: `docker build` refuses a pattern.
        """
        self._patterns = [
            pattern
            for number, line in enumerate(lines, 1)
            if (pattern := _parse(line.removeprefix("\ufeff") if number == 1 else line, number))
        ]
        # Most files match no pattern, and one test is faster than one per pattern.
        alternatives = "|".join(f"(?:{pattern.regex.pattern})" for pattern in self._patterns)
        self._might_match = compile_quietly(alternatives, re.ASCII).match
        exceptions = [
            pattern.text.removesuffix("/**").removesuffix("/*")
            for pattern in self._patterns
            if pattern.is_exception
        ]
        self.has_exceptions = bool(exceptions)
        # Docker looks into an ignored directory only for exceptions that begin with its path. An exception
        # with a wildcard elsewhere makes it look into every directory.
        self._looks_everywhere = any(_WILDCARDS & set(text) for text in exceptions)
        self._exception_paths = tuple(f"{text}/" for text in exceptions)
        self.root = Verdict(ignored=False, matched=(False,) * len(self._patterns))

    def ignores(self, path: str) -> bool:
        """Return whether `path` (relative, with `/`) is excluded from the build context."""
        verdict, above = self.root, ""
        for name in path.split("/"):
            if verdict.ignored and not self.may_hold_exceptions(above):
                return True
            above = f"{above}/{name}" if above else name
            verdict = self.judge(above, verdict)
        return verdict.ignored

    def judge(self, path: str, parent: Verdict) -> Verdict:
        """Return the verdict on `path`, given the verdict on its directory (`root` at the top).

        Like Docker, this tests a pattern only if the result can change the verdict. A pattern that was not
        tested counts as not matching for all paths below.
        """
        if not self._might_match(path):
            return parent
        ignored, line = False, None
        matched = []
        for pattern, matched_above in zip(self._patterns, parent.matched, strict=True):
            matches = matched_above or (
                pattern.is_exception == ignored and pattern.regex.match(path) is not None
            )
            matched.append(matches)
            if matches:
                ignored, line = not pattern.is_exception, pattern.line
        return Verdict(ignored, tuple(matched), line)

    def may_hold_exceptions(self, directory: str) -> bool:
        """Return whether Docker looks for exceptions (`!dir/file`) in an ignored directory."""
        return self._looks_everywhere or any(
            path.startswith(f"{directory}/") for path in self._exception_paths
        )


def _parse(line: str, number: int) -> _Pattern | None:
    text = line.strip()
    if line.startswith("#") or not text:
        return None
    is_exception = text.startswith("!")
    text = text.removeprefix("!").strip()
    if text in (".", "/") and not is_exception:
        return None  # the root itself, which Docker does not leave out
    text = posixpath.normpath(text).lstrip("/") if text else ""
    if not text or not _VALID.fullmatch(text):
        raise InvalidPatternError(number, line.strip())
    try:
        return _Pattern(text, number, is_exception, compile_quietly(_regex(text), re.ASCII))
    except re.error:
        raise InvalidPatternError(number, line.strip()) from None


def compile_quietly(regex: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a user's pattern without Python's warnings about it.

    Raises:
        re.error: The pattern is not a regular expression.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(regex, flags)


def _regex(pattern: str) -> str:
    """Return a regular expression for the paths that a pattern matches."""
    if re.fullmatch(r"\*\*[^/*?\[\\]+", pattern):
        return rf".*{re.escape(pattern[2:])}\Z"  # `**.py`, which Docker compares as text
    regex = ""
    for token in _TOKEN.findall(pattern.removesuffix("**")):
        is_regex = token[0] in "[\\"  # a class or an escape, which regular expressions have too
        regex += _REGEX_OF.get(token) or (token if is_regex else re.escape(token))
    regex += ".*" * pattern.endswith("**")
    return rf"{regex}\Z"
