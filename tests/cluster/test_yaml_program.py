"""The source plugin with the real Pulumi: `examples/yaml` is deployed through `PulumiPlugin.yaml`."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from local.platform import Platform
from local.quickstart import REPOSITORY_ROOT, tag_example_base_image
from local.stack import Stack
from tests.cluster.conftest import DeployedStack, new_stack, remove_namespaces
from tests.cluster.kube import Kube


@pytest.fixture(scope="module")
def program(
    platform: Platform, kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DeployedStack]:
    """The example, deployed from a copy."""
    examples = tmp_path_factory.mktemp("yaml") / "examples"
    shutil.copytree(
        REPOSITORY_ROOT / "examples",
        examples,
        ignore=shutil.ignore_patterns("node_modules", ".venv", ".astro-pulumi", "Pulumi.*.yaml"),
    )
    plugin = make_plugin(examples.parent / "plugin")
    file = examples / "yaml" / "Pulumi.yaml"
    text = file.read_text()
    assert yaml.safe_load(text)["packages"] == {"astro": "../.."}
    file.write_text(text.replace("../..", str(plugin), 1))
    tag_example_base_image(platform)
    stack = new_stack(examples / "yaml", platform)
    stack.configure(settings(platform))
    deployed = DeployedStack(stack, platform, kube)
    try:
        deployed.up()
        yield deployed
    finally:
        remove_namespaces(stack, platform)


def make_plugin(directory: Path) -> Path:
    """The plugin's files, with the Python environment of the tests in the place of its own."""
    directory.mkdir()
    for name in ("PulumiPlugin.yaml", "__main__.py"):
        shutil.copy(REPOSITORY_ROOT / name, directory)
    (directory / "venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    return directory


def settings(platform: Platform) -> dict[str, str | int]:
    return {
        "kubernetes:context": platform.context,
        "astro-yaml:repository": f"{platform.registry}/yaml-test",
        "astro-yaml:databaseImage": platform.postgres_image,
        "astro-yaml:brokerImage": platform.redis_image,
    }


def test_a_program_in_yaml_deploys_every_process(program: DeployedStack) -> None:
    namespace = namespace_of(program.stack)
    ready = {
        item["metadata"]["name"]: item["status"].get("readyReplicas")
        for item in program.kube.objects("Deployment", namespace)
    }
    components = ("webserver", "scheduler", "triggerer", "dag-processor")
    queues = ("worker-default", "worker-heavy")
    assert ready == {f"analytics-{name}": 1 for name in (*components, *queues)}
    assert program.outputs["admin"] == "admin"
    assert program.outputs["release"] == "analytics-release-1"


def test_a_second_up_changes_nothing(program: DeployedStack) -> None:
    before = program.outputs
    program.up()
    assert " unchanged" in program.logs[-1]
    for word in ("created", "updated", "replaced", "deleted"):
        assert word not in program.logs[-1]
    assert program.outputs == before


def namespace_of(stack: Stack) -> str:
    """The namespace that the Deployment made, which this program does not export."""
    host = str(stack.outputs()["url"]).removeprefix("http://").partition(":")[0]
    return host.partition(".")[2]
