"""Build steps are added only if neither the base image, the frontend nor the Dockerfile has them."""

from pathlib import Path

import pytest

from astro_pulumi.project import read_project
from tests.unit.project.projects import DAG, Changes, write_project

AIRFLOW = "FROM apache/airflow:2.10.4\n"
NO_LISTS: Changes = {"packages.txt": None, "requirements.txt": None}


def steps_of(folder: Path, changes: Changes) -> list[str]:
    """Return the COPY instructions that are added."""
    steps = read_project(write_project(folder, changes)).build_steps
    return [line for line in steps.splitlines() if line.startswith("COPY")]


@pytest.mark.parametrize(
    "dockerfile",
    [
        "COPY backend /opt/airflow/backend\nENV AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/backend/dags",
        "COPY backend /opt/airflow",
        "COPY pipelines/ /opt/airflow/dags/",
        "COPY --from=build /out /opt/airflow/dags",
        "ADD https://acme.com/dags.tar.gz /opt/airflow/dags/",
        "WORKDIR /opt/airflow\nCOPY pipelines dags",
        "RUN git clone https://github.com/acme/pipelines /opt/airflow/dags",
        "ENV AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=[]",
    ],
)
def test_a_dockerfile_that_brings_its_dags_is_complete(dockerfile: str, tmp_path: Path) -> None:
    changes: Changes = {
        "Dockerfile": f"FROM busybox AS build\n{AIRFLOW}{dockerfile}\n",
        "dags/sales.py": None,
        "backend/dags/sales.py": DAG,
        "pipelines/sales.py": DAG,
        **NO_LISTS,
    }
    assert steps_of(tmp_path, changes) == []


@pytest.mark.parametrize(
    "dockerfile",
    [
        "COPY dags/requirements.txt ./",
        "COPY dbt /opt/airflow/dags/dbt",
        "RUN mkdir -p /opt/airflow/dags",
        "COPY include /opt/airflow/include",
        "FROM busybox\nCOPY . .\n" + AIRFLOW,
    ],
)
def test_a_dockerfile_without_dags_gets_the_steps(dockerfile: str, tmp_path: Path) -> None:
    changes: Changes = {
        "Dockerfile": f"{AIRFLOW}{dockerfile}\n",
        "dags/requirements.txt": "",
        "dbt/project.yml": "",
    }
    assert steps_of(tmp_path, changes) == [
        "COPY packages.txt ./",
        "COPY requirements.txt ./",
        "COPY --chown=50000:0 . ./",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"packages.txt": None}, ["COPY requirements.txt ./"]),
        ({"requirements.txt": None}, ["COPY packages.txt ./"]),
        (NO_LISTS, []),
        ({".dockerignore": "requirements.txt\n"}, ["COPY packages.txt ./"]),
        (
            {"Dockerfile": f"{AIRFLOW}COPY *.txt /\nRUN pip install -r /requirements.txt\n"},
            ["COPY packages.txt ./"],
        ),
        (
            {"Dockerfile": f"{AIRFLOW}COPY *.txt ./\nRUN apt-get install -y $(cat packages.txt)\n"},
            ["COPY requirements.txt ./"],
        ),
    ],
)
def test_steps_without_their_file_or_done_already_are_left_out(
    changes: Changes, expected: list[str], tmp_path: Path
) -> None:
    steps = steps_of(tmp_path, {"Dockerfile": AIRFLOW, **changes})
    assert steps == [*expected, "COPY --chown=50000:0 . ./"]


@pytest.mark.parametrize(
    ("first_line", "count"),
    [
        ("# syntax=quay.io/astronomer/airflow-extensions:v1", 0),
        ("# syntax = quay.io/astronomer/airflow-extensions", 0),
        ("# ours\n# syntax=quay.io/astronomer/airflow-extensions:v1", 3),  # not a directive
        ("# syntax=docker/dockerfile:1", 3),
    ],
)
def test_a_frontend_may_do_the_steps(first_line: str, count: int, tmp_path: Path) -> None:
    dockerfile = f"{first_line}\nFROM quay.io/astronomer/astro-runtime:12.1.0-base\n"
    assert len(steps_of(tmp_path, {"Dockerfile": dockerfile})) == count
