"""How `airflow` is started in the pods: as by its own command, with few garbage collections at first."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import astro_pulumi
from astro_pulumi.airflow.mounted_pod_files import FILES
from tests.mock_engine import deploy
from tests.specs import arguments

START = Path(astro_pulumi.__file__).parent / "pod_files" / "airflow_start.py"
# In the place of Airflow: says how it was started, then that a minute has passed.
AIRFLOW = """
import gc, json, os, sys, time

def main():
    child, parent = os.pipe()
    seen = {"argv": sys.argv, "path": sys.path, "at_first": gc.get_threshold()}
    time.monotonic = lambda now=time.monotonic(): now + 61
    if os.fork() == 0:  # a process that was forked in the first minute
        gc.collect()
        os.write(parent, json.dumps(gc.get_threshold()).encode())
        os._exit(0)
    seen["forked"] = json.loads(os.read(child, 100))
    gc.collect()
    print(json.dumps({**seen, "later": gc.get_threshold(), "callbacks": len(gc.callbacks)}))
    return 3
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "airflow").mkdir()
    (folder / "airflow" / "__main__.py").write_text(AIRFLOW)
    done = subprocess.run(
        [sys.executable, str(START), "celery", "worker", "--queues", "a"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 3, "the exit code is Airflow's"
    return {"usual": list(gc.get_threshold()), **json.loads(done.stdout)}


def test_airflow_is_started_as_by_its_command(seen: dict[str, Any]) -> None:
    assert seen["argv"] == ["airflow", "celery", "worker", "--queues", "a"]
    assert str(START.parent) not in seen["path"], "the files beside it are no modules of DAGs"


def test_garbage_is_collected_rarely_at_first(seen: dict[str, Any]) -> None:
    assert seen["at_first"][0] > 10 * seen["usual"][0]


def test_garbage_is_collected_as_usual_after_that(seen: dict[str, Any]) -> None:
    assert seen["later"] == seen["forked"] == seen["usual"]
    assert seen["callbacks"] == 0


def test_every_process_of_airflow_is_started_so_and_nothing_else() -> None:
    program = deploy(arguments())
    for name in ("webserver", "scheduler", "triggerer", "dag-processor", "worker-default"):
        process = program.get(f"analytics-{name}", "Deployment").container
        assert process["args"][:2] == ["python", f"{FILES}/{START.name}"]
    job = program.get("analytics-release-job", "Job").container
    assert job["args"] == ["python", f"{FILES}/release_job.py"]
