"""A destroy deletes the trigger of an object before the object, so that the next `up` replaces it."""

import json

import pytest

from astro_pulumi.release.release_records import FINDINGS
from tests.mock_engine import RELEASE_JOB_FOUND, Program, Resource, deploy
from tests.specs import arguments

# Of these, what is deleted first is made anew by every `up`, or it is kept.
NOT_REPLACED = ("Job", "PersistentVolumeClaim")


def depths(program: Program) -> dict[tuple[str, str], int]:
    """Return the longest path of dependencies below each resource. Pulumi deletes the deepest first."""
    found: dict[tuple[str, str], int] = {}
    for resource in program:  # is registered after what it needs
        below = (found[needed] for needed in resource.needs if needed in found)
        found[resource.type, resource.name] = 1 + max(below, default=0)
    return found


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="embedded"),
        pytest.param({"namespace": "data"}, id="own-namespace"),
        pytest.param({"pgbouncer": {"image": "pgbouncer:1"}}, id="pgbouncer"),
        pytest.param(
            {"pgbouncer": {"image": "pgbouncer:1"}, "database": {"url": "postgresql://u:p@h/d"}},
            id="pgbouncer-of-an-external-database",
        ),
    ],
)
def test_a_destroy_deletes_the_trigger_before_the_object(given: dict[str, object]) -> None:
    assert_triggers_go_first(deploy(arguments(**given)))


def test_so_it_does_after_an_upgrade_of_airflow() -> None:
    """Whose stages waited for each other."""
    found = {**RELEASE_JOB_FOUND, "airflowChanged": True}
    metadata = {"name": "job", "annotations": {FINDINGS: json.dumps(found)}}
    assert_triggers_go_first(
        deploy(arguments(), known={"analytics-release-job": {"metadata": metadata}})
    )


def assert_triggers_go_first(program: Program) -> None:
    deep = depths(program)
    late = []
    for resource in program:
        trigger = resource.replaced_with
        if isinstance(trigger, list):  # the origin is replaced with each release too
            trigger = trigger[0]
        if not resource.type.startswith("kubernetes:") or is_kept(resource):
            assert not trigger, resource.name
            continue
        assert trigger, f"{resource.kind} {resource.name} has no trigger"
        if resource.name.endswith(("-current-release", "-content", "-origin")):
            continue  # deleted at the very start, in milliseconds
        string = (
            "random:index/randomString:RandomString",
            trigger.removeprefix("string-of-"),
        )
        if deep[string] <= deep[resource.type, resource.name]:
            late.append(f"{resource.kind} {resource.name}")
    assert late == []


def is_kept(resource: Resource) -> bool:
    """Return whether an object is never replaced because a destroy was interrupted."""
    return (
        resource.kind in NOT_REPLACED
        or resource.retain_on_delete
        or resource.name.endswith("-owner")
    )


def test_the_workloads_go_before_what_they_need() -> None:
    program = deploy(arguments())
    triggers = {r.name: r.replaced_with for r in program if r.kind in ("Deployment", "StatefulSet")}
    assert triggers["analytics-scheduler"] == "string-of-analytics-workloads-trigger"
    assert triggers["analytics-postgresql"] == "string-of-analytics-objects-trigger"


def test_a_trigger_is_no_dependency() -> None:
    """Otherwise a destroy would delete it last."""
    program = deploy(arguments())
    scheduler = program.get("analytics-scheduler", "Deployment")
    assert not [name for name in scheduler.dependencies if name.endswith("-trigger")]
