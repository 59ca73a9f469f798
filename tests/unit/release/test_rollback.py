"""What a program declares when it goes back to a release."""

from dataclasses import replace
from pathlib import Path

import pytest

from astro_pulumi.release import rollback as rollbacks
from astro_pulumi.release.find_release import ListedRelease, ReleaseList
from astro_pulumi.release.release_records import Release
from astro_pulumi.release.rollback import Rollback, downgrade_warning
from tests.mock_engine import Program, deploy

# Where no registry answers: whether it has the image is left to Kubernetes then.
IMAGE = "localhost:1/acme/analytics@sha256:" + "3" * 64


def release(version: str = "3.3.2") -> Release:
    return Release(
        number=3,
        image=IMAGE,
        airflow_version=version,
        configuration={
            "environment": {"LEVEL": "INFO"},
            "worker_queues": [{"name": "old", "min_count": 2}],
        },
        project_hash="abc",
    )


def going_back(version: str, running: str) -> Rollback:
    release_list = ReleaseList(5, {3: ListedRelease("a"), 5: ListedRelease("b")}, None, running)
    return Rollback(release(version), "3", release_list)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A program whose project is not there any more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rollbacks, "read", lambda *_: going_back("3.3.2", "3.3.2"))
    return deploy(
        {
            "project": "gone",
            "registry": {"repository": "ghcr.io/acme/analytics"},
            "environment": {"LEVEL": "DEBUG"},
            "rollback_to": "3",
            "termination_grace_period_seconds": 60,
        }
    )


def test_nothing_is_built(program: Program) -> None:
    assert [resource for resource in program if resource.kind == "Image"] == []


def test_every_airflow_pod_runs_the_image_of_the_release(program: Program) -> None:
    workloads = [*program.kinds("Deployment")[1:], *program.kinds("Job")]
    assert {workload.container["image"] for workload in workloads} == {IMAGE}


def test_the_configuration_is_that_of_the_release(program: Program) -> None:
    assert program.get("analytics-settings").inputs["data"]["LEVEL"] == "INFO"
    (worker,) = (r for r in program.kinds("Deployment") if "-worker-" in r.name)
    assert worker.name == "analytics-worker-old"
    assert worker.inputs["spec"]["replicas"] == 2
    # Not given then: the default, not what the program says now.
    assert worker.pod["terminationGracePeriodSeconds"] == 600


def test_a_release_of_another_version_of_this_package_can_be_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has an argument that there is no more, and lacks one that there was not."""
    monkeypatch.chdir(tmp_path)
    back = going_back("3.3.2", "3.3.2")
    configuration = {**back.release.configuration, "flux_capacitor": {"size": 3}}
    older = replace(back, release=replace(back.release, configuration=configuration))
    monkeypatch.setattr(rollbacks, "read", lambda *_: older)
    program = deploy({"image": "unused@sha256:1", "rollback_to": "3", "log_retention_days": 0})
    assert any("flux_capacitor" in warning for warning in program.warnings)
    # The default, as then.
    assert len(program.get("analytics-scheduler", "Deployment").pod["containers"]) == 2


def test_the_new_record_says_what_it_restored(program: Program) -> None:
    data = program.get("analytics-release").inputs["data"]
    assert (data["restores"], data["rolledBackFrom"]) == ("3", "5")
    assert data["projectHash"] == "abc"


def test_the_user_is_told_that_it_is_pinned(program: Program) -> None:
    assert any("pinned to release 3" in warning for warning in program.warnings)


def test_a_downgrade_is_announced_with_what_it_may_cost() -> None:
    warning = downgrade_warning(going_back("3.2.2", "3.3.2"), None)
    assert warning is not None
    assert "from Airflow 3.3.2 to 3.2.2 downgrades the database" in warning
    assert "drops" in warning
    assert "logical date" not in warning


def test_the_way_back_to_airflow_2_is_announced_with_the_runs_that_it_takes_out() -> None:
    warning = downgrade_warning(going_back("2.11.2", "3.3.2"), None)
    assert warning is not None
    assert "DAG runs without a logical date" in warning


@pytest.mark.parametrize(("to", "running"), [("3.3.1", "3.3.2"), ("3.3.2", "3.2.2")])
def test_without_a_downgrade_there_is_nothing_to_announce(to: str, running: str) -> None:
    assert downgrade_warning(going_back(to, running), None) is None


def test_a_refused_downgrade_is_announced_as_well() -> None:
    warning = downgrade_warning(going_back("3.2.2", "3.3.2"), "refuse")
    assert warning is not None
    assert "forbids" in warning
