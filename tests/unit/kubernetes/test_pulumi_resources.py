"""What all objects of a Deployment have in common: the object that they go with."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from tests.mock_engine import UNKNOWN, Program, Resource, deploy
from tests.specs import arguments

DATA = arguments(namespace="data")


def owner_uid(program: Program) -> Any:
    (owner,) = scheduler(program).inputs["metadata"]["ownerReferences"]
    return owner["uid"]


def scheduler(program: Program) -> Resource:
    return program.get("analytics-scheduler", "Deployment")


def test_the_first_preview_does_not_know_the_owner_yet() -> None:
    assert owner_uid(deploy(DATA, preview=True)) == UNKNOWN


def test_later_previews_know_it_and_have_nothing_to_change() -> None:
    """The state has the ConfigMap then, and Pulumi answers from it."""
    metadata = {"name": "analytics-owner", "uid": "uid-of-analytics-owner"}
    trigger = "analytics-objects-trigger"
    known: Mapping[str, Mapping[str, Any]] = {
        "analytics-owner": {"metadata": metadata},
        trigger: {"result": f"string-of-{trigger}"},
    }
    planned, done = deploy(DATA, preview=True, known=known), deploy(DATA)
    assert owner_uid(planned) == "uid-of-analytics-owner"
    # But for what only the release Job knows, all is as it was deployed.
    for name in ("analytics-postgresql", "analytics-redis"):
        assert planned.get(name, "StatefulSet").inputs == done.get(name, "StatefulSet").inputs


def test_an_object_without_a_uid_stops_the_deploy() -> None:
    """Rather than being made an owner that Kubernetes would not know."""
    known = {"analytics-owner": {"metadata": {"name": "analytics-owner"}}}
    with pytest.raises(pulumi.RunError, match="without a uid"):
        deploy(DATA, known=known)


def test_the_owner_says_what_it_is_for() -> None:
    owner = deploy(DATA).get("analytics-owner")
    assert owner.inputs["metadata"]["name"] == "analytics-owner", "found again after a kill"
    assert "Kubernetes deletes the Deployment" in owner.inputs["data"]["warning"]
    assert "ownerReferences" not in owner.inputs["metadata"]
