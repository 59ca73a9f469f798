"""Read `.airflowignore`, which lists files of `dags/` that Airflow does not import.

Airflow 2 reads the lines as regular expressions, Airflow 3 as globs, and a setting changes that. Here a file
is ignored if either reading ignores it. An error that is missed here is reported by the release Job, but an
error in a file that Airflow never imports would be a false alarm.
"""

import fnmatch
import re
from collections.abc import Iterable
from typing import Final

from astro_pulumi.project.dockerignore_patterns import compile_quietly

NAME: Final = ".airflowignore"


class AirflowIgnore:
    """The `.airflowignore` files of a DAG folder."""

    def __init__(self, files: Iterable[tuple[str, str]]) -> None:
        """Take pairs of a directory, relative to the DAG folder and "" at the top, and its patterns."""
        self._patterns = [
            (f"{folder}/" if folder else "", pattern)
            for folder, text in files
            for line in text.splitlines()
            for pattern in _patterns(re.sub(r"\s*#.*", "", line).strip())
        ]

    def ignores(self, path: str) -> bool:
        """Return whether Airflow may ignore the file; `path` is relative to the DAG folder."""
        return any(
            path.startswith(folder) and pattern.search(path.removeprefix(folder))
            for folder, pattern in self._patterns
        )


def _patterns(line: str) -> Iterable[re.Pattern[str]]:
    if not line or line.startswith("!"):
        return
    anchor = "^" if "/" in line.rstrip("/") else "(?:^|/)"
    glob = fnmatch.translate(line.strip("/").replace("**/", "*")).removesuffix("\\Z")
    for expression in (line, f"{anchor}{glob}(?:/|$)"):
        try:
            yield compile_quietly(expression)
        except re.error:
            continue
