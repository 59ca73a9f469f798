"""Read `.dockerignore` as Docker does.

The rules differ from gitignore: patterns are anchored at the project's root, `*` stops at a slash, the last
matching pattern decides, and a pattern that matches a directory applies to everything in it. This follows
BuildKit exactly: moby/patternmatcher for patterns, tonistiigi/fsutil for the walk. tests/cluster compares the
result with a real `docker build`.
"""

import posixpath
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from astro_pulumi.errors import ProjectError

_WILDCARDS: Final = frozenset("*[]?^\\")
# moby/patternmatcher does not escape `{|}`, by mistake: its bitmap is too small. So `a|b*` matches every
# path that begins with "a".
_ESCAPED: Final = frozenset(".+()$")


class InvalidPatternError(ProjectError):
    """A pattern because of which Docker refuses the build."""

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
    matches: Callable[[str], object]  # true for a path that matches


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on one path, from which the decisions on the paths below it are made."""

    ignored: bool
    matched: tuple[bool, ...]  # which patterns matched the path or a directory above
    line: int | None = None  # of the pattern that decided


class DockerIgnore:
    """The patterns of one `.dockerignore` file."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Parse the lines.

        Raises:
            InvalidPatternError: If `docker build` refuses a pattern.
        """
        self._patterns = [
            pattern
            for number, line in enumerate(lines, 1)
            if (pattern := _parse(line.removeprefix("\ufeff") if number == 1 else line, number))
        ]
        self._might_match = _quick_check(pattern.text for pattern in self._patterns)
        exceptions = [
            _without_trailing_glob(pattern.text)
            for pattern in self._patterns
            if pattern.is_exception
        ]
        self.has_exceptions = bool(exceptions)
        # Docker looks into an ignored directory only for exceptions that begin with its path. With
        # one exception that has a wildcard elsewhere, it looks into every directory.
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
        """Return the verdict on `path`, given the one on its directory (`root` at the top).

        Like Docker, this tests a pattern only if the result can change the verdict. A pattern that was not
        tested counts as not matching for everything below.
        """
        if not self._might_match(path):
            return parent
        ignored, line = False, None
        matched = []
        for pattern, matched_above in zip(self._patterns, parent.matched, strict=True):
            matches = matched_above or (
                pattern.is_exception == ignored and bool(pattern.matches(path))
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
    # Docker reads the file into patterns and then the patterns once more, by almost the same rules.
    invert = "!" if text.startswith("!") else ""
    text = _clean(text.removeprefix("!").strip())
    text = _clean((invert + (text if text == "/" else text.removeprefix("/"))).strip())
    if not text:
        return None
    is_exception = text.startswith("!")
    text = text.removeprefix("!")
    if not text or not _is_valid(text):
        raise InvalidPatternError(number, line.strip())
    try:
        return _Pattern(text, number, is_exception, _matcher(text))
    except re.error:
        raise InvalidPatternError(number, line.strip()) from None


def _clean(path: str) -> str:
    """Clean a path like Go's `filepath.Clean`, which does not keep a double slash at the start."""
    if not path:
        return path
    return posixpath.normpath(re.sub("^/+", "/", path))


def _without_trailing_glob(pattern: str) -> str:
    return pattern.removesuffix("/**").removesuffix("/*")


def compile_quietly(regex: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a user's pattern without Python's warnings about it.

    Raises:
        re.error: If it is not a regular expression.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(regex, flags)


def _matcher(pattern: str) -> Callable[[str], object]:
    """Return a function that tells whether a path matches, like moby's `Pattern.compile`."""
    kind, text = _compile(pattern)
    if kind is _Kind.EXACT:
        return text.__eq__
    if kind is _Kind.PREFIX:
        return lambda path: path.startswith(text)
    if kind is _Kind.SUFFIX:
        whole = text[1:] if text.startswith("/") else None  # `**/foo` is `foo` at the root as well
        return lambda path: path.endswith(text) or path == whole
    return compile_quietly(text, re.ASCII).search


def _quick_check(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that is true for every path that a pattern matches, and rarely for others.

    Most files match no pattern, and one test is faster than one per pattern.
    """
    by_kind: dict[_Kind, list[str]] = {kind: [] for kind in _Kind}
    for pattern in patterns:
        kind, text = _compile(pattern)
        by_kind[kind].append(text)
    names = frozenset(
        (*by_kind[_Kind.EXACT], *(text.removeprefix("/") for text in by_kind[_Kind.SUFFIX]))
    )
    prefixes, suffixes = tuple(by_kind[_Kind.PREFIX]), tuple(by_kind[_Kind.SUFFIX])
    regexes = by_kind[_Kind.REGEX]
    search = compile_quietly("|".join(f"(?:{regex})" for regex in regexes), re.ASCII).search
    if not regexes:
        return lambda path: path in names or path.startswith(prefixes) or path.endswith(suffixes)
    return lambda path: (
        path in names
        or path.startswith(prefixes)
        or path.endswith(suffixes)
        or search(path) is not None
    )


class _Kind(Enum):
    EXACT = auto()
    PREFIX = auto()
    SUFFIX = auto()
    REGEX = auto()


def _compile(pattern: str) -> tuple[_Kind, str]:
    """Return the kind of a pattern, and its name, prefix, suffix or regular expression."""
    regex, kind, i = "", _Kind.EXACT, 0
    while i < len(pattern):
        start, char = i, pattern[i]
        i += 1
        if pattern.startswith("**", start):
            i += 2 if pattern.startswith("/", start + 2) else 1
            if i < len(pattern):
                regex += "(?:.*/)?"
                kind = _Kind.REGEX
            elif kind is _Kind.EXACT:
                kind = _Kind.PREFIX
            else:
                regex += ".*"
                kind = _Kind.REGEX
            if start == 0:
                kind = _Kind.SUFFIX
        elif char in "*?":
            regex += "[^/]*" if char == "*" else "[^/]"
            kind = _Kind.REGEX
        elif char in _ESCAPED:
            regex += f"\\{char}"
        elif char == "\\":
            regex += pattern[start : i + 1]
            i += 1
            kind = _Kind.REGEX
        else:
            regex += char
            kind = _Kind.REGEX if char in "[]" else kind
    if kind is _Kind.PREFIX:
        return kind, pattern[:-2]
    if kind is _Kind.SUFFIX:
        return kind, pattern[2:]
    # Go's `$` is the very end of the text, unlike Python's.
    return (kind, f"^{regex}\\Z") if kind is _Kind.REGEX else (kind, pattern)


def _is_valid(pattern: str) -> bool:
    """Return whether Go's `filepath.Match` accepts the classes and escapes of a pattern."""
    i = 0
    while i < len(pattern):
        char = pattern[i]
        i += 1
        if char == "\\":
            if i == len(pattern):
                return False
            i += 1
        elif char == "[":
            end = _end_of_class(pattern, i)
            if end is None:
                return False
            i = end
    return True


def _end_of_class(pattern: str, i: int) -> int | None:
    """Return the end of the character class whose content begins at `i`, or None if it is invalid."""
    i += pattern.startswith("^", i)
    ranges = 0
    while not (pattern.startswith("]", i) and ranges):
        for is_upper_bound in (False, True):
            if is_upper_bound:
                if not pattern.startswith("-", i):
                    break
                i += 1
            i += pattern.startswith("\\", i)
            if i >= len(pattern) or (pattern[i] in "-]" and pattern[i - 1] != "\\"):
                return None
            i += 1
        if i >= len(pattern):
            return None
        ranges += 1
    return i + 1
