"""Progress: a log is never silent, and an `up` with nothing to do says little."""

import io
import time

import pytest
from rich.console import Console

from local import progress
from local.progress import Progress


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def reporter(log: io.StringIO) -> Progress:
    return Progress(Console(file=log, force_terminal=False, width=200))


def test_a_phase_has_a_first_and_a_last_line(reporter: Progress, log: io.StringIO) -> None:
    with reporter, reporter.phase("Build"):
        pass
    first, last = log.getvalue().splitlines()
    assert first.endswith("... Build")
    assert last.endswith("s Build")


def test_a_quiet_phase_that_was_short_says_nothing(reporter: Progress, log: io.StringIO) -> None:
    with reporter, reporter.phase("Check", quiet=True):
        pass
    assert log.getvalue() == ""


def test_a_quiet_phase_that_fails_is_named(reporter: Progress, log: io.StringIO) -> None:
    with reporter, pytest.raises(ValueError), reporter.phase("Check", quiet=True):
        raise ValueError
    assert "FAILED: Check" in log.getvalue()


def test_a_long_phase_says_what_it_waits_for(
    reporter: Progress, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REPORT_INTERVAL_SECONDS", 0.05)
    with reporter, reporter.phase("Build") as phase:
        phase.note("\x1b[91mcompiling\x1b[0m etcd\n")
        for _ in range(100):
            if "compiling etcd" in log.getvalue():
                break
            time.sleep(0.02)
    assert "Build: compiling etcd" in log.getvalue()
