"""Going back from programs in YAML and TypeScript: the record is read while the component is made."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import pytest

from tests.plugin.fake_engine import Plugin, output, started_plugin

# Where no registry answers: whether it has the image is left to Kubernetes then.
IMAGE = "localhost:1/acme/analytics@sha256:" + "3" * 64
# The project is not there any more; nobody looks.
PROGRAM = {
    "project": "gone",
    "namespace": "data",
    "registry": {"repository": "ghcr.io/acme/analytics"},
    "environment": {"LEVEL": "DEBUG"},
    "secretEnvironment": {"TOKEN": output("s3cret", secret=True)},
}
CLUSTER: Mapping[str, Mapping[str, Any]] = {
    "data/analytics-release": {
        "metadata": {
            "name": "analytics-release",
            "annotations": {
                "astro-pulumi/release": "5",
                "astro-pulumi/airflow-version": "3.3.2",
                "astro-pulumi/releases": json.dumps(
                    {"3": {"image": "sha256:" + "3" * 64}, "5": {"image": "sha256:55"}}
                ),
            },
        }
    },
    "data/analytics-release-3": {
        "metadata": {"name": "analytics-release-3"},
        "data": {
            "number": "3",
            "image": IMAGE,
            "airflowVersion": "3.2.2",
            "configuration": json.dumps({"environment": {"LEVEL": "INFO"}}),
        },
    },
}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    with started_plugin(tmp_path_factory.mktemp("program")) as running:
        yield running


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(
    ("asked", "config"),
    [
        ({"rollbackTo": 3.0}, {}),  # YAML: a number is a float
        ({"rollbackTo": "3"}, {}),
        ({"rollbackTo": "previous"}, {}),
        ({"rollbackTo": "sha256:333"}, {}),
        ({}, {"astro:rollbackTo": "3"}),
        ({}, {"astro:rollbackTo": "analytics=3,reports=9"}),
    ],
)
def test_image_and_configuration_are_those_of_the_release(
    plugin: Plugin, asked: dict[str, Any], config: dict[str, str], preview: bool
) -> None:
    made = plugin.construct({**PROGRAM, **asked}, preview=preview, config=config, cluster=CLUSTER)
    assert "Image" not in {r.kind for r in made.resources}
    assert made.get("analytics-scheduler", "Deployment").container["image"] == IMAGE
    assert made.get("analytics-settings").inputs["data"]["LEVEL"] == "INFO"
    assert made.get("analytics-environment", "Secret").inputs["stringData"]["TOKEN"] == "s3cret"
    assert made.outputs["image"] == IMAGE
    assert made.outputs["airflowVersion"] == "3.2.2"
    assert any("pinned to release" in text for text in made.said)
    assert any("downgrades the database" in text for text in made.said)


def test_the_namespace_may_be_an_output(plugin: Plugin) -> None:
    asked = {**PROGRAM, "namespace": output("data"), "rollbackTo": "3"}
    made = plugin.construct(asked, cluster=CLUSTER)
    assert made.outputs["image"] == IMAGE


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("4", "There is no release 4. Releases: 3, 5; current: 5."),
        ("last week", "'last week' is not a release"),
    ],
)
@pytest.mark.parametrize("preview", [True, False])
def test_a_release_that_is_not_there_is_refused(
    plugin: Plugin, asked: str, says: str, preview: bool
) -> None:
    assert says in refusal(plugin, {**PROGRAM, "rollbackTo": asked}, preview)


def test_a_record_that_was_deleted_by_hand_is_named(plugin: Plugin) -> None:
    said = refusal(plugin, {**PROGRAM, "rollbackTo": "5"}, preview=True)
    assert "record of release 5, ConfigMap analytics-release-5" in said


def test_a_deployment_that_was_never_deployed_has_nothing_to_go_back_to(plugin: Plugin) -> None:
    without = {key: value for key, value in PROGRAM.items() if key != "namespace"}
    said = refusal(plugin, {**without, "rollbackTo": "3"}, preview=True, cluster={})
    assert "there is no release to go back to" in said


def refusal(
    plugin: Plugin,
    inputs: dict[str, Any],
    preview: bool,
    cluster: Mapping[str, Mapping[str, Any]] = CLUSTER,
) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        plugin.construct(inputs, preview=preview, cluster=cluster)
    metadata: dict[str, Any] = dict(caught.value.trailing_metadata() or ())  # type: ignore[arg-type]
    details = str(metadata.get("grpc-status-details-bin", b"").decode(errors="replace"))
    told = f"{caught.value.details()} {details}"
    assert "Traceback" not in told, told
    return told
