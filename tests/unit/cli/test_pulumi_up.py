"""`pulumi up` and `pulumi preview`, run in front of the user."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from astro_pulumi.cli import pulumi_up
from astro_pulumi.cli.phase_durations import Phases
from astro_pulumi.cli.pulumi_cli import find_project
from astro_pulumi.errors import PulumiError
from tests.unit.cli.fake_pulumi import FakePulumi

# Writes the events of a preview, then begins the file anew, as the CLI does.
UP = """
import time
log = Path(argv[argv.index("--event-log") + 1])
def step(sequence, kind, op, planning):
    metadata = {"op": op, "urn": "urn:pulumi:dev::p::docker:index/image:Image::a-image",
                "type": "docker:index/image:Image", "new": {"custom": True}}
    return json.dumps({"sequence": sequence, kind: {"metadata": metadata, "planning": planning}}) + "\\n"
log.write_text(step(0, "resourcePreEvent", "create", True) * 3)
time.sleep(0.2)
log.write_text(step(0, "resourcePreEvent", "create", False))
time.sleep(0.2)
log.open("a").write(step(1, "resOutputsEvent", "create", False))
"""


def test_the_events_of_the_update_are_followed_and_those_of_the_preview_are_not(
    fake: FakePulumi,
) -> None:
    fake.answer("up", UP)
    phases = Phases()
    pulumi_up.up("dev", phases, yes=True, json=False, flags=pulumi_up.WITHOUT_IMAGES)
    assert phases.changes == 1
    assert 0.1 < phases.seconds()["image"] < 5
    (call,) = fake.calls
    assert call[:4] == ["up", "--stack", "dev", "--event-log"]
    assert call[5:] == ["--yes", "--exclude", "**docker:index/image:Image**"]


def test_options_that_only_developers_of_pulumi_see_are_switched_on(fake: FakePulumi) -> None:
    fake.answer("up", "sys.exit(0 if os.environ['PULUMI_DEBUG_COMMANDS'] == 'true' else 1)")
    pulumi_up.up("dev", Phases(), yes=True, json=False)


@pytest.mark.parametrize("adopt", [True, False])
def test_objects_that_exist_are_adopted_after_an_interruption_only(
    fake: FakePulumi, adopt: bool
) -> None:
    fake.answer("up", "sys.exit(7 if 'PULUMI_K8S_UPSERT_EXISTING_OBJECTS' in os.environ else 0)")
    try:
        pulumi_up.up("dev", Phases(), yes=True, json=False, adopt=adopt)
    except SystemExit as ended:
        assert (ended.code, adopt) == (7, True)
    else:
        assert not adopt


def test_json_is_pulumis_events_and_nothing_before_them(fake: FakePulumi) -> None:
    fake.answer("up", "")
    pulumi_up.up("dev", Phases(), yes=True, json=True)
    assert fake.calls[0][5:] == ["--yes", "--json", "--skip-preview"]


def test_its_exit_code_is_ours(fake: FakePulumi) -> None:
    fake.answer("up", "sys.exit(3)")
    with pytest.raises(SystemExit) as caught:
        pulumi_up.up("dev", Phases(), yes=True, json=False)
    assert caught.value.code == 3
    fake.answer("preview", "os.kill(os.getpid(), 9)")
    with pytest.raises(SystemExit) as caught:
        pulumi_up.preview("dev", json=False)
    assert caught.value.code == 137


def test_it_has_our_standard_streams(fake: FakePulumi, capfd: pytest.CaptureFixture[str]) -> None:
    fake.answer("up", "print('shown'); sys.stderr.write('said')")
    pulumi_up.up("dev", Phases(), yes=True, json=False)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("shown\n", "said")


# Starts an update, and tells when the child is ready for a signal.
PROGRAM = """
from astro_pulumi.cli import pulumi_up
from astro_pulumi.cli.phase_durations import Phases
from astro_pulumi.cli.pulumi_cli import find_project
pulumi_up.up("dev", Phases(), yes=True, json=False)
"""
COUNTING = """
import signal, time
log = Path(argv[argv.index("--event-log") + 1])
def cancel(number, frame):
    with (home / "signals").open("a") as signals:
        signals.write(f"{number}\\n")
    event = {"message": "SIGTERM received; cancelling. If you would like to"}
    log.write_text(json.dumps({"sequence": 0, "stdoutEvent": event}) + "\\n")
signal.signal(signal.SIGTERM, cancel)
signal.signal(signal.SIGINT, cancel)
print("ready", flush=True)
time.sleep(2.5)
sys.exit(7)
"""


@pytest.mark.parametrize(
    ("number", "group"),
    [
        (signal.SIGINT, True),  # Ctrl-C: the terminal sends it to both
        (signal.SIGTERM, True),  # for instance GitLab's runner; twice would end Pulumi at once
        (signal.SIGTERM, False),  # a container that is stopped
    ],
)
def test_a_signal_reaches_pulumi_exactly_once_and_its_end_is_waited_for(
    fake: FakePulumi, number: signal.Signals, group: bool
) -> None:
    fake.answer("up", COUNTING)
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": root},
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (os.killpg if group else os.kill)(process.pid, number)
        assert process.wait(30) == 7
    assert (fake.home / "signals").read_text() == f"{int(number)}\n"


def test_nobody_is_asked_where_nobody_can_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_up, "is_terminal", lambda: False)
    with pytest.raises(
        PulumiError, match="--yes must be passed in to proceed when running in non-"
    ):
        pulumi_up.require_confirmation(False, False)
    pulumi_up.require_confirmation(True, False)
    monkeypatch.setattr(pulumi_up, "is_terminal", lambda: True)
    pulumi_up.require_confirmation(False, False)
    with pytest.raises(PulumiError, match="--yes"):
        pulumi_up.require_confirmation(False, True)


def test_a_stack_that_is_missing_is_made_and_not_repaired(fake: FakePulumi) -> None:
    fake.fails("stack-export", "no stack named 'new' found")
    project = find_project(Path.cwd())
    pulumi_up.prepare(project, "new", yes=True)
    assert fake.changes == [["stack", "init", "new"]]


def test_a_log_that_begins_anew_at_the_same_length_is_noticed(tmp_path: Path) -> None:
    log = tmp_path / "events"
    phases = Phases()

    def event(sequence: int, planning: bool) -> str:
        step = {"op": "update", "urn": "u::t::n", "type": "t", "new": {"custom": True}}
        return json.dumps(
            {"sequence": sequence, "resourcePreEvent": {"metadata": step, "planning": planning}}
        )

    phases.follow(log)  # not there yet
    log.write_text(event(0, True) + "\n" + event(1, True) + "\n")
    phases.follow(log)
    log.write_text("".join(event(number, False) + "\n" for number in range(4)))
    phases.follow(log)
    assert phases.changes == 4
    phases.follow(log)
    assert phases.changes == 4
