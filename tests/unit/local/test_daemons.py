"""Daemons are known by process id and start time: a foreign process never gets our signal."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.daemons import Daemon, Daemons, Record, process_start_time
from local.errors import DaemonError
from local.paths import Paths
from local.progress import Phase


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(state=tmp_path / "state", cache=tmp_path / "cache")


@pytest.fixture
def daemons(paths: Paths) -> Iterator[Daemons]:
    daemons = Daemons(paths)
    yield daemons
    daemons.stop(*daemons.names(), timeout=0)


@pytest.fixture
def phase() -> Phase:
    return Phase("test", quiet=True)


def sleeper(name: str = "sleeper", argument: str = "60") -> Daemon:
    code = "import sys, time; time.sleep(float(sys.argv[1]))"
    return Daemon(name, [sys.executable, "-c", code, argument], lambda: True)


def test_runs_until_it_is_stopped(daemons: Daemons) -> None:
    assert daemons.start(sleeper())
    record = daemons.record("sleeper")
    assert record is not None
    daemons.stop("sleeper", timeout=5)
    assert not record.alive
    assert daemons.names() == []


def test_is_left_alone_when_nothing_changed(daemons: Daemons) -> None:
    daemons.start(sleeper())
    before = daemons.record("sleeper")
    assert not daemons.start(sleeper())
    assert daemons.record("sleeper") == before


def test_is_restarted_when_an_argument_changed(daemons: Daemons) -> None:
    daemons.start(sleeper(argument="60"))
    before = daemons.record("sleeper")
    assert daemons.start(sleeper(argument="61"))
    assert before is not None
    assert not before.alive
    assert daemons.record("sleeper") != before


def test_is_restarted_when_a_configuration_file_changed(daemons: Daemons, tmp_path: Path) -> None:
    file = tmp_path / "conf"
    file.write_text("a")
    plain = sleeper()
    daemon = Daemon("configured", plain.command, plain.ready, config_files=[file])
    assert daemons.start(daemon)
    assert not daemons.start(daemon)
    file.write_text("b")
    assert daemons.start(daemon)


def test_is_killed_when_it_does_not_end_politely(daemons: Daemons, tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = (
        "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    )
    daemons.start(Daemon("stubborn", [sys.executable, "-c", code, str(started)], started.exists))
    while not started.exists():
        time.sleep(0.01)
    record = daemons.record("stubborn")
    assert record is not None
    daemons.stop("stubborn", timeout=0.2)
    assert not record.alive


def test_another_process_with_the_same_id_is_not_ours(daemons: Daemons, paths: Paths) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        start_time = process_start_time(other.pid)
        assert start_time is not None
        paths.run.mkdir(parents=True)
        record = {"pid": other.pid, "start_time": start_time - 1, "fingerprint": ""}
        (paths.run / "reused.json").write_text(json.dumps(record))
        assert daemons.record("reused") is None
        daemons.stop("reused", timeout=1)
        assert other.poll() is None
        assert daemons.names() == []
        other.kill()


def test_a_damaged_record_is_no_record(daemons: Daemons, paths: Paths) -> None:
    paths.run.mkdir(parents=True)
    (paths.run / "half.json").write_text('{"pid": 1')
    assert daemons.record("half") is None
    daemons.stop("half", timeout=0)
    assert daemons.names() == []


def test_early_death_is_told_with_the_end_of_the_log(daemons: Daemons, phase: Phase) -> None:
    code = "import sys; print('no such flag: --x', file=sys.stderr); sys.exit(2)"
    daemon = Daemon("short", [sys.executable, "-c", code], lambda: False)
    daemons.start(daemon)
    with pytest.raises(DaemonError) as caught:
        daemons.wait(daemon, phase)
    assert "short ended" in caught.value.what
    assert "no such flag: --x" in caught.value.why


def test_not_ready_in_time_is_told(daemons: Daemons, phase: Phase) -> None:
    plain = sleeper()
    daemon = Daemon("slow", plain.command, lambda: False, ready_timeout=0.1)
    daemons.start(daemon)
    with pytest.raises(DaemonError, match="was not ready"):
        daemons.wait(daemon, phase)


def test_a_zombie_does_not_run() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert process_start_time(process.pid) is None
    finally:
        process.wait()


def test_own_start_time_is_stable() -> None:
    record = Record(os.getpid(), process_start_time(os.getpid()) or 0, "")
    assert record.alive
    os.kill(os.getpid(), signal.SIGCONT)
    assert record.alive
