"""The examples in other languages and shapes stay true to the interface."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from tests import mock_engine
from tests.plugin.fake_engine import ROOT, started_plugin

CONFIG = {
    "repository": "ghcr.io/acme/analytics",
    "databaseImage": "postgres:17",
    "brokerImage": "redis:7",
}


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A copy: a program writes its build context beside itself."""
    return shutil.copytree(
        ROOT / "examples",
        tmp_path / "examples",
        ignore=shutil.ignore_patterns("node_modules", ".venv", ".astro-pulumi", "sdks"),
    )


def resolved(value: Any) -> Any:
    """As pulumi-yaml sends it: with the configuration's values for `${name}`, and floats for numbers."""
    if isinstance(value, dict):
        return {key: resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    named = re.fullmatch(r"\$\{(\w+)\}", value) if isinstance(value, str) else None
    return CONFIG[named[1]] if named else value


def test_the_yaml_program_is_constructed(examples: Path) -> None:
    program = yaml.safe_load((examples / "yaml" / "Pulumi.yaml").read_text())
    with started_plugin(examples / "yaml") as plugin:
        properties = resolved(program["resources"]["analytics"]["properties"])
        made = plugin.construct(properties)
    assert {r.name for r in made.resources if r.kind == "Deployment"} >= {
        "analytics-worker-default",
        "analytics-worker-heavy",
    }
    used = re.findall(r"\$\{analytics\.(\w+)\}", str(program["outputs"]))
    assert set(used) <= set(made.outputs)
    assert len(used) == len(program["outputs"])


def run(config: dict[str, str]) -> mock_engine.Program:
    """Run the program in the working directory."""
    project = {f"project:{key}": value for key, value in config.items()}
    return mock_engine.run(lambda: runpy.run_path("__main__.py") and None, config=project)


def test_the_platform_stack_runs_one_image_in_two_namespaces(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(examples / "platform-stack")
    made = run(CONFIG)
    assert len(made.kinds("Image")) == 1
    schedulers = [r for r in made.kinds("Deployment") if r.name.endswith("-scheduler")]
    (image,) = {r.container["image"] for r in schedulers}
    assert image.startswith("ghcr.io/acme/analytics@sha256:")
    assert len({r.inputs["metadata"]["namespace"] for r in schedulers}) == 2


@pytest.fixture
def github(examples: Path) -> Path:
    """The repository that the example for GitHub Actions is copied to, with an Astro project."""
    shutil.copytree(examples / "quickstart" / "project", examples / "github-actions" / "project")
    return examples / "github-actions"


def workflow(repository: Path) -> dict[str, Any]:
    text = (repository / ".github" / "workflows" / "deploy.yml").read_text()
    return cast(dict[str, Any], yaml.safe_load(text))


def test_the_program_for_github_actions_pulls_with_the_login_of_its_stack(
    github: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(github)
    made = run({**CONFIG, "registryUsername": "acme", "registryPassword": "hunter2"})
    assert made.get("analytics-image").inputs["registry"]["password"] == "hunter2"
    assert "hunter2" in made.get("analytics-registry").inputs["stringData"][".dockerconfigjson"]


def test_github_actions_lint_as_written(github: Path) -> None:
    (step,) = [s for s in workflow(github)["jobs"]["lint"]["steps"] if s.get("name") == "Lint"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def lint() -> int:
        command = ["bash", "-eo", "pipefail", "-c", step["run"]]
        return subprocess.run(command, cwd=github, env=environment, check=False).returncode

    assert lint() == 0
    (github / "project" / "dags" / "broken.py").write_text("from airflow import DAG\ndef\n")
    assert lint() == 1


def test_no_action_can_change_under_the_workflow(github: Path) -> None:
    used = [
        step["uses"]
        for job in workflow(github)["jobs"].values()
        for step in job["steps"]
        if "uses" in step
    ]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)


def test_secrets_reach_only_the_steps_that_need_them(github: Path) -> None:
    whole = workflow(github)
    assert whole["permissions"] == {"contents": "read"}
    with_secrets = {
        (name, step.get("name"))
        for name, job in whole["jobs"].items()
        for step in job["steps"]
        if "secrets." in str(step)
    }
    assert with_secrets == {("preview", "Preview"), ("deploy", "Deploy")}
    for job in whole["jobs"].values():
        assert "permissions" not in job
        assert "secrets." not in str({**job, "steps": []})
