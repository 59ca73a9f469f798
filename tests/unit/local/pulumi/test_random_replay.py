"""Every recorded call of pulumi-random for a type that the stand-in makes, replayed against it.

What differs on purpose: the random values; `__meta` and `__pulumi_raw_state_delta`, which the bridge to
Terraform keeps for itself and can do without.
"""

import re
from typing import Any

import pytest

from local.pulumi.random_provider import RandomProvider
from local.pulumi.values import from_wire, reveal
from tests.unit.local.pulumi.recordings import Call, calls

PROVIDER = RandomProvider()
INTERNAL = {"__meta", "__pulumi_raw_state_delta"}


def recorded(*methods: str) -> list[Call]:
    """Return the recorded calls, without those for RandomBytes."""
    return [c for c in calls("random", *methods) if "randomBytes" not in c.request["type"]]


def test_there_are_recordings() -> None:
    assert {call.method for call in recorded("Check", "Diff", "Create", "Read")} == {
        *("Check", "Diff", "Create", "Read")
    }


@pytest.mark.parametrize("call", recorded("Check", "CheckConfig"), ids=str)
def test_check(call: Call) -> None:
    assert call.replay(PROVIDER) == call.response


@pytest.mark.parametrize("call", recorded("Diff", "DiffConfig"), ids=str)
def test_diff(call: Call) -> None:
    assert call.replay(PROVIDER)["changes"] == call.response.get("changes", "DIFF_NONE")


@pytest.mark.parametrize("call", recorded("Read"), ids=str)
def test_read(call: Call) -> None:
    answer = call.replay(PROVIDER)
    assert (answer["id"], answer["inputs"]) == (call.response["id"], call.response["inputs"])


@pytest.mark.parametrize("call", recorded("Create"), ids=str)
def test_create(call: Call) -> None:
    answer = call.replay(PROVIDER)
    ours, theirs = from_wire(answer["properties"]), from_wire(call.response["properties"])
    assert answer["id"] == call.response["id"]
    assert ours.keys() - INTERNAL == theirs.keys() - INTERNAL
    for key in ours:
        assert type(ours[key]) is type(theirs[key]), key  # secret here and there
        assert shape(reveal(ours[key])) == shape(reveal(theirs[key])), key


def shape(value: Any) -> Any:
    """Return a value without its randomness: letters, digits and signs are all one."""
    return re.sub(r".", "x", value) if isinstance(value, str) else value
