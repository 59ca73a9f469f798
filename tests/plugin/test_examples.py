"""The examples in other languages and shapes stay true to the interface."""

import re
import runpy
import shutil
from pathlib import Path
from typing import Any

import pulumi
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


def test_the_platform_stack_runs_one_image_in_two_namespaces(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(examples / "platform-stack")

    def program() -> None:
        for key, value in CONFIG.items():
            pulumi.runtime.set_config(f"project:{key}", value)
        runpy.run_path("__main__.py")

    made = mock_engine.run(program)
    assert len(made.kinds("Image")) == 1
    schedulers = [r for r in made.kinds("Deployment") if r.name.endswith("-scheduler")]
    (image,) = {r.container["image"] for r in schedulers}
    assert image.startswith("ghcr.io/acme/analytics@sha256:")
    assert len({r.inputs["metadata"]["namespace"] for r in schedulers}) == 2
