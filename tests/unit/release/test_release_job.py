"""The release Job as a Deployment declares it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.mock_engine import Resource, deploy


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job(config: Mapping[str, str] | None = None, **arguments: Any) -> Resource:
    image = "ghcr.io/acme/analytics@sha256:" + "0" * 64
    args: Any = {"image": image, "airflow_version": "3.1", **arguments}
    return deploy(args, config=config).get("analytics-release-job", "Job")


def test_it_has_time_limits_of_its_own_and_its_log_outlives_them(folder: Path) -> None:
    """A pod that its own limit ends stays, with its log; that of the Job takes pods away."""
    made = job(timeouts={"release_job": 300}, termination_grace_period_seconds=100)
    of_pod = made.pod["activeDeadlineSeconds"]
    (of_job,) = (one for one in made.container["env"] if one["name"] == "ASTRO_JOB_DEADLINE")
    engine = int(made.inputs["metadata"]["annotations"]["pulumi.com/timeoutSeconds"])
    assert of_pod == 300 + 100
    assert of_pod < int(of_job["value"]) < engine
    assert made.container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert made.inputs["spec"]["backoffLimit"] == 0
    assert "ttlSecondsAfterFinished" not in made.inputs["spec"]


def test_a_pod_that_cannot_start_ends_it_before_its_own_time_limit(folder: Path) -> None:
    """An image that nodes may not pull would be waited for as long as a migration takes."""
    short, long = job(timeouts={"release_job": 60}), job(timeouts={"release_job": 86_400})
    assert short.inputs["spec"]["activeDeadlineSeconds"] == 600
    assert long.inputs["spec"]["activeDeadlineSeconds"] == 600


@pytest.mark.parametrize(
    ("key", "annotation", "text"),
    [
        ("maxRemovedDags", "astro-pulumi/max-removed-dags", "7:3"),
        ("skipDagParse", "astro-pulumi/skip-dag-parse", "7"),
    ],
)
def test_confirmation_makes_no_new_job(folder: Path, key: str, annotation: str, text: str) -> None:
    """It is an annotation: what is in the spec would run the Job again, and make another release."""
    without, with_confirmation = job(), job({f"astro:{key}": text})
    assert with_confirmation.inputs["metadata"]["annotations"][annotation] == text
    assert annotation not in without.inputs["metadata"]["annotations"]
    assert with_confirmation.inputs["spec"] == without.inputs["spec"]
