"""Stacks that a killed update has left behind."""

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from astro_pulumi.cli import pulumi_cli, stack_repair
from astro_pulumi.errors import PulumiError
from tests.unit.cli.fake_pulumi import FakePulumi

OURS = "urn:pulumi:dev::demo::astro:index:Deployment$kubernetes:{}::{}"
NOW = datetime.now(UTC)


def lock(fake: FakePulumi, pid: int, host: str | None = None, since: datetime = NOW) -> Path:
    """Lock the stack as Pulumi does."""
    directory = fake.backend / ".pulumi" / "locks" / "organization" / "demo" / "dev"
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{pid}.json"
    content = {
        "pid": pid,
        "username": "me",
        "hostname": host or socket.gethostname(),
        "timestamp": since.isoformat().replace("+00:00", "123Z"),  # nanoseconds
    }
    file.write_text(json.dumps(content))
    file.with_name(f"{pid}.json.attrs").write_text("{}")
    return file


def operation(type: str, kind: str, name: str, urn: str = OURS) -> dict[str, Any]:
    return {"type": type, "resource": {"urn": urn.format(kind, name)}}


def repair(*, yes: bool = True) -> None:
    project = pulumi_cli.find_project(Path.cwd())
    state = pulumi_cli.read_state("dev")
    assert state is not None
    stack_repair.repair(project, "dev", state, yes=yes)


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    return int(subprocess.check_output([sys.executable, "-c", "import os; print(os.getpid())"]))


def test_a_stack_in_order_is_left_alone(fake: FakePulumi) -> None:
    repair()
    assert fake.changes == []


def test_a_lock_whose_process_is_gone_is_removed(
    fake: FakePulumi, ended: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(fake, ended)
    repair()
    assert fake.changes == [["cancel", "--yes", "--stack", "dev"]]
    assert f"has left its lock: process {ended} of me@" in capsys.readouterr().err


def test_a_number_that_was_given_to_another_process_is_not_the_one_that_locked(
    fake: FakePulumi,
) -> None:
    lock(fake, os.getpid(), since=NOW - timedelta(days=30))
    repair()
    assert fake.changes == [["cancel", "--yes", "--stack", "dev"]]


def test_a_process_that_ended_and_was_not_waited_for_is_gone(fake: FakePulumi) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        lock(fake, zombie.pid, since=datetime.now(UTC))
        repair()
    assert fake.changes == [["cancel", "--yes", "--stack", "dev"]]


@pytest.mark.parametrize("host", [None, "another-machine"])
def test_a_lock_of_what_may_still_run_stays(fake: FakePulumi, ended: int, host: str | None) -> None:
    """A process here that runs, or any on another machine."""
    pid = ended if host else os.getpid()
    lock(fake, pid, host, since=datetime.now(UTC))
    fake.state(pending=[operation("creating", "batch/v1:Job", "a-release-job")])
    with pytest.raises(
        PulumiError, match=rf"dev is locked by another update: process {pid} of me@"
    ):
        repair()
    assert fake.changes == []


def test_one_lock_that_may_be_in_use_keeps_all_others(fake: FakePulumi, ended: int) -> None:
    lock(fake, ended)
    lock(fake, os.getpid(), since=datetime.now(UTC))
    with pytest.raises(PulumiError, match="locked by another update"):
        repair()
    assert fake.changes == []


def test_a_lock_of_a_stack_of_the_same_name_in_another_project_is_not_ours(
    fake: FakePulumi, ended: int
) -> None:
    file = lock(fake, ended)
    other = fake.backend / ".pulumi" / "locks" / "organization" / "other" / "dev"
    other.mkdir(parents=True)
    file.rename(other / file.name)
    repair()
    assert fake.changes == []


def test_attempts_to_create_are_forgotten_since_the_next_update_adopts(
    fake: FakePulumi, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.state(pending=[operation("creating", "core/v1:ConfigMap", "a-settings")])
    repair()
    (imported,) = fake.changes
    assert imported[:4] == ["stack", "import", "--stack", "dev"]
    assert "creating a-settings (kubernetes:core/v1:ConfigMap)" in capsys.readouterr().err


def test_what_may_have_changed_is_read_from_the_cluster_before_that(fake: FakePulumi) -> None:
    fake.state(
        pending=[
            operation("updating", "apps/v1:Deployment", "a-scheduler"),
            operation("deleting", "batch/v1:Job", "a-release-job"),
            operation("creating", "batch/v1:Job", "a-release-job"),
        ]
    )
    repair()
    refresh, imported = fake.changes
    assert refresh == [
        *("refresh", "--yes", "--skip-preview", "--skip-pending-creates", "--stack", "dev"),
        *("--target", OURS.format("apps/v1:Deployment", "a-scheduler")),
        *("--target", OURS.format("batch/v1:Job", "a-release-job")),
    ]
    assert imported[:2] == ["stack", "import"]


def test_an_image_is_not_read_which_would_need_docker(fake: FakePulumi) -> None:
    urn = "urn:pulumi:dev::demo::astro:index:Deployment$docker:index/image:Image::a-image"
    fake.state(pending=[operation("updating", "", "", urn)])
    repair()
    assert fake.changes == []


def test_attempts_to_create_what_is_not_ours_stay_for_the_user_to_decide(
    fake: FakePulumi, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = "urn:pulumi:dev::demo::aws:rds/instance:Instance::database"
    fake.state(
        pending=[
            operation("creating", "", "", foreign),
            operation("creating", "core/v1:ConfigMap", "a-settings"),
        ]
    )
    repair()
    assert fake.changes == []
    assert "`pulumi refresh --stack dev`: creating database" in capsys.readouterr().err


@pytest.mark.parametrize("has_lock", [True, False])
def test_nothing_is_repaired_without_confirmation(
    fake: FakePulumi, ended: int, monkeypatch: pytest.MonkeyPatch, has_lock: bool
) -> None:
    if has_lock:
        lock(fake, ended)
    fake.state(pending=[operation("creating", "core/v1:ConfigMap", "a-settings")])
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: False)
    with pytest.raises(PulumiError, match="nothing was changed"):
        repair(yes=False)
    assert fake.changes == []


def test_a_repair_that_fails_stops_the_deploy(fake: FakePulumi) -> None:
    fake.state(pending=[operation("updating", "apps/v1:Deployment", "a-scheduler")])
    fake.fails("refresh", "no connection")
    with pytest.raises(PulumiError, match="`pulumi refresh --yes` ended with exit code 1"):
        repair()
