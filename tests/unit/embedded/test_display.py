"""What the user sees."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from astro_pulumi.cli.display import (
    Display,
    JsonLines,
    Lines,
    outputs_lines,
    property_diff,
    seconds,
    summary_lines,
    type_name,
)
from astro_pulumi.cli.tree import LiveTree
from astro_pulumi.embedded.events import Event, Message, OutputsRegistered, Printed, Step
from astro_pulumi.embedded.operations import Kind, Result
from astro_pulumi.embedded.provider import DiffResult
from astro_pulumi.embedded.state import ResourceState
from astro_pulumi.embedded.values import (
    SECRET_SIGNATURE,
    SIGNATURE,
    UNKNOWN,
    UNKNOWN_WIRE,
    Secret,
)

STACK = "urn:pulumi:dev::proj::pulumi:pulumi:Stack::proj-dev"


def resource(name: str, parent: str = STACK, **inputs: Any) -> ResourceState:
    urn = f"urn:pulumi:dev::proj::k:v1:Thing::{name}"
    return ResourceState(urn=urn, type="k:v1:Thing", custom=True, parent=parent, inputs=inputs)


ROOT = ResourceState(urn=STACK, type="pulumi:pulumi:Stack", custom=False)
A, B, C = resource("a", size=1, key=Secret("hush")), resource("b"), resource("c")
CHANGE = DiffResult(True, ("size",), detailed={"size": "UPDATE_REPLACE", "key": "UPDATE"})
NEW = resource("a", size=UNKNOWN, key=Secret("hush hush"))
EVENTS: list[Event] = [
    Step("started", "same", ROOT, ROOT),
    Step("finished", "same", ROOT, ROOT),
    Printed("hello", "stdout"),
    Message("debug", "nobody wants to know", ""),
    Step("started", "replace", NEW, A, CHANGE),
    Message("info", "waiting for pods", A.urn, passing=True),
    Step("started", "create", B),
    Step("started", "same", C, C),
    Step("finished", "same", C, C),
    Message("warning", "is deprecated", C.urn),
    Step("finished", "replace", NEW, A, CHANGE),
    Message("error", "no room\nin the cloud", B.urn),
    Step("failed", "create", B),
    Step("started", "delete", A, A, replacing=True),
    Step("finished", "delete", A, A, replacing=True),
    OutputsRegistered(ROOT),
]
RESULT = Result(
    "update",
    False,
    {"same": 2, "replace": 1},
    3.21,
    {"url": "x", "key": Secret("hush")},
    {"url": "y"},
)


def show(display: Display, events: list[Event] = EVENTS) -> None:
    with display:
        for event in events:
            display.hear(event)
    display.summary(RESULT)


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show(Lines("update", "dev"))
    assert capsys.readouterr().out.replace("(0.0s)", "(t)") == (
        "Updating (dev):\n"
        "    hello\n"
        " +- k:v1:Thing a replacing [diff: ~size]\n"
        " +  k:v1:Thing b creating\n"
        "    c: warning: is deprecated\n"
        " +- k:v1:Thing a replaced (t) [diff: ~size]\n"
        "    b: error: no room\nin the cloud\n"
        " +  k:v1:Thing b creating failed\n"
        " -  k:v1:Thing a deleting (replaced)\n"
        " -  k:v1:Thing a deleted (t) (replaced)\n"
        "\nOutputs:\n"
        "  + key: [secret]\n"
        '  ~ url: "x"\n'
        "\nResources:\n"
        "    +-1 replaced\n"
        "    2 unchanged. 1 errored\n"
        "\nDuration: 3.2s\n"
    )


def test_a_preview_shows_properties_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    show(Lines("preview", "dev"))
    output = capsys.readouterr().out
    assert "      ~ size: 1 => [unknown] (forces replacement)\n" in output
    assert "      ~ key: [secret] => [secret]\n" in output
    assert "hush" not in output


@pytest.mark.parametrize("kind", ["update", "preview"])
def test_tree(kind: Kind) -> None:
    display = LiveTree(kind, "dev")
    display._console = console = Console(file=io.StringIO(), width=100, force_terminal=False)
    display._live.console = console
    show(display)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert "pulumi:pulumi:Stack" in output
    assert "├─ k:v1:Thing" in output
    assert "└─ k:v1:Thing" in output
    assert "**creating failed**" in output
    assert "error: no room\n    in the cloud" in output
    assert "warning: is deprecated" in output
    assert "nobody wants to know" not in output
    assert "hush" not in output


def test_unchanged_resources_are_not_in_the_tree() -> None:
    display = LiveTree("update", "dev")
    display._console = console = Console(file=io.StringIO(), width=100)
    display._live.console = console
    show(display, [e for e in EVENTS if not isinstance(e, Message)])
    assert " c " not in console.file.getvalue()  # type: ignore[attr-defined]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    show(JsonLines("update", "dev"))
    output = capsys.readouterr().out
    assert "hush" not in output
    events = [json.loads(line) for line in output.splitlines()]
    assert [event["sequence"] for event in events] == [*range(len(events))]
    kinds = [next(key for key in event if key.endswith("Event")) for event in events]
    assert kinds.count("resourcePreEvent") == 6
    assert kinds.count("resOpFailedEvent") == 1
    assert kinds[-2:] == ["summaryEvent", "cancelEvent"]
    assert events[-2]["summaryEvent"] == {
        "result": "failed",
        "isPreview": False,
        "durationSeconds": 4,
        "resourceChanges": {"same": 2, "replace": 1},
        "outputs": {"url": "x", "key": "[secret]"},
    }
    begun = [e["resourcePreEvent"]["metadata"] for e in events if "resourcePreEvent" in e]
    assert [(m["op"], m["logical"]) for m in begun if m["urn"] == A.urn] == [
        ("create-replacement", False),
        ("replace", True),
        ("delete-replaced", False),
    ]
    replaced = next(metadata for metadata in begun if metadata["op"] == "replace")
    assert replaced["new"]["inputs"] == {  # as Pulumi's events have them
        "size": UNKNOWN_WIRE,
        "key": {SIGNATURE: SECRET_SIGNATURE, "ciphertext": "[secret]"},
    }
    assert replaced["detailedDiff"]["size"] == {"diffKind": "update-replace", "inputDiff": True}


@pytest.mark.parametrize(
    ("type", "shown"),
    [
        ("random:index/randomPassword:RandomPassword", "random:index:RandomPassword"),
        ("docker:index/image:Image", "docker:index:Image"),
        ("kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:Deployment"),
        ("astro:index:Deployment", "astro:index:Deployment"),
        ("pulumi:providers:kubernetes", "pulumi:providers:kubernetes"),
    ],
)
def test_types_are_shown_as_pulumi_shows_them(type: str, shown: str) -> None:
    assert type_name(type) == shown


def test_what_stays_in_the_cluster_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    kept = replace(A, retain_on_delete=True)
    display = Lines("preview", "dev")
    for step in (
        Step("finished", "delete", kept, kept),
        Step("finished", "replace", kept, kept, CHANGE),
        Step("finished", "delete", kept, kept, replacing=True),
        Step("finished", "update", kept, kept),
    ):
        display.hear(step)
    ends = [line for line in capsys.readouterr().out.splitlines() if "k:v1:Thing" in line]
    assert [line.partition(" a ")[2] for line in ends] == [
        "delete [retain]",
        "replace [retain] [diff: ~size]",
        "delete [retain] (replaced)",
        "update",
    ]


def test_properties_inside_of_secrets_are_secret() -> None:
    old = resource("s", stringData=Secret({"PASSWORD": "hush"}))
    new = resource("s", stringData=Secret({"PASSWORD": "hush hush"}))
    diff = DiffResult(True, detailed={"stringData.PASSWORD": "UPDATE"})
    lines = list(property_diff(Step("finished", "update", new, old, diff)))
    assert lines == ["~ stringData.PASSWORD: [secret] => [secret]"]


def test_summary_counts_kinds_of_changes() -> None:
    result = Result("preview", True, {"same": 3, "create": 2, "update": 1}, 75)
    assert "\n".join(summary_lines(result, errored=0)) == (
        "\nResources:\n    + 2 to create\n    ~ 1 to update\n    3 changes. 3 unchanged\n"
        "\nDuration: 1m15s"
    )


def test_outputs_are_aligned() -> None:
    lines = outputs_lines({"long name": [1], "x": UNKNOWN})
    assert lines == ["  long name: [\n  1\n]", "  x        : [unknown]"]


def test_seconds() -> None:
    assert [seconds(s) for s in (0.04, 9.96, 12.3, 60, 185)] == [
        "0.0s",
        "10.0s",
        "12s",
        "1m0s",
        "3m5s",
    ]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """One element: the time, in seconds, that a test sets."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def creating_b() -> Lines:
    """A log of an update that has begun to create `b`."""
    display = Lines("update", "dev")
    display.hear(Step("started", "create", B))
    return display


def test_a_log_says_now_and_then_what_is_waited_for(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    display = creating_b()
    for second in range(1, 26):
        clock[0] = float(second)
        display.hear(Message("info", f"waiting {second}", B.urn, passing=True))
    display.say_what_is_waited_for()
    assert capsys.readouterr().out.splitlines()[1:] == ["    b: waiting 25 (25s)"]
    display.hear(Step("finished", "create", B))
    display.say_what_is_waited_for()
    assert "waiting" not in capsys.readouterr().out


def test_a_log_repeats_a_status_that_stays_the_same_ever_more_rarely(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    display = creating_b()
    display.hear(Message("info", "starting", B.urn, passing=True))
    for second in range(10, 241, 10):
        clock[0] = float(second)
        if second == 220:
            display.hear(Message("info", "crashed", B.urn, passing=True))
        display.say_what_is_waited_for()
    said = capsys.readouterr().out.splitlines()[1:]
    assert said == [
        "    b: starting (10s)",
        "    b: starting (20s)",
        "    b: starting (40s)",
        "    b: starting (1m20s)",
        "    b: starting (2m20s)",
        "    b: starting (3m20s)",
        "    b: crashed (3m40s)",
    ]


def test_what_is_about_no_resource(capsys: pytest.CaptureFixture[str]) -> None:
    Lines("update", "dev").hear(Message("error", "the program ended early"))
    assert capsys.readouterr().out == "    error: the program ended early\n"
