"""The components as programs in other languages use them: the real plugin process, over gRPC."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.mock_engine import UNKNOWN, Secret, write_project
from tests.plugin.fake_engine import Plugin, output, secret, started_plugin

REGISTRY = {"repository": "ghcr.io/acme/analytics"}
BUILT = {"image": "ghcr.io/acme/analytics@sha256:" + "a" * 64, "airflowVersion": "3.1"}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    directory: Path = tmp_path_factory.mktemp("program")
    write_project(directory / "project")
    with started_plugin(directory) as running:
        yield running


def refused(
    plugin: Plugin, inputs: dict[str, Any], component: str = "Deployment", preview: bool = False
) -> str:
    """What the user reads when these inputs are refused."""
    with pytest.raises(grpc.RpcError) as caught:
        plugin.construct(inputs, component, preview=preview)
    error = caught.value
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error.details()
    metadata: dict[str, Any] = dict(error.trailing_metadata())  # type: ignore[arg-type]
    details: str = metadata["grpc-status-details-bin"].decode(errors="replace")
    assert "Traceback" not in details
    assert ".py" not in details
    return details


def test_a_yaml_program_deploys_a_project(plugin: Plugin) -> None:
    made = plugin.construct(
        {
            "project": "project",
            "registry": {
                **REGISTRY,
                "username": "acme",
                "password": output("hunter2", secret=True),
            },
            "workerQueues": [
                {"name": "default", "concurrency": 4.0},
                {"name": "heavy", "minCount": 2.0, "resources": {"limits": {"memory": "8Gi"}}},
            ],
            "environment": {"AIRFLOW__CORE__PARALLELISM": "64"},
            "secretEnvironment": {"TOKEN": output("s3cret", secret=True)},
        }
    )
    assert made.get("analytics-image").inputs["registry"]["password"] == "hunter2"
    assert isinstance(made.get("analytics-image").inputs["registry"]["password"], Secret)
    workers = {r.name: r for r in made.resources if r.kind == "Deployment"}
    arguments = workers["analytics-worker-default"].container["args"]
    assert arguments[arguments.index("--concurrency") + 1] == "4"
    assert workers["analytics-worker-heavy"].inputs["spec"]["replicas"] == 2
    settings = made.get("analytics-settings").inputs["data"]
    assert settings["AIRFLOW__CORE__PARALLELISM"] == "64"
    environment = made.get("analytics-environment", "Secret").inputs["stringData"]
    assert environment["TOKEN"] == "s3cret"
    assert made.outputs["image"].startswith("ghcr.io/acme/analytics@sha256:")
    assert made.outputs["airflowVersion"] == "3.3"
    assert made.secret_outputs == {"adminPassword"}


@pytest.mark.parametrize("preview", [False, True])
def test_an_output_is_refused_like_a_plain_value(plugin: Plugin, preview: bool) -> None:
    for value in (5, output(5), output(5, secret=True)):
        details = refused(
            plugin, {**BUILT, "registry": {**REGISTRY, "pullSecret": value}}, preview=preview
        )
        assert "registry.pullSecret: must be a string, not a number (5.0)" in details
    assert plugin.construct(BUILT).outputs["airflowVersion"] == "3.1"


def test_a_mapping_may_be_secret_as_a_whole(plugin: Plugin) -> None:
    """Its items are secret then."""
    for whole in (secret({"TOKEN": "s3cret"}), output({"TOKEN": "s3cret"}, secret=True)):
        made = plugin.construct({**BUILT, "secretEnvironment": whole})
        token = made.get("analytics-environment", "Secret").inputs["stringData"]["TOKEN"]
        assert token == "s3cret"
        assert isinstance(token, Secret)
    registry = secret({**REGISTRY, "username": "acme", "password": "hunter2"})
    login = plugin.construct({**BUILT, "registry": registry}).get("analytics-registry", "Secret")
    assert "hunter2" in login.inputs["stringData"][".dockerconfigjson"]
    unknown = {**BUILT, "secretEnvironment": UNKNOWN}
    assert "secretEnvironment: is unknown as a whole" in refused(plugin, unknown, preview=True)


def test_a_preview_needs_neither_docker_nor_cluster(plugin: Plugin) -> None:
    planned = plugin.construct({"project": "project", "registry": REGISTRY}, preview=True)
    assert planned.outputs["image"] == UNKNOWN
    assert planned.outputs["airflowVersion"] == "3.3"


def test_a_project_image_is_built_alone(plugin: Plugin) -> None:
    made = plugin.construct({"project": "project", "registry": REGISTRY}, "ProjectImage")
    assert [r.kind for r in made.resources] == ["ProjectImage", "Image"]
    assert made.outputs["image"].startswith("ghcr.io/acme/analytics@sha256:")


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, ["give either `project`", "`image`"]),
        ({**BUILT, "workerQueue": []}, ["workerQueue: there is no such argument", "workerQueues"]),
        (
            {**BUILT, "workerQueues": [{"name": "a", "minCount": 1.5}]},
            ["workerQueues[0].minCount: must be a whole number, not 1.5"],
        ),
        ({**BUILT, "workerQueues": output([])}, ["workerQueues: is empty; leave it out"]),
        ({**BUILT, "workerQueues": output("a")}, ["workerQueues: must be a list"]),
        (
            {**BUILT, "workerQueues": output([{"name": "a"}])},
            ["workerQueues[0].name: must be known when the program runs"],
        ),
        ({**BUILT, "airflowVersion": output("3.1")}, ["airflowVersion", "must be known"]),
        ({"image": BUILT["image"]}, ["airflowVersion: is required with `image`"]),
        ({"project": "nowhere", "registry": REGISTRY}, ["nowhere: there is no such directory"]),
    ],
)
def test_a_bad_argument_is_explained(
    plugin: Plugin, inputs: dict[str, Any], says: list[str]
) -> None:
    told = refused(plugin, inputs)
    for words in says:
        assert words in told


def test_the_schema_served_is_the_committed_one(plugin: Plugin) -> None:
    committed = (Path(__file__).parents[2] / "schema.json").read_text()
    assert json.loads(plugin.schema()) == json.loads(committed)


@pytest.mark.parametrize("preview", [True, False])
def test_what_changes_is_told(plugin: Plugin, preview: bool) -> None:
    inputs = {"project": "project", "registry": REGISTRY}
    first = plugin.construct(inputs | {"workerQueues": [{"name": "default"}, {"name": "heavy"}]})
    before = {"analytics-content": first.get("analytics-content").inputs}
    second = plugin.construct(inputs, preview=preview, before=before)
    gone = "worker queue is removed: heavy."
    assert [text for text in second.said if text.startswith(gone)]
    created = plugin.construct(inputs, preview=preview)  # nothing to compare with
    assert not [text for text in created.said if "queue" in text]


def test_a_pulumi_that_is_too_old_is_told_which_one_is_needed(tmp_path: Path) -> None:
    said = 'Pulumi CLI version 3.200.0 does not satisfy the version range ">=3.219.0"'
    with started_plugin(tmp_path, refusal=said) as old:
        details = refused(old, BUILT)
    assert "needs Pulumi 3.219.0 or newer" in details
    assert "3.200.0" in details
    assert "Nothing was changed" in details
