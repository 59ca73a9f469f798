"""`.airflowignore`: which files of `dags/` Airflow leaves alone.

Airflow 2 reads it as regular expressions, Airflow 3 as globs like `.gitignore`; a setting changes that.
Where the syntax is not known, a file counts as ignored when either says so: a finding in a file that
Airflow never reads would be wrong.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.project.ignore import compile_quietly

Syntax = Literal["glob", "regexp"]
NAME: Final = ".airflowignore"


def syntaxes(version: AirflowVersion | None, setting: str | None) -> tuple[Syntax, ...]:
    """Which syntax counts; `setting` is AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX, None when not set."""
    if setting in ("glob", "regexp"):
        return ("glob",) if setting == "glob" else ("regexp",)
    if version is None:
        return ("glob", "regexp")
    return ("glob",) if version.major >= 3 else ("regexp",)


class AirflowIgnore:
    """The `.airflowignore` files of a DAG folder."""

    def __init__(self, files: Iterable[tuple[str, str]], syntax: Iterable[Syntax]) -> None:
        """`files`: (the directory it is in, relative to the DAG folder, "" at the top; its text)."""
        self._globs: list[tuple[str, re.Pattern[str], bool]] = []
        self._expressions: list[tuple[str, re.Pattern[str]]] = []
        for folder, text in sorted(files):
            for line in text.splitlines():
                if "glob" in syntax and (glob := _glob(line)):
                    self._globs.append((folder, *glob))
                if "regexp" in syntax and (expression := _expression(line)):
                    self._expressions.append((folder, expression))

    def ignores(self, path: str) -> bool:
        """Whether Airflow leaves the file alone; `path` is relative to the DAG folder."""
        parts = path.split("/")
        return any(
            self._matches("/".join(parts[: depth + 1]), is_folder=depth < len(parts) - 1)
            for depth in range(len(parts))
        )

    def _matches(self, path: str, is_folder: bool) -> bool:
        for folder, expression in self._expressions:
            if _is_in(path, folder) and expression.search(path):
                return True
        ignored = False
        for folder, pattern, exclude in self._globs:
            if _is_in(path, folder):
                name = path.removeprefix(f"{folder}/") if folder else path
                if pattern.match(f"{name}/" if is_folder else name):
                    ignored = exclude
        return ignored


def _is_in(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _expression(line: str) -> re.Pattern[str] | None:
    text = re.sub(r"\s*#.*", "", line)
    try:
        return compile_quietly(text) if text else None
    except re.error:  # Airflow logs it and goes on
        return None


def _glob(line: str) -> tuple[re.Pattern[str], bool] | None:
    """A pattern of `.gitignore`, and whether it excludes."""
    text = line.rstrip()
    if not text or text.startswith("#"):
        return None
    exclude = not text.startswith("!")
    text = text.removeprefix("!").removeprefix("\\")
    is_anchored = "/" in text.rstrip("/")
    only_folders = text.endswith("/")
    regex = "" if is_anchored else "(?:.*/)?"
    parts = [part for part in text.split("/") if part]
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            regex += ".*" if last else "(?:.*/)?"
        else:
            regex += _part(part) + ("" if last else "/")
    try:
        return compile_quietly(regex + ("/" if only_folders else "/?") + r"\Z"), exclude
    except re.error:
        return None


def _part(part: str) -> str:
    out, i = "", 0
    while i < len(part):
        char = part[i]
        end = part.find("]", i + 2) if char == "[" else -1
        if end > 0:
            inside = part[i + 1 : end]
            out += f"[^{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
            i = end
        else:
            out += {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char))
        i += 1
    return out
