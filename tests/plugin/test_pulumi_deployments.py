"""`examples/pulumi-deployments`: its programs run with Pulumi's mocks, its commands as they are written."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
import yaml

from tests import mock_engine
from tests.mock_engine import Program
from tests.plugin.fake_engine import ROOT

EXAMPLE = ROOT / "examples" / "pulumi-deployments"
STAGED = "ghcr.io/acme/analytics@sha256:" + "5" * 64


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The repository that the example is copied to, with an Astro project."""
    copied = shutil.copytree(
        EXAMPLE, tmp_path / "repository", ignore=shutil.ignore_patterns("venv", ".astro-pulumi")
    )
    shutil.copytree(ROOT / "examples" / "quickstart" / "project", copied / "project")
    return copied


@pytest.fixture
def run(repository: Path, monkeypatch: pytest.MonkeyPatch) -> "Runner":
    return Runner(repository, monkeypatch)


class Runner:
    """Runs the projects of the example; `result` of a program is what the stack exports."""

    def __init__(self, repository: Path, patch: pytest.MonkeyPatch) -> None:
        self.repository, self.patch = repository, patch

    def __call__(
        self,
        project: str,
        stack: str = "",
        more: dict[str, str] | None = None,
        preview: bool = False,
        others: dict[str, dict[str, str]] | None = None,
    ) -> Program:
        """Run one with the defaults of its `Pulumi.yaml`, the file of `stack`, and `more`.

        :param others: the outputs of other stacks, by name.
        """
        folder = self.repository / project
        described = yaml.safe_load((folder / "Pulumi.yaml").read_text())
        config: dict[str, Any] = {
            f"{'' if ':' in key else 'project:'}{key}": given.get("default", given.get("value"))
            for key, given in described["config"].items()
        }
        if stack:
            of_stack = yaml.safe_load((folder / f"Pulumi.{stack}.yaml").read_text())["config"]
            prefix = f"{described['name']}:"
            config |= {key.replace(prefix, "project:"): of_stack[key] for key in of_stack}
        config |= {f"project:{key}": value for key, value in (more or {}).items()}
        written = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in config.items()
        }
        known = {
            f"acme/{name}": {"outputs": outputs, "secretOutputNames": []}
            for name, outputs in (others or {}).items()
        }
        exported: dict[str, Any] = {}
        self.patch.chdir(folder)
        self.patch.setattr(pulumi, "export", exported.__setitem__)
        self.patch.setattr(pulumi, "get_organization", lambda: "acme")  # mocks have none

        def program() -> dict[str, Any]:
            runpy.run_path(str(folder / "__main__.py"))
            return exported

        return mock_engine.run(program, preview, known, config=written)


def scheduler_image(program: Program) -> str:
    return str(program.get("analytics-scheduler", "Deployment").container["image"])


def test_staging_runs_the_image_that_the_build_job_wrote(run: Runner) -> None:
    program = run("airflow", "staging")
    written = yaml.safe_load((EXAMPLE / "airflow" / "Pulumi.staging.yaml").read_text())
    assert scheduler_image(program) == written["config"]["analytics:image"]
    assert program.kinds("Image") == [], "no Docker is needed"


def test_staging_runs_the_image_that_a_runner_with_docker_built(run: Runner) -> None:
    built = run("image")
    assert len(built.kinds("Image")) == 1
    others = {"analytics-image/main": {"image": built.result["image"]}}
    program = run("airflow", "staging", {"imageFrom": "analytics-image/main"}, others=others)
    assert scheduler_image(program) == built.result["image"]


def test_production_runs_the_digest_of_staging(run: Runner) -> None:
    staging = run("airflow", "staging", {"image": STAGED})
    assert staging.result["image"] == STAGED
    others = {"analytics/staging": {"image": staging.result["image"]}}
    production = run("airflow", "production", others=others)
    assert scheduler_image(production) == STAGED
    assert production.result["image"] == STAGED


def test_a_preview_of_a_promotion_shows_the_digest(run: Runner) -> None:
    others = {"analytics/staging": {"image": STAGED}}
    assert scheduler_image(run("airflow", "production", preview=True, others=others)) == STAGED


def test_staging_exports_its_image_when_the_release_is_recorded_and_not_before(
    run: Runner,
) -> None:
    preview = run("airflow", "staging", preview=True)
    assert scheduler_image(preview).endswith("0" * 64)
    assert not isinstance(preview.result["image"], str)


def test_production_says_that_staging_comes_first(run: Runner) -> None:
    others: dict[str, dict[str, str]] = {"analytics/staging": {}}
    with pytest.raises(pulumi.RunError, match="analytics/staging has no output `image` yet"):
        run("airflow", "production", others=others)


def test_each_stack_has_its_sizes(run: Runner) -> None:
    others = {"analytics/staging": {"image": STAGED}}
    staging, production = run("airflow", "staging"), run("airflow", "production", others=others)
    requests = {
        program.get("analytics-worker-default", "Deployment").container["resources"]["requests"][
            "cpu"
        ]
        for program in (staging, production)
    }
    assert requests == {"50m", "1"}


def settings() -> dict[str, dict[str, Any]]:
    """The deployment settings by stack."""
    program = yaml.safe_load((EXAMPLE / "settings" / "Pulumi.yaml").read_text())
    made = {}
    for resource in program["resources"].values():
        assert resource["type"] == "pulumiservice:DeploymentSettings"
        properties = resource["properties"]
        commands = properties["operationContext"]["preRunCommands"]
        name = commands.removeprefix("${").removesuffix("}")
        properties["operationContext"]["preRunCommands"] = program["variables"][name]
        made[properties["stack"]] = properties
    return made


def test_the_settings_are_of_the_stacks_that_there_are(repository: Path) -> None:
    stacks = {path.suffixes[0][1:] for path in (EXAMPLE / "airflow").glob("Pulumi.*.yaml")}
    assert set(settings()) == stacks == {"staging", "production"}
    for given in settings().values():
        folder = repository / given["sourceContext"]["git"]["repoDir"]
        assert yaml.safe_load((folder / "Pulumi.yaml").read_text())["name"] == given["project"]
        for pattern in given["vcs"]["paths"]:
            assert (repository / pattern.removesuffix("/**")).is_dir()


def test_pull_requests_are_previewed_and_only_staging_follows_main() -> None:
    found = settings()
    assert all(given["vcs"]["previewPullRequests"] for given in found.values())
    assert {stack: given["vcs"]["deployCommits"] for stack, given in found.items()} == {
        "staging": True,
        "production": False,
    }


@pytest.mark.parametrize("stack", ["staging", "production"])
def test_a_project_with_an_error_ends_the_deployment_before_pulumi(
    repository: Path, stack: str
) -> None:
    given = settings()[stack]
    command = given["operationContext"]["preRunCommands"][-1]
    installed = "/tmp/lint/bin/"  # noqa: S108 the virtual environment that the commands make
    assert command.startswith(installed)

    def lint() -> int:
        here = command.replace(installed, f"{Path(sys.executable).parent}/")
        folder = repository / given["sourceContext"]["git"]["repoDir"]
        return subprocess.run(["bash", "-c", here], cwd=folder, check=False).returncode

    assert lint() == 0
    (repository / "project" / "dags" / "broken.py").write_text("from airflow import DAG\ndef\n")
    assert lint() == 1


def steps() -> dict[str, dict[str, Any]]:
    """The steps of the build job by name; an action's is what it uses."""
    text = (EXAMPLE / ".github" / "workflows" / "image.yml").read_text()
    (job,) = cast(dict[str, Any], yaml.safe_load(text))["jobs"].values()
    return {step.get("name", step.get("uses")): step for step in job["steps"]}


def test_the_build_job_writes_the_digest_and_nothing_else(repository: Path) -> None:
    file = repository / "airflow" / "Pulumi.staging.yaml"
    before = yaml.safe_load(file.read_text())
    command = steps()["Write the digest"]["run"]
    environment = {**os.environ, "IMAGE": STAGED}
    subprocess.run(["bash", "-c", command], cwd=repository, env=environment, check=True)
    after = yaml.safe_load(file.read_text())
    assert after["config"].pop("analytics:image") == STAGED
    del before["config"]["analytics:image"]
    assert after == before


def test_no_action_of_the_build_job_can_change() -> None:
    actions = [name for name in steps() if "@" in name]
    assert actions
    for action in actions:
        assert len(action.partition("@")[2]) == len("3d3c42e5aac5ba805825da76410c181273ba90b1")
