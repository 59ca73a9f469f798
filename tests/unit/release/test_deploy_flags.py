"""Decisions about a single deploy, as the stack's configuration makes them."""

from pathlib import Path
from typing import Any

import pulumi
import pytest

from astro_pulumi import stack_config
from tests.mock_engine import RELEASE_JOB_FOUND, deploy, write_project
from tests.specs import arguments

# The number of the release that the engine of these tests makes.
CURRENT = RELEASE_JOB_FOUND["number"]


def test_a_value_is_for_all_deployments_of_a_stack_or_for_those_named() -> None:
    assert stack_config.value_for("3", "analytics") == "3"
    assert stack_config.value_for("analytics=3, reports=previous", "reports") == "previous"
    assert stack_config.value_for("reports=3", "analytics") is None


@pytest.mark.parametrize(
    ("before", "deployments", "after"),
    [
        (None, ["analytics"], "7"),
        ("3", ["analytics"], "7"),
        (None, ["analytics", "reports"], "analytics=7"),
        ("analytics=3,reports=2", ["analytics", "reports"], "analytics=7,reports=2"),
        ("3", ["analytics", "reports"], "analytics=7,reports=3"),
    ],
)
def test_each_deployment_of_a_stack_has_a_value_of_its_own(
    before: str | None, deployments: list[str], after: str
) -> None:
    assert stack_config.with_value(before, "analytics", "7", deployments) == after


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"astro:skipDagParse": "true"}, "astro:skipDagParse: must be the number of the release"),
        ({"astro:skipDagParse": "analytics=x"}, "astro:skipDagParse: must be the number"),
        (
            {"astro:maxRemovedDags": "3"},
            "astro:maxRemovedDags: must be the number of a release and",
        ),
        (
            {"astro:confirmDatabaseChange": "yes"},
            "astro:confirmDatabaseChange: must be the kind of database to change to, "
            "embedded or external, not 'yes'",
        ),
    ],
)
def test_a_confirmation_without_what_it_allows_is_refused(
    config: dict[str, str], message: str
) -> None:
    with pytest.raises(pulumi.RunError, match=message):
        deploy(arguments(), config=config)


@pytest.mark.parametrize(
    ("config", "warning"),
    [
        ({"astro:skipDagParse": CURRENT, "astro:maxRemovedDags": f"{CURRENT}:3"}, ""),
        ({"astro:skipDagParse": "reports=1"}, ""),
        ({"astro:confirmDatabaseChange": "embedded"}, ""),
        (
            {"astro:skipDagParse": "6"},
            "analytics: astro:skipDagParse is for release 6, and release 7",
        ),
        ({"astro:maxRemovedDags": "analytics=8:2"}, "astro:maxRemovedDags is for release 8, and"),
        (
            {"astro:confirmDatabaseChange": "external"},
            "allows a change to a database that is external, and it is embedded: it was ignored. "
            "Remove it: `pulumi config rm astro:confirmDatabaseChange`",
        ),
    ],
)
def test_the_user_is_warned_of_a_confirmation_that_was_ignored(
    config: dict[str, str], warning: str
) -> None:
    said = [text for text in deploy(arguments(), config=config).warnings if "ignored" in text]
    if not warning:
        assert said == []
        return
    (text,) = said
    assert warning in text


def test_a_preview_of_a_new_release_warns_of_nothing_that_it_cannot_know() -> None:
    config = {"astro:skipDagParse": "6"}
    program = deploy(arguments(), preview=True, config=config)
    assert [text for text in program.warnings if "ignored" in text] == []


@pytest.mark.parametrize("config", [{}, {"astro:skipDagParse": "reports=7"}])
def test_a_project_without_dags_needs_a_confirmation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    args: Any = {
        "project": write_project(tmp_path / "project"),
        "registry": {"repository": "ghcr.io/acme/analytics"},
    }
    (tmp_path / "project" / "dags" / "hello.py").unlink()
    with pytest.raises(pulumi.RunError, match="AP501"):
        deploy(args, config=config)
    program = deploy(args, config={"astro:skipDagParse": "7"})
    annotations = program.get("analytics-release-job", "Job").inputs["metadata"]["annotations"]
    assert annotations["astro-pulumi/skip-dag-parse"] == "7"


def test_the_description_is_kept_with_the_release() -> None:
    program = deploy(arguments(), config={"astro:description": "new sales model"})
    (origin,) = (r for r in program.kinds("ConfigMap") if r.name.endswith("-origin"))
    assert origin.inputs["data"]["description"] == "new sales model"
