"""Build secrets go to the build as one secret argument, and nowhere else."""

from pathlib import Path
from typing import Any

import pulumi
import pytest

from astro_pulumi.project.build_secrets import CARRIER, pack
from tests.mock_engine import Secret, deploy, write_project
from tests.specs import REPOSITORY, arguments

SECRETS = {"PYPI_PASSWORD": "hunter2-hunter2"}


def built(folder: Path, monkeypatch: pytest.MonkeyPatch, secrets: dict[str, Any]) -> Any:
    """Return the resources of a Deployment whose project is built with `secrets`."""
    monkeypatch.chdir(folder)
    write_project(folder / "project")
    (folder / "project" / "Dockerfile").write_text("FROM apache/airflow:3.1.0\n")
    given = {
        "project": "project",
        "image": None,
        "airflow_version": None,
        "registry": {"repository": REPOSITORY},
        "build_secrets": secrets,
    }
    return deploy(arguments(**given))


@pytest.mark.parametrize("wrap", [str, pulumi.Output.from_input])
def test_the_build_gets_them_as_one_secret(
    wrap: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {name: wrap(value) for name, value in SECRETS.items()}
    resources = built(tmp_path, monkeypatch, secrets).resources
    (image,) = [one for one in resources if one.kind == "Image"]
    args = image.inputs["build"]["args"]
    assert args == {CARRIER: pack(SECRETS)}
    assert isinstance(args[CARRIER], Secret)
    others = [one for one in resources if one.kind != "Image"]
    assert SECRETS["PYPI_PASSWORD"] not in repr([one.inputs for one in others])
    assert pack(SECRETS) not in repr([one.inputs for one in others])


@pytest.mark.parametrize("name", ["pypi_password", "1A", "A-B", ""])
def test_a_name_that_pip_does_not_replace_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(pulumi.RunError, match="as pip wants it") as caught:
        built(tmp_path, monkeypatch, {name: "x"})
    assert f"build_secrets[{name!r}]" in str(caught.value)
