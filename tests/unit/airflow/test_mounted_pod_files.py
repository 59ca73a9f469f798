"""Each pod mounts the files that it reads, with all that they import."""

import ast
from collections.abc import Iterator

import pytest

from astro_pulumi.airflow.mounted_pod_files import DAG_FILES, FILES, ROLLOUT_FILES
from astro_pulumi.airflow.version_differences import AIRFLOW, Process, ScriptProbe
from astro_pulumi.kubernetes.config_maps_and_secrets import pod_files

PROCESSES = [
    (f"{major}-{process.component}", process)
    for major, facts in AIRFLOW.items()
    for process in (*facts.processes, facts.worker, facts.release_job, facts.pytest_job)
]
SETS = list(dict.fromkeys((ROLLOUT_FILES, DAG_FILES, *(process.files for _, process in PROCESSES))))


def imported(source: str) -> Iterator[str]:
    """The files beside it that a file imports when it runs: not those for the type checker alone."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"{one.name}.py" for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{node.module}.py"


@pytest.mark.parametrize("files", [pytest.param(one.files, id=one.name) for one in SETS])
def test_what_a_file_imports_is_beside_it(files: frozenset[str]) -> None:
    there_are = set(pod_files())
    assert files <= there_are
    for file in sorted(files):
        if file.endswith(".py"):
            assert set(imported(pod_files()[file])) & there_are <= files, file


@pytest.mark.parametrize("process", [pytest.param(one, id=name) for name, one in PROCESSES])
def test_what_a_process_runs_is_mounted(process: Process) -> None:
    started = {
        argument.removeprefix(f"{FILES}/")
        for argument in process.arguments
        if argument.startswith(FILES)
    }
    assert started
    probe = {process.probe.script} if isinstance(process.probe, ScriptProbe) else set()
    assert started | probe | {"airflow.cfg"} <= process.files.files


def test_settings_name_files_that_every_process_mounts() -> None:
    for facts in AIRFLOW.values():
        named = {
            value.removeprefix(f"{FILES}/")
            for value in facts.settings.values()
            if value.startswith(f"{FILES}/")
        }
        assert named
        for process in (*facts.processes, facts.worker, facts.release_job, facts.pytest_job):
            assert named <= process.files.files, process.component


def test_every_file_is_read_by_somebody() -> None:
    assert set(pod_files()) == {file for one in SETS for file in one.files}


def test_sets_of_one_version_have_names_of_their_own() -> None:
    for facts in AIRFLOW.values():
        sets = {
            one.files
            for one in (*facts.processes, facts.worker, facts.release_job, facts.pytest_job)
        }
        assert len({one.name for one in sets}) == len(sets)
