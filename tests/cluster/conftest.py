"""The quickstart on a real cluster: a stack of its own, removed at the end.

The user's own quickstart is not touched: the Pulumi project is a copy, with a backend of its own, and
the component gives the stack a namespace of its own.
"""

import json
import random
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local import platform as local_platform
from local.airflow_api import Airflow
from local.choice import Choice
from local.platform import Platform
from local.progress import Progress
from local.quickstart import REPOSITORY_ROOT, platform_settings, tag_example_base_image
from local.stack import Stack, StackError
from tests.cluster.kube import Kube

# An Astro project with tests of its own, which a Job runs.
collect_ignore = ["any_user"]
NODE_PORTS = range(30100, 32768)
STACK_NAME = "test"


@dataclass
class DeployedStack:
    """A Pulumi stack of its own that is deployed to the cluster."""

    stack: Stack
    platform: Platform
    kube: Kube
    # What `pulumi up` printed each time, the newest last.
    logs: list[str] = field(default_factory=list, repr=False)
    # Not in the repr, which pytest shows: one of them is a password.
    outputs: dict[str, Any] = field(default_factory=dict, repr=False)
    seconds: float = 0.0

    def up(self) -> None:
        """Deploys what the program and its projects are now."""
        file = self.stack.directory / f"up-{len(self.logs)}.log"
        started = time.monotonic()
        try:
            with file.open("w") as log:
                self.stack.up(log)
        except StackError as error:
            _, _, diagnostics = file.read_text().partition("Diagnostics:")
            raise StackError(error.what, why=diagnostics or error.why) from None
        finally:
            self.seconds = time.monotonic() - started
            self.logs.append(file.read_text())
            sys.stdout.write(self.logs[-1])  # shown when a test fails
        self.outputs = self.stack.outputs()

    def state_file(self) -> str:
        """The text of the stack's state."""
        files = list((self.stack.directory / "backend").rglob(f"{STACK_NAME}.json"))
        assert len(files) == 1, files
        return files[0].read_text()


@dataclass
class Deployed(DeployedStack):
    """The quickstart."""

    @property
    def project(self) -> Path:
        """The Astro project that is deployed."""
        return self.stack.directory / "examples" / "quickstart" / "project"

    @property
    def namespace(self) -> str:
        return str(self.outputs["namespace"])

    @property
    def airflow(self) -> Airflow:
        """A new client: the one before may hold connections to pods that are gone."""
        return Airflow(
            self.outputs["webserver_url"],
            self.outputs["admin_username"],
            self.outputs["admin_password"],
        )


@pytest.fixture(scope="session")
def platform() -> Platform:
    """The local platform, or the cluster that the environment chooses."""
    with Progress(Console(stderr=True, highlight=False)) as progress:
        return local_platform.up(progress, Choice.make())


@pytest.fixture(scope="session")
def kube(platform: Platform) -> Kube:
    return Kube(str(platform.kubeconfig), platform.context)


@pytest.fixture(scope="session")
def deployed(
    platform: Platform,
    kube: Kube,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployed]:
    """The quickstart, up and healthy."""
    stack = new_quickstart(tmp_path_factory.mktemp("quickstart"), platform, kube, "test")
    deployed = Deployed(stack, platform, kube)
    try:
        deployed.up()
        deployed.airflow.wait_until_healthy(300)
        yield deployed
    finally:
        stack.destroy()


def new_stack(directory: Path, platform: Platform) -> Stack:
    """A stack of the Pulumi project in `directory`, with a backend of its own there."""
    (directory / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    backend = directory / "backend"
    backend.mkdir()
    environment = {
        **platform.environment(),
        "PULUMI_BACKEND_URL": f"file://{backend}",
        "PULUMI_CONFIG_PASSPHRASE": "the passphrase of a test",
    }
    return Stack(directory, STACK_NAME, environment)


def new_quickstart(
    directory: Path, platform: Platform, kube: Kube, name: str, **settings: str | int
) -> Stack:
    """A stack of the quickstart, ready to be deployed. Its image is pushed as `quickstart-<name>`."""
    copy_pulumi_project(directory)
    stack = new_stack(directory, platform)
    own = {
        "repository": f"{platform.registry}/quickstart-{name}",
        "nodePort": free_node_port(kube),
        **settings,
    }
    stack.configure(
        {
            **platform_settings(platform),
            **{f"quickstart:{key}": value for key, value in own.items()},
        }
    )
    tag_example_base_image(platform)
    return stack


def remove_namespaces(stack: Stack, platform: Platform) -> None:
    """Removes the namespaces that a stack made, without waiting for them.

    `pulumi destroy`, which waits for every pod, has tests of its own.
    """
    exported = stack.capture(stack.command("stack", "export"))
    resources = json.loads(exported.stdout)["deployment"].get("resources", [])
    kubectl = ["kubectl", "--context", platform.context]
    for one in resources:
        if one["type"] == "kubernetes:core/v1:Namespace":
            name = one["id"]
            stack.capture([*kubectl, "delete", "namespace", name, "--wait=false"])
            stack.capture(
                [*kubectl, "-n", name, "delete", "pods", "--all", "--now", "--wait=false"]
            )


def copy_program(source: Path, directory: Path, platform: Platform) -> Stack:
    """Copies a Pulumi program; -> a stack of it, with a backend beside it."""
    shutil.copytree(source, directory)
    return new_stack(directory, platform)


def copy_pulumi_project(directory: Path) -> None:
    """Copies the root's Pulumi project with the example."""
    shutil.copy(REPOSITORY_ROOT / "Pulumi.yaml", directory)
    shutil.copytree(
        REPOSITORY_ROOT / "examples" / "quickstart",
        directory / "examples" / "quickstart",
        ignore=shutil.ignore_patterns(".astro-pulumi", "__pycache__"),
    )


def free_node_port(kube: Kube) -> int:
    """A port that no Service uses. Any of them: two test runs may look for one at the same time."""
    used = {
        port.get("nodePort")
        for service in kube.objects("Service")
        for port in service["spec"].get("ports", [])
    }
    return random.choice([port for port in NODE_PORTS if port not in used])  # noqa: S311


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one stack run in one process, and what destroys it last."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(key=lambda item: item.path.name == "test_destroy.py")


def group_of(item: pytest.Item) -> str:
    """What shares a stack with a test: all that use the session's, its folder, or its file."""
    assert isinstance(item, pytest.Function)
    if "deployed" in item.fixturenames and not hasattr(item.module, "deployed"):
        return "quickstart"
    folder = item.path.parent
    return item.path.name if folder == Path(__file__).parent else folder.name
