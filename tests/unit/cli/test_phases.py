"""What a deploy says of its phases."""

from typing import Any

import pytest

from astro_pulumi.cli.phases import Phases
from astro_pulumi.embedded.events import Event, Message, Step
from astro_pulumi.embedded.state import ResourceState


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("astro_pulumi.cli.phases.time.monotonic", lambda: now[0])
    return now


def step(phase: Any, op: Any, type_: str, name: str) -> Step:
    return Step(
        phase, op, ResourceState(urn=f"urn:pulumi:s::p::{type_}::{name}", custom=True, type=type_)
    )


def test_each_phase_lasts_from_its_first_beginning_to_its_last_end(clock: list[float]) -> None:
    heard: list[Event] = []
    phases = Phases()
    emit = phases.listening(heard.append)
    workload = "kubernetes:apps/v1:Deployment"
    events: list[tuple[float, Event]] = [
        (0, step("started", "update", "docker:index/image:Image", "analytics-image")),
        (2, step("finished", "update", "docker:index/image:Image", "analytics-image")),
        (2, step("started", "replace", "kubernetes:batch/v1:Job", "analytics-release-job")),
        (6, step("finished", "replace", "kubernetes:batch/v1:Job", "analytics-release-job")),
        (6, step("started", "update", workload, "analytics-webserver")),
        (7, step("started", "update", workload, "analytics-worker-default")),
        (11, step("finished", "update", workload, "analytics-worker-default")),
        (14, step("finished", "update", workload, "analytics-webserver")),
        (14, step("started", "delete", "kubernetes:core/v1:ConfigMap", "analytics-settings")),
        (14, Message("info", "done")),
    ]
    for at, event in events:
        clock[0] = at
        emit(event)
    assert heard == [event for _, event in events]
    assert list(phases.lines()) == [
        "image 2.0 s",
        "release Job 4.0 s",
        "workloads 8.0 s: worker-default 5.0, webserver 8.0",
    ]
    assert phases.seconds() == {"image": 2.0, "release Job": 4.0, "workloads": 8.0}
    assert phases.changes == 5


def test_nothing_to_do_has_no_phases() -> None:
    phases = Phases()
    emit = phases.listening(lambda event: None)
    for phase in ("started", "finished"):
        emit(step(phase, "same", "kubernetes:apps/v1:Deployment", "analytics-webserver"))
    assert list(phases.lines()) == []
    assert phases.changes == 0
