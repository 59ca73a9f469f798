"""Write small Astro projects for tests: a healthy one with changes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DAG = """\
from airflow.sdk import dag, task


@dag(schedule=None)
def sales():
    @task
    def load() -> None:
        print("loaded")

    load()


sales()
"""

HEALTHY: Mapping[str, str] = {
    "Dockerfile": "FROM astrocrpublic.azurecr.io/runtime:3.1-5\n",
    "requirements.txt": "pandas==2.2.3\n",
    "packages.txt": "jq\n",
    ".dockerignore": "astro\n.git\n.env\nairflow_settings.yaml\nlogs/\n.venv\nairflow.db\nairflow.cfg\n",
    "dags/sales.py": DAG,
    "include/helpers.py": "ANSWER = 42\n",
}


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True)
class Script:
    """An executable file."""

    text: str


class Fifo:
    """A named pipe."""


Content = str | bytes | Link | Script | Fifo | None  # None: no such file
Changes = Mapping[str, Content]


def write_project(folder: Path, changes: Changes | None = None, base: Changes = HEALTHY) -> Path:
    """Write `base` with `changes` into `folder`. Surrogates in names stand for bytes that are not UTF-8."""
    for name, content in {**base, **(changes or {})}.items():
        if content is None:
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_bytes(content.encode())
        elif isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, Link):
            path.symlink_to(content.target)
        elif isinstance(content, Script):
            path.write_bytes(content.text.encode())
            path.chmod(0o755)
        elif isinstance(content, Fifo):
            os.mkfifo(path)
    return folder
