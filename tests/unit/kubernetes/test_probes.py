"""The probes that run in the pods: one question, or waiting for the answer while a pod starts."""

import time
from collections.abc import Callable

import pytest

from tests.unit.release.pod_file import load

probe = load("astro_probe_retry")


def asked(ask: Callable[[], str | None], wait: float) -> int | str | None:
    """What the probe exits with: 0, or the reason why not."""
    with pytest.raises(SystemExit) as ended:
        probe.answer(ask, wait)
    return ended.value.code


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "INTERVAL", 0)


def test_a_yes_is_success_and_a_no_is_said() -> None:
    assert asked(lambda: None, 0) == 0
    assert asked(lambda: "no heartbeat", 0) == "no heartbeat"


def test_while_a_pod_starts_it_waits_for_the_yes() -> None:
    answers = iter(["no heartbeat", "no heartbeat", None])
    assert asked(lambda: next(answers), 60) == 0


def test_a_database_that_is_away_is_waited_for() -> None:
    answers = iter([OSError("connection refused"), None])

    def ask() -> str | None:
        answer = next(answers)
        if answer:
            raise answer
        return None

    assert asked(ask, 60) == 0


def test_after_the_wait_it_says_why_not() -> None:
    started = time.monotonic()
    assert asked(lambda: 1 / 0, 0.05) == "ZeroDivisionError: division by zero"  # type: ignore[arg-type, return-value]
    assert time.monotonic() - started >= 0.05
