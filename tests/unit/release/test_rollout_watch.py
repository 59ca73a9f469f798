"""The Job that watches a roll-out: how long it waits, and what it says when it ends."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.release.fake_cluster import ApiError
from tests.unit.release.pod_file import load
from tests.unit.release.test_rollout_outcome import (
    NAME,
    READY,
    crashed,
    deployment,
    event,
    pod,
    waiting,
)

job = load("rollout_job")
Object = dict[str, Any]


class Cluster:
    """Answers with the next of `steps`, and with the last one for ever: (Deployments, pods)."""

    def __init__(self, *steps: tuple[list[Object], list[Object]]) -> None:
        self.steps = list(steps)
        self.asked: list[str] = []
        self.events: list[Object] = []
        self.logs: dict[tuple[str, str, bool], str] = {}

    def list(self, resource: str, labels: dict[str, str], **query: str) -> list[Object]:
        self.asked.append(resource)
        if resource == "apps/deployments":
            if self.asked.count(resource) > 1 and len(self.steps) > 1:
                self.steps.pop(0)
            return self.steps[0][0]
        return self.steps[0][1] if resource == "pods" else self.events

    def log(self, pod: str, container: str, previous: bool, lines: int) -> str:
        return self.logs.get((pod, container, previous), "")


class Clock:
    """Time that passes only while somebody sleeps."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(job.time, "sleep", clock.sleep)
    return clock


@pytest.fixture(autouse=True)
def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "termination-log"
    monkeypatch.setattr(load("astro_termination_message"), "TERMINATION_MESSAGE", file)
    return file


def unchanged(text: str) -> str:
    return text


def watch(
    cluster: Cluster, clock: Clock, clean: Callable[[str], str] = unchanged, *names: str
) -> Any:
    return job.Watch(cluster, "analytics", [*(names or (NAME,))], clean, clock.read)


def failure(cluster: Cluster, clock: Clock, clean: Callable[[str], str] = unchanged) -> str:
    with pytest.raises(job.NotReadyError) as caught:
        watch(cluster, clock, clean).wait(600)
    return str(caught.value)


def test_what_is_ready_is_not_looked_into(clock: Clock) -> None:
    cluster = Cluster(([deployment(**READY)], []))
    watch(cluster, clock).wait(600)
    assert cluster.asked == ["apps/deployments"]


def test_it_ends_soon_after_the_last_is_ready(clock: Clock) -> None:
    starting = ([deployment()], [pod(waiting("ContainerCreating"))])
    cluster = Cluster(*[starting] * 20, ([deployment(**READY)], []))
    watch(cluster, clock).wait(600)
    assert clock.now == pytest.approx(20 * 0.5)
    assert cluster.asked.count("pods") <= 6, "pods are many, and say only why"


def test_every_workload_has_to_be_ready(clock: Clock) -> None:
    cluster = Cluster(([deployment(**READY)], []))
    with pytest.raises(job.NotReadyError, match=r"analytics-other: does not exist.*pulumi refresh"):
        watch(cluster, clock, unchanged, NAME, "analytics-other").wait(600)
    assert 10 <= clock.now <= 10 + job.LOOK, "what is gone does not come back"


def test_a_crash_ends_the_wait_with_the_reason_and_the_last_words(clock: Clock) -> None:
    ended = pod(crashed(2, exitCode=137, reason="OOMKilled"))
    cluster = Cluster(([deployment()], [ended]))
    cluster.logs[ended["metadata"]["name"], "scheduler", True] = "one\n\ntwo\nthree\n"
    lines = failure(cluster, clock).splitlines()
    assert clock.now < 5
    assert lines[0].startswith(
        f"{NAME}: container scheduler crashed 3 times: exit code 137, out of"
    )
    assert lines[1] == f"The last log lines of {NAME}-7c9f-x, container scheduler:"
    assert lines[2:] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("reason", "patience"),
    [("InvalidImageName", 0), ("ImagePullBackOff", 60), ("CreateContainerConfigError", 10)],
)
def test_patience_is_as_long_as_the_problem_deserves(
    clock: Clock, reason: str, patience: float
) -> None:
    failure(Cluster(([deployment()], [pod(waiting(reason, "m"))])), clock)
    assert patience <= clock.now <= patience + job.LOOK


def test_what_may_resolve_itself_is_waited_for_until_the_timeout(clock: Clock) -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    said = failure(Cluster(([deployment()], [pod(conditions=[condition])])), clock)
    assert 600 <= clock.now < 602
    assert said.splitlines() == [
        "Not ready after 600 s (timeouts.rollout).",
        f"{NAME}: cannot be scheduled: 0/1 nodes are available",
    ]


def test_what_resolved_itself_is_forgotten(clock: Clock) -> None:
    problem = ([deployment()], [pod(waiting("ErrImagePull", "the registry is away"))])
    cluster = Cluster(*[problem] * 100, ([deployment(**READY)], []))
    watch(cluster, clock).wait(600)
    assert clock.now == pytest.approx(50)


def test_changes_are_told_once(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    other = {**deployment(), "metadata": {"name": "analytics-other", "generation": 2}}
    starting = ([deployment(), other], [pod(waiting("ContainerCreating"))])
    crash = ([deployment(), other], [pod(crashed(0))])
    ready: tuple[list[Object], list[Object]] = ([deployment(**READY), other], [])
    cluster = Cluster(*[starting] * 20, *[crash] * 20, *[ready] * 20)
    with pytest.raises(job.NotReadyError):
        watch(cluster, clock, unchanged, NAME, "analytics-other").wait(40)
    told = [line for line in capsys.readouterr().out.splitlines() if NAME in line]
    assert told == [
        f"roll-out: {NAME}: container scheduler has not started yet (ContainerCreating)",
        f"roll-out: {NAME}: container scheduler crashed once: exit code 1",
        f"roll-out: {NAME}: ready",
    ]


def test_no_secret_is_told_anywhere(
    clock: Clock, capsys: pytest.CaptureFixture[str], message: Path
) -> None:
    clean = load("astro_secret_filter").make_filter({"key": "first line\nhunter2222"})
    failed = pod(crashed(2, message="hunter2222"))
    cluster = Cluster(([deployment()], [failed]))
    # A secret of two lines, of which the log shows both, and an event with one.
    cluster.logs[failed["metadata"]["name"], "scheduler", True] = "a first line\nhunter2222 b"
    cluster.events = [event("Unhealthy", "hunter2222")]
    said = failure(cluster, clock, clean)
    everything = said + capsys.readouterr().out + message.read_text()
    assert "hunter2222" not in everything
    assert said.splitlines()[-1] == "a *** b"


def test_a_long_log_leaves_room_for_the_reason(clock: Clock) -> None:
    failed = pod(crashed(2))
    cluster = Cluster(([deployment()], [failed]))
    lines = [f"line {number} " + "é" * 100 for number in range(40)]
    cluster.logs[failed["metadata"]["name"], "scheduler", True] = "\n".join(lines)
    said = failure(cluster, clock)
    assert len(said.encode()) <= 4096
    assert len(said.encode()) > 3500
    assert said.splitlines()[-1] == lines[-1]
    assert "crashed 3 times" in said.splitlines()[0]


def test_one_endless_line_is_cut(clock: Clock) -> None:
    assert load("astro_termination_message").last_that_fit(["x" * 9000], 200) == ["x" * 199]
    assert load("astro_termination_message").last_that_fit(["a", "b" * 50], 20) == []


def test_what_keeps_it_stands_in_the_message_all_the_time(clock: Clock, message: Path) -> None:
    seen = []
    cluster = Cluster(([deployment()], [pod(crashed(0))]))
    sleep = clock.sleep

    def look(seconds: float) -> None:
        seen.append(message.read_text())
        sleep(seconds)

    job.time.sleep = look  # undone by the fixture
    failure(cluster, clock)
    assert seen[0] == (
        f"The roll-out had not finished.\n{NAME}: container scheduler crashed once: exit code 1"
    )


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], int]:
    monkeypatch.setenv("ASTRO_DEPLOYMENT", "analytics")
    monkeypatch.setenv("ASTRO_WORKLOADS", json.dumps([NAME]))
    monkeypatch.setenv("ASTRO_ROLLOUT_TIMEOUT", "600")
    monkeypatch.setattr(job, "SECRETS", Path("/nowhere"))
    before = signal.getsignal(signal.SIGTERM)

    def run(cluster: Any) -> int:
        monkeypatch.setattr(job.Cluster, "of_this_pod", lambda: cluster)
        try:
            code: int = job.main()
            return code
        finally:
            signal.signal(signal.SIGTERM, before)

    return run


def test_ready_is_exit_code_0_and_no_message(main: Callable[[Any], int], message: Path) -> None:
    assert main(Cluster(([deployment(**READY)], []))) == 0
    assert message.read_text() == ""


def test_a_failure_is_exit_code_1_and_its_reason(
    main: Callable[[Any], int], message: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(Cluster(([deployment()], [pod(crashed(2))]))) == 1
    assert "crashed 3 times" in message.read_text()
    assert "crashed 3 times" in capsys.readouterr().err


def test_being_stopped_says_what_was_waited_for(
    main: Callable[[Any], int], message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job.time, "sleep", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert main(Cluster(([deployment()], [pod(crashed(0))]))) == 1
    said = message.read_text()
    assert said.startswith("The watch of the roll-out was stopped after 0 s")
    assert said.endswith(f"{NAME}: container scheduler crashed once: exit code 1")


def test_an_api_that_refuses_is_told(main: Callable[[Any], int], message: Path) -> None:
    class Refusing(Cluster):
        def list(self, resource: str, labels: dict[str, str], **query: str) -> list[Object]:
            raise ApiError(403, "deployments.apps is forbidden")

    assert main(Refusing()) == 1
    assert "could not be watched: deployments.apps is forbidden" in message.read_text()
