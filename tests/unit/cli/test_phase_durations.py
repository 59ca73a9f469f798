"""How long the phases of a deploy took, from the events of the Pulumi CLI."""

import json
from pathlib import Path

import pytest

from astro_pulumi.cli.phase_durations import Phases

IMAGE = "docker:index/image:Image"
JOB = "kubernetes:batch/v1:Job"
WORKLOAD = "kubernetes:apps/v1:Deployment"


class Log:
    """An event log that grows while the clock is set."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.phases = Phases()
        self.now = 0.0
        self._sequence = 0

    def write(
        self, at: float, kind: str, op: str, type_: str, name: str, custom: bool = True
    ) -> None:
        """Add the beginning (`Pre`) or the end (`Outputs`) of a step, and let it be read."""
        self.now = at
        event = {"Pre": "resourcePreEvent", "Outputs": "resOutputsEvent"}[kind]
        urn = f"urn:pulumi:s::p::{type_}::{name}"
        metadata = {"op": op, "urn": urn, "type": type_, "new": {"custom": custom}}
        with self.file.open("a") as file:
            file.write(
                json.dumps({"sequence": self._sequence, event: {"metadata": metadata}}) + "\n"
            )
        self._sequence += 1
        self.phases.follow(self.file)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    made = Log(tmp_path / "events")
    monkeypatch.setattr("astro_pulumi.cli.phase_durations.time.monotonic", lambda: made.now)
    return made


def test_each_phase_lasts_from_its_first_beginning_to_its_last_end(log: Log) -> None:
    for step in (
        (0, "Pre", "update", IMAGE, "a-image"),
        (2, "Outputs", "update", IMAGE, "a-image"),
        (2, "Pre", "create-replacement", JOB, "a-release-job"),
        (6, "Outputs", "create-replacement", JOB, "a-release-job"),
        (6, "Pre", "replace", JOB, "a-release-job"),
        (6, "Outputs", "replace", JOB, "a-release-job"),
        (6, "Pre", "update", WORKLOAD, "a-webserver"),
        (6.5, "Outputs", "update", WORKLOAD, "a-webserver"),
        (7, "Pre", "create-replacement", JOB, "a-rollout-webserver"),
        (7, "Pre", "create-replacement", JOB, "a-rollout-workloads"),
        (11, "Outputs", "create-replacement", JOB, "a-rollout-workloads"),
        (14, "Outputs", "create-replacement", JOB, "a-rollout-webserver"),
        (15, "Pre", "delete-replaced", JOB, "a-release-job"),
        (16, "Outputs", "delete-replaced", JOB, "a-release-job"),
    ):
        log.write(*step)
    assert list(log.phases.lines()) == [
        "image 2.0 s",
        "release Job 4.0 s",
        "roll-out 8.0 s",
    ]
    assert log.phases.seconds() == {"image": 2.0, "release Job": 4.0, "roll-out": 8.0}
    assert log.phases.changes == 6


def test_nothing_to_do_has_no_phases_and_no_changes(log: Log) -> None:
    log.write(0, "Pre", "same", WORKLOAD, "a-webserver")
    log.write(1, "Outputs", "same", WORKLOAD, "a-webserver")
    assert list(log.phases.lines()) == []
    assert log.phases.changes == 0


def test_what_only_pulumi_keeps_is_no_change(log: Log) -> None:
    log.write(0, "Pre", "create", "pulumi:providers:kubernetes", "default")
    log.write(0, "Pre", "update", "astro:index:Deployment", "a", custom=False)
    assert log.phases.changes == 0


def test_a_line_that_is_still_being_written_waits_for_its_end(log: Log) -> None:
    log.write(0, "Pre", "update", IMAGE, "a-image")
    whole = log.file.read_text()
    log.file.write_text(whole[:-20])
    phases = Phases()
    phases.follow(log.file)
    assert phases.changes == 0
    log.file.write_text(whole)
    phases.follow(log.file)
    assert phases.changes == 1
