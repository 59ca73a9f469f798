"""What `astro-pulumi status` shows."""

import pytest

from astro_pulumi.cli.status import Draining, Process, Status, show

DIGEST = "sha256:" + "ab" * 32


def test_a_log_has_the_whole_reason_of_what_does_not_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    problem = "back-off 20s restarting failed container=scheduler pod=analytics-scheduler-5c4584b478-sw9mz"
    process = Process("analytics-scheduler", "scheduler", 0, 1, 2, (DIGEST,), problem)
    show(Status("analytics", "prod", "3.3.2", 7, DIGEST, (process,), (), {"default": 3}))
    said = capsys.readouterr().out
    assert problem in said
    assert "queue default: 3 waiting" in said
    assert said.endswith("not healthy\n")


def test_workers_that_drain_are_named_with_their_end(capsys: pytest.CaptureFixture[str]) -> None:
    worker = Draining("analytics-worker-default-7d7b", "worker", "2000-01-01T00:00:00Z")
    show(Status("analytics", "prod", "3.3.2", 7, DIGEST, (), (worker,), None))
    assert "analytics-worker-default-7d7b finishes its tasks, until" in capsys.readouterr().out
