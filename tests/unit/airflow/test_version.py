"""Which Airflow a base image carries, by its name: the forms that are found in public projects."""

from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.airflow.version import AirflowVersion, version_in_image
from astro_pulumi.errors import AstroError
from astro_pulumi.validation import specify
from tests.mock_engine import write_project

DIGEST = "sha256:" + "0" * 64
RUNTIMES = {f"{runtime}.1.0": f"2.{runtime - 2}" for runtime in range(4, 14)}


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        *((f"quay.io/astronomer/astro-runtime:{tag}", v) for tag, v in RUNTIMES.items()),
        ("quay.io/astronomer/astro-runtime:12.4.0", "2.10"),
        ("quay.io/astronomer/astro-runtime:9.6.0-base", "2.7"),
        ("quay.io/astronomer/astro-runtime:11.3.0-python-3.10", "2.9"),
        ("quay.io/astronomer/astro-runtime:11.3.0-python-3.10-base", "2.9"),
        ("quay.io/astronomer/astro-runtime:13.1.0-slim-base", "2.11"),
        (f"quay.io/astronomer/astro-runtime:12.4.0@{DIGEST}", "2.10"),
        ("astrocrpublic.azurecr.io/astronomer/astro-runtime:12.4.0", "2.10"),
        ("astrocrpublic.azurecr.io/runtime:3.1-5", "3.1"),
        ("astrocrpublic.azurecr.io/runtime:3.1-12", "3.1"),
        ("astrocrpublic.azurecr.io/runtime:3.2-3-base", "3.2"),
        (f"astrocrpublic.azurecr.io/runtime:3.2-3-base@{DIGEST}", "3.2"),
        ("astrocrpublic.azurecr.io/runtime-dev:3.0-1-nightly20250301", "3.0"),
        ("astrocrpublic.azurecr.io/runtime-dev:3.0-1.alpha2", "3.0"),
        ("images.astronomer.cloud/baseimages/astro-runtime:12.7.1", "2.10"),
        ("localhost:5000/runtime:3.3-1", "3.3"),
        ("apache/airflow:2.10.4-python3.11", "2.10.4"),
        ("apache/airflow:slim-3.1.0", "3.1.0"),
        ("apache/airflow:slim-2.10.4-python3.11", "2.10.4"),
        ("apache/airflow:3.1.0rc2", "3.1.0"),
        ("docker.io/apache/airflow:2.11.0", "2.11.0"),
        (f"apache/airflow:2.11.0@{DIGEST}", "2.11.0"),
        # These do not say.
        ("apache/airflow:latest", None),
        ("apache/airflow:latest-python3.12", None),
        ("apache/airflow", None),
        (f"apache/airflow@{DIGEST}", None),
        ("quay.io/astronomer/astro-runtime:latest", None),
        ("quay.io/astronomer/astro-runtime:3.0.4", None),
        ("quay.io/astronomer/astro-runtime:14.0.0", None),
        ("astrocrpublic.azurecr.io/runtime:3.1", None),
        ("localhost:5000/runtime", None),
        ("python:3.11", None),
        ("python:3.11.4-slim", None),
        ("ghcr.io/acme/base:2.10.4", None),
        ("ghcr.io/acme/airflow-base:2.10.4", None),
    ],
)
def test_version_in_image(reference: str, version: str | None) -> None:
    found = version_in_image(reference)
    assert (found and str(found)) == version


@pytest.mark.parametrize("text", ["", "3", "v3.1", "3.1.x", "3.1-5", "latest", "3.1.0.0"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="is not an Airflow version such as"):
        AirflowVersion.parse(text)


def version_of(folder: Path, dockerfile: str, **more: str) -> str:
    """Return the Airflow version of a Deployment whose project has this Dockerfile."""
    project = write_project(folder)
    (folder / "Dockerfile").write_text(dockerfile)
    registry = {"repository": "ghcr.io/acme/a"}
    given: Any = {"project": project, "registry": registry, **more}
    return str(specify("analytics", given).airflow_version)


def test_the_version_comes_from_the_dockerfile(tmp_path: Path) -> None:
    dockerfile = f"ARG TAG=2.11.0@{DIGEST}\nFROM node:22 AS ui\nFROM apache/airflow:${{TAG}}\n"
    assert version_of(tmp_path, dockerfile) == "2.11.0"


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("ghcr.io/acme/base:7", "whose tag does not say which Airflow it carries. State it as 3.1"),
        ("quay.io/astronomer/astro-runtime:8.1.0", "carries Airflow 2.6, which cannot be"),
    ],
)
def test_what_cannot_be_deployed_is_said(base: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(AstroError, match=says):
        version_of(tmp_path, f"FROM {base}\n")


def test_the_argument_comes_before_the_dockerfile(tmp_path: Path) -> None:
    dockerfile = "FROM ghcr.io/acme/base:7\n"
    assert version_of(tmp_path, dockerfile, airflow_version="3.2") == "3.2"
