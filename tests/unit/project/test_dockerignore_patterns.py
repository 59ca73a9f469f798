"""`.dockerignore` is read as Docker reads it."""

import os
from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.project.dockerignore_patterns import DockerIgnore, InvalidPatternError
from astro_pulumi.project.image_files import list_files
from tests.unit.project.ignore_cases import CASES, FILES, Case
from tests.unit.project.projects import write_project

# What is never part of an image, though Docker would send it.
LOCAL = {".env", "logs/x.log"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_docker_leaves_out_is_left_out(case: Case) -> None:
    rules = DockerIgnore(case.text.split("\n"))
    assert {file for file in FILES if rules.ignores(file)} == case.left_out


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_walk_over_the_files_finds_the_same(case: Case, tmp_path: Path) -> None:
    write_project(tmp_path, {".dockerignore": case.text}, dict.fromkeys(FILES, "x"))
    found = {file.path for file in list_files(tmp_path).files}
    # The Dockerfile is always there: the build needs it.
    assert found == (set(FILES) - case.left_out - LOCAL) | {"Dockerfile"}


@pytest.mark.parametrize("pattern", ["!", "!/", "[", "a[", "a[]", "a[b", "[-a]", "a\\", "[a-]"])
def test_a_pattern_that_docker_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPatternError) as caught:
        DockerIgnore(["# first", "dags", pattern])
    assert caught.value.line == 3
    assert repr(pattern) in str(caught.value)


def test_a_dockerfiles_own_ignore_file_comes_first(tmp_path: Path) -> None:
    write_project(tmp_path, {".dockerignore": "dags\n", "Dockerfile.dockerignore": "include\n"})
    assert {file.path for file in list_files(tmp_path).files} == {
        "Dockerfile",
        "dags/sales.py",
        "packages.txt",
        "requirements.txt",
    }


def test_what_is_local_stays_local_whatever_the_ignore_file_says(tmp_path: Path) -> None:
    local = (
        ".env",
        "dags/.env",
        "airflow_settings.yaml",
        "include/airflow_settings.yml",
        "airflow.db",
        "airflow.db-wal",
        "airflow.cfg",
        ".git/config",
        ".astro/config.yaml",
        ".astro-pulumi/contexts/x",
        "logs/scheduler/latest.log",
        "dags/__pycache__/sales.pyc",
        "standalone_admin_password.txt",
        "simple_auth_manager_passwords.json.generated",
    )
    write_project(tmp_path, {".dockerignore": "!**\n!.env\n", **dict.fromkeys(local, "x")})
    assert {file.path for file in list_files(tmp_path).files} == {
        "Dockerfile",
        "dags/sales.py",
        "include/helpers.py",
        "packages.txt",
        "requirements.txt",
    }


def test_an_ignored_directory_is_not_even_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment has more files than all else."""
    write_project(tmp_path, {".venv/lib/module.py": "", ".dockerignore": ".venv\n!dags/keep.py\n"})
    read: list[str] = []

    def scandir(path: str) -> Any:
        read.append(Path(path).relative_to(tmp_path).as_posix())
        return real(path)

    real = os.scandir
    monkeypatch.setattr("os.scandir", scandir)
    list_files(tmp_path)
    assert sorted(read) == [".", "dags", "include"]
