"""Measure listing, hashing and linting of a project with many files, and print JSON.

    python -m bench.project_hash [--files 10000] [--runs 5]

The files are in a temporary directory and in the page cache, as after a checkout. Each figure is the best of
all runs: slower runs include other load of the machine.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from astro_pulumi.project.astro_project import digest_of, hash_files
from astro_pulumi.project.image_files import ProjectFile, list_files
from astro_pulumi.project.lint import lint

DOCKERFILE = "FROM astrocrpublic.azurecr.io/runtime:3.1-5\n"
DOCKERIGNORE = "astro\n.git\n.env\nairflow_settings.yaml\nlogs/\n.venv\nairflow.db\nairflow.cfg\n"
DAG = """\
from airflow.sdk import DAG

with DAG("dag_{number}", schedule=None):
    pass
"""
BYTES_EACH = 4096
DAGS_AMONG_THEM = 200
TARGET_SECONDS = 0.5  # seconds for list and hash of 10,000 files


def write_project(folder: Path, files: int) -> None:
    """Write a project of `files` files: some DAGs, the rest SQL and data in 100 directories."""
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / ".dockerignore").write_text(DOCKERIGNORE)
    (folder / "requirements.txt").write_text("pandas==2.2.3\n")
    (folder / "packages.txt").write_text("")
    (folder / "dags").mkdir()
    for number in range(100):
        (folder / "include" / f"part_{number}").mkdir(parents=True)
    dags = min(DAGS_AMONG_THEM, files - 3)
    for number in range(dags):
        (folder / "dags" / f"dag_{number}.py").write_text(DAG.format(number=number))
    line = "SELECT order_id, amount FROM orders WHERE day = '{{ ds }}';\n"
    text = (line * (BYTES_EACH // len(line) + 1))[:BYTES_EACH]
    for number in range(files - 3 - dags):
        path = folder / "include" / f"part_{number % 100}" / f"query_{number}.sql"
        path.write_text(f"-- {number}\n{text}")


def hash_all(files: tuple[ProjectFile, ...]) -> str:
    """Return the content hash, as `Project` does."""
    return hash_files(files, map(digest_of, files))


def best(runs: int, work: Callable[[], Any]) -> dict[str, float]:
    """Return the shortest wall-clock time and CPU time, in seconds."""
    clock, processor = [], []
    for _ in range(runs):
        began = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - began[0])
        processor.append(time.process_time() - began[1])
    return {"seconds": round(min(clock), 4), "cpu_seconds": round(min(processor), 4)}


def main() -> None:
    """Run the measurements, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_project(folder, options.files)
        listing = list_files(folder)
        figures = {
            "benchmark": "project_hash",
            "files": len(listing.files),
            "bytes": sum(file.size for file in listing.files),
            "runs": options.runs,
            "list": best(options.runs, lambda: list_files(folder)),
            "hash": best(options.runs, lambda: hash_all(listing.files)),
            "list_and_hash": best(options.runs, lambda: hash_all(list_files(folder).files)),
            "lint": best(options.runs, lambda: lint(folder)),
            "target_seconds": TARGET_SECONDS,
        }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
