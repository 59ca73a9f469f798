"""Records as the Deployment writes them and as readers find them."""

import json
from contextlib import chdir
from typing import Any

import pulumi
import pytest

import astro_pulumi as astro
from astro_pulumi.release import provenance
from astro_pulumi.release.release_records import (
    FINDINGS,
    NUMBER,
    RELEASES,
    parse_record,
    parse_records,
)
from tests.mock_engine import UNKNOWN, Program, deploy, run, write_project
from tests.specs import arguments


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("program")
    with chdir(folder):
        return deploy(
            {
                "project": write_project(folder / "project"),
                "registry": {"repository": "ghcr.io/acme/analytics"},
                "environment": {"LEVEL": "INFO"},
            },
            config={"astro:description": "the first"},
        )


def test_a_record_says_what_ran(program: Program) -> None:
    inputs = program.get("analytics-release").inputs
    release = parse_record(inputs)
    assert release is not None
    assert inputs["metadata"]["name"] == "analytics-release-7"
    assert release.number == 7
    assert release.image.startswith("ghcr.io/acme/analytics@sha256:")
    assert release.airflow_version == "3.1.5"  # what the Job found, not what the tag promises
    assert release.heads == {"core": "d2f4e1b3c5a7"}
    assert release.dags == ("daily",)
    assert release.configuration == {"environment": {"LEVEL": "INFO"}}
    assert release.project_hash
    assert release.description == "the first"
    assert release.by


def test_the_current_release_lists_the_others(program: Program) -> None:
    current = program.get("analytics-current-release").inputs["metadata"]
    assert current["name"] == "analytics-release"
    assert current["annotations"][NUMBER] == "7"
    assert set(json.loads(current["annotations"][RELEASES])) == {"6", "7"}
    assert "analytics-release" in program.get("analytics-current-release").dependencies


def test_no_time_and_no_person_makes_a_second_up_differ(program: Program) -> None:
    """Who and when are in an object of their own, which keeps what it was made with for one number."""
    origin = program.get("analytics-origin", "ConfigMap")
    assert origin.replaced_with == "string-of-analytics-objects-trigger-7"
    job = program.get("analytics-release-job", "Job")
    assert FINDINGS not in job.inputs["metadata"]["annotations"]


def content(preview: bool = False, **more: Any) -> str:
    """The fingerprint that the release Job is given."""
    made: list[str] = []

    def program() -> None:
        astro.Deployment("analytics", arguments(**{k: v() for k, v in more.items()}))

    job = run(program, preview=preview).get("analytics-release-job", "Job")
    made += [e["value"] for e in job.container["env"] if e["name"] == "ASTRO_RELEASE_CONTENT"]
    assert len(made) == 1
    return made[0]


def test_another_value_of_an_output_is_another_release() -> None:
    def environment(value: Any) -> dict[str, Any]:
        return {"environment": lambda: {"LEVEL": value()}}

    info = content(**environment(lambda: "INFO"))
    assert len(info) == 8
    assert content(**environment(lambda: pulumi.Output.from_input("INFO"))) == info
    assert content(**environment(lambda: pulumi.Output.from_input("DEBUG"))) != info


def test_another_value_of_a_secret_is_the_same_content() -> None:
    """The Job reads it from its Secret, whose name changes."""
    first, second = (
        content(environment=lambda value=value: {"KEY": pulumi.Output.secret(value)})
        for value in ("a", "b")
    )
    assert first == second


def test_another_image_is_another_release() -> None:
    first, second = (
        content(image=lambda digit=digit: pulumi.Output.secret(f"acme/a@sha256:{digit * 64}"))
        for digit in "01"
    )
    assert first != second


def test_a_preview_does_without_the_content() -> None:
    unknown = lambda: {"LEVEL": pulumi.Output.from_input(pulumi.UNKNOWN)}  # noqa: E731
    assert content(preview=True, environment=unknown) == UNKNOWN


def test_only_the_release_job_has_a_token(program: Program) -> None:
    for workload in program.kinds("Deployment")[1:]:
        assert workload.pod["automountServiceAccountToken"] is False
    assert (
        program.get("analytics-release-job", "Job").pod["serviceAccountName"]
        == "analytics-release-job"
    )


def test_records_that_were_changed_by_hand_are_left_out() -> None:
    good = {"data": {"number": "2", "image": "a@sha256:b"}}
    assert [r.number for r in parse_records([{"data": {"number": "x"}}, {}, good])] == [2]


def test_the_newest_record_comes_first() -> None:
    items = [{"data": {"number": str(n), "image": "a"}} for n in (2, 10, 9)]
    assert [r.number for r in parse_records(items)] == [10, 9, 2]


def test_a_pipeline_is_known_by_its_variables() -> None:
    found = provenance.who_and_where(
        {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "octocat", "GITHUB_RUN_ID": "7"}
    )
    assert found == {"where": "GitHub Actions", "who": "octocat", "run": "7"}
    assert set(provenance.who_and_where({})) == {"where", "who"}


def test_the_title_of_the_ui_says_which_release_runs(program: Program) -> None:
    webserver = program.get("analytics-webserver", "Deployment")
    environment = {entry["name"]: entry["value"] for entry in webserver.container["env"]}
    assert environment["AIRFLOW__API__INSTANCE_NAME"].startswith("analytics, release 7")
