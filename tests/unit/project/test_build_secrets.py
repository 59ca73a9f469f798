"""Secrets reach the pip that installs requirements.txt, or the project's build is refused with the remedy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from astro_pulumi.project import read_project
from astro_pulumi.project.build_secrets import CARRIER, PIP_WITH_SECRETS, pack
from tests.unit.project.projects import Changes, write_project

SECRETS = {"PYPI_PASSWORD": "p'\"$ss \\ wörd", "PIP_EXTRA_INDEX_URL": "https://u:p@pypi.acme.com"}
# A pip that prints how it was called.
FAKE_PIP = f"""\
import json, os, sys
print(json.dumps([sys.argv[1:], os.environ.get({CARRIER!r}),
    {{name: os.environ.get(name) for name in {list(SECRETS)!r}}}]))
"""


def pip_of_the_build(folder: Path, environment: dict[str, str]) -> list[object]:
    """Run the step of the build, as its shell does. Return pip's arguments, the carrier and the secrets."""
    package = folder / "pip"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FAKE_PIP)
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -c '{PIP_WITH_SECRETS}' install -r requirements.txt"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    called: list[object] = json.loads(done.stdout)
    return called


def test_pip_gets_the_secrets_as_variables(tmp_path: Path) -> None:
    called = pip_of_the_build(tmp_path, {CARRIER: pack(SECRETS)})
    assert called == [["install", "-r", "requirements.txt"], None, SECRETS]


@pytest.mark.parametrize("environment", [{}, {CARRIER: "http://proxy.acme.com:2121"}])
def test_without_secrets_pip_is_called_as_ever(environment: dict[str, str], tmp_path: Path) -> None:
    called = pip_of_the_build(tmp_path, environment)
    assert called == [["install", "-r", "requirements.txt"], None, dict.fromkeys(SECRETS)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Dockerfile": "FROM apache/airflow:3.1.0\n"}, None),
        ({"Dockerfile": "FROM quay.io/astronomer/astro-runtime:12.4.0-base\n"}, None),
        (
            {"Dockerfile": "FROM quay.io/astronomer/astro-runtime:12.4.0-python-3.11\n"},
            "Write FROM quay.io/astronomer/astro-runtime:12.4.0-python-3.11-base;",
        ),
        (
            {
                "Dockerfile": "FROM apache/airflow:3.1.0\nCOPY requirements.txt .\n"
                "RUN pip install -r requirements.txt\n"
            },
            "Remove its COPY and RUN of that file",
        ),
        ({"Dockerfile": "FROM apache/airflow:3.1.0\nCOPY . .\n"}, "give `image`"),
        ({"Dockerfile": "FROM ghcr.io/acme/airflow-base:7\n"}, "give `image`"),
        (
            {"Dockerfile": "FROM apache/airflow:3.1.0\n", "requirements.txt": None},
            "there is no such file",
        ),
        (
            {"Dockerfile": f"FROM apache/airflow:3.1.0\nARG {CARRIER}\n"},
            "declares `ARG FTP_PROXY` (line 2)",
        ),
        (
            {
                "Dockerfile": "FROM apache/airflow:3.1.0\n",
                "requirements.txt": "a==1\n-e git+https://${TOKEN}@github.com/acme/b.git#egg=b\n",
            },
            "requirements.txt:2: the image keeps the clone",
        ),
        (
            {
                "Dockerfile": "FROM apache/airflow:3.1.0\n",
                "requirements.txt": "b @ git+https://${TOKEN}@github.com/acme/b.git\n",
            },
            None,
        ),
    ],
)
def test_whether_a_build_takes_secrets(
    changes: Changes, reason: str | None, tmp_path: Path
) -> None:
    found = read_project(write_project(tmp_path, changes)).no_build_secrets
    if reason is None:
        assert found is None
    else:
        assert reason in str(found)


def test_a_variable_in_the_place_of_a_password_is_accepted(tmp_path: Path) -> None:
    index = "--extra-index-url https://acme:${PYPI_PASSWORD}@pypi.acme.com/simple\nlib==1.0\n"
    project = read_project(write_project(tmp_path, {"requirements.txt": index}))
    assert project.findings == ()
