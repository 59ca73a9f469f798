"""A run of a program reads a project of several Deployments once; the next run reads it again."""

from pathlib import Path

import pytest

import astro_pulumi as astro
from astro_pulumi.project import astro_project, lint
from astro_pulumi.project.image_files import Listing
from tests.mock_engine import Program, run, write_project


def versions(program: Program) -> set[str]:
    """Of Airflow, as the workloads say it."""
    kept = [r for r in program.kinds("ConfigMap") if r.name.endswith("-content")]
    return {r.inputs["metadata"]["annotations"]["astro-pulumi/airflow-version"] for r in kept}


def test_a_project_of_two_deployments_is_read_once_in_each_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reads = []

    def inspect(listing: Listing) -> object:
        reads.append(listing)
        return lint.inspect(listing)

    monkeypatch.setattr(astro_project, "inspect", inspect)

    def program() -> None:
        for name in ("one", "two"):
            registry = astro.RegistryArgs(repository=f"registry.test/{name}")
            args = astro.DeploymentArgs(project="project", registry=registry)
            astro.Deployment(name, args)

    seen = []
    for base in ("acme/runtime:3.3-1", "acme/runtime:3.2-1"):
        write_project(tmp_path / "project", base)
        seen.append(versions(run(program)))
    assert seen == [{"3.3"}, {"3.2"}]
    assert len(reads) == 2
