"""Which files of a project a Docker build sees: `.dockerignore`, with Docker's own semantics.

Follows moby's `patternmatcher` (github.com/moby/patternmatcher), which is not gitignore: patterns are
anchored at the project's root, `*` stops at a slash, and the last pattern that matches decides.
"""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Pattern:
    regex: re.Pattern[str]
    exclude: bool


class DockerIgnore:
    """The rules of one `.dockerignore` file."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._patterns = [
            pattern for line in lines if (pattern := _parse(line.strip("\ufeff"))) is not None
        ]
        self.has_exceptions = any(not pattern.exclude for pattern in self._patterns)

    def ignores(self, path: str) -> bool:
        """Whether `path` (relative, with `/`) stays out of the build context.

        A pattern that matches a parent directory matches everything in it.
        """
        ignored = False
        candidates = [path]
        while path := posixpath.dirname(path):
            candidates.append(path)
        for pattern in self._patterns:
            if pattern.exclude != ignored and any(map(pattern.regex.match, candidates)):
                ignored = pattern.exclude
        return ignored


def _parse(line: str) -> _Pattern | None:
    line = "" if line.startswith("#") else line.strip()
    exclude = not line.startswith("!")
    text = line.removeprefix("!").strip()
    if not text:
        return None
    text = posixpath.normpath(text).lstrip("/")
    if text in ("", "."):
        return None
    return _Pattern(_to_regex(text), exclude)


def _to_regex(pattern: str) -> re.Pattern[str]:
    out, i = [], 0
    while i < len(pattern):
        char = pattern[i]
        if pattern.startswith("**", i):
            i += 2
            if pattern.startswith("/", i):
                out.append("(?:.*/)?")
                i += 1
            else:
                out.append(".*")
            continue
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[" and (end := pattern.find("]", i + 2)) > 0:
            out.append(pattern[i : end + 1])
            i = end
        elif char == "\\" and i + 1 < len(pattern):
            i += 1
            out.append(re.escape(pattern[i]))
        else:
            out.append(re.escape(char))
        i += 1
    return re.compile("".join(out) + r"\Z", re.DOTALL)
