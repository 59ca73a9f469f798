"""The events of the Pulumi CLI, as the commands around releases show them."""

from typing import Any

import pytest
from pulumi.automation.events import EngineEvent

from astro_pulumi.cli.automation import _Translation, translate
from astro_pulumi.embedded.events import Event, Message, Printed, Step
from astro_pulumi.embedded.values import UNKNOWN, Secret

URN = "urn:pulumi:prod::p::kubernetes:core/v1:ConfigMap::settings"
# As the CLI's events have a secret output.
SECRET = {
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    "ciphertext": "[secret]",
}
STACK = "urn:pulumi:prod::p::pulumi:pulumi:Stack::p-prod"


def event(**content: Any) -> EngineEvent:
    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, **content})


def metadata(op: str, urn: str = URN, custom: bool = True, **states: Any) -> dict[str, Any]:
    type_ = urn.split("::")[2]

    def state(inputs: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": type_,
            "urn": urn,
            "custom": custom,
            "id": "x",
            "parent": "",
            "provider": "",
            "inputs": inputs,
            "outputs": inputs,
        }

    return {
        "op": op,
        "urn": urn,
        "type": type_,
        "provider": "",
        "old": state(states["old"]) if "old" in states else None,
        "new": state(states["new"]) if "new" in states else None,
        "detailedDiff": states.get("diff"),
    }


def test_an_update_in_a_preview_has_its_differences() -> None:
    diff = {"data.a": {"diffKind": "update", "inputDiff": True}}
    given = metadata(
        "update",
        old={"data": {"a": "1"}},
        new={"data": {"a": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}},
        diff=diff,
    )
    step = translate(event(resOutputsEvent={"metadata": given}))
    assert isinstance(step, Step)
    assert (step.phase, step.op, step.resource.name) == ("finished", "update", "settings")
    assert step.resource.inputs == {"data": {"a": UNKNOWN}}
    assert step.old is not None
    assert step.old.inputs == {"data": {"a": "1"}}
    assert step.diff is not None
    assert step.diff.detailed == {"data.a": "UPDATE"}


@pytest.mark.parametrize(
    ("op", "shown"),
    [
        ("create-replacement", ("replace", False)),
        ("delete-replaced", ("delete", True)),
        ("delete", ("delete", False)),
    ],
)
def test_a_replacement_is_one_step_and_the_end_of_the_old(op: str, shown: tuple[str, bool]) -> None:
    step = translate(event(resourcePreEvent={"metadata": metadata(op, new={}, old={})}))
    assert isinstance(step, Step)
    assert (step.op, step.replacing) == shown


def test_what_only_sums_up_is_not_shown() -> None:
    assert translate(event(resourcePreEvent={"metadata": metadata("replace", new={})})) is None


def test_colors_are_left_to_the_display() -> None:
    said = {"message": "<{%reset%}>no such host<{%reset%}>\n", "severity": "info#err", "color": "x"}
    assert translate(event(diagnosticEvent={**said, "urn": URN})) == Message(
        "info", "no such host", URN
    )
    printed = translate(event(stdoutEvent={"message": "hello\n", "color": "x"}))
    assert printed == Printed("hello", "stdout")


def test_a_status_passes() -> None:
    said = {"message": "waiting", "severity": "info", "color": "x", "ephemeral": True}
    message = translate(event(diagnosticEvent=said))
    assert isinstance(message, Message)
    assert message.passing


def test_outputs_counts_and_failure_are_kept() -> None:
    shown: list[Event] = []
    heard = _Translation(shown.append)
    stack = metadata(
        "same", STACK, custom=False, old={"url": "old"}, new={"url": "new", "password": SECRET}
    )
    heard.hear(event(resOutputsEvent={"metadata": stack}))
    assert not heard.failed
    failed = metadata("create", new={})
    heard.hear(event(resOpFailedEvent={"metadata": failed, "status": 1, "steps": 0}))
    summary = {
        "maybeCorrupt": False,
        "durationSeconds": 4,
        "resourceChanges": {"same": 3, "create": 1, "create-replacement": 2, "replace": 2},
        "policyPacks": {},
    }
    heard.hear(event(summaryEvent=summary))
    assert isinstance(shown[0], Step)
    assert (heard.outputs, heard.old_outputs) == (
        {"url": "new", "password": Secret(None)},
        {"url": "old"},
    )
    assert heard.counts == {"same": 3, "create": 1, "replace": 2}
    assert heard.seconds == 4
    assert heard.failed
