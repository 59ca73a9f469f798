"""Base images that install the project by themselves, and those that need the steps written out."""

from pathlib import Path

import pytest

from astro_pulumi.project import read_project
from astro_pulumi.project.build_context import write_build_context
from tests.mock_engine import write_project


def context_of(folder: Path, dockerfile: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)
    write_project(folder / "project")
    (folder / "project" / "Dockerfile").write_text(dockerfile)
    project = read_project(folder / "project")
    return (Path(write_build_context(project)) / "Dockerfile").read_text()


@pytest.mark.parametrize(
    "base",
    [
        "apache/airflow:2.10.4-python3.11",
        "apache/airflow:slim-3.1.0",
        "quay.io/astronomer/astro-runtime:12.4.0-base",
        "astrocrpublic.azurecr.io/runtime:3.2-3-base",
    ],
)
def test_steps_are_added(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = context_of(tmp_path, f"FROM {base}\nENV A=b", monkeypatch)
    assert written.startswith(f"FROM {base}\nENV A=b\n")
    assert "\nCOPY requirements.txt ./\n" in written
    assert "\nCOPY --chown=50000:0 . ./\n" in written


@pytest.mark.parametrize(
    "dockerfile",
    [
        "FROM astrocrpublic.azurecr.io/runtime:3.2-3\n",
        "FROM apache/airflow:2.10.4\nCOPY . .\n",
        "FROM apache/airflow:2.10.4\nCOPY dags/ /opt/airflow/dags/\n",
        'FROM apache/airflow:2.10.4\nCOPY --chown=airflow ["./dags", "/opt/airflow/dags"]\n',
        "FROM quay.io/astronomer/astro-runtime:12.4.0-base\nADD ./ /usr/local/airflow\n",
    ],
)
def test_a_dockerfile_that_is_complete_stays_as_it_is(
    dockerfile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert context_of(tmp_path, dockerfile, monkeypatch) == dockerfile


def test_dags_of_another_stage_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dockerfile = "FROM python:3.12 AS build\nCOPY . .\nFROM apache/airflow:2.10.4\n"
    assert "COPY --chown=50000:0 . ./" in context_of(tmp_path, dockerfile, monkeypatch)
