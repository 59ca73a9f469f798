"""The random provider, held to what pulumi-random answered in the recordings.

What differs on purpose: the random values themselves; `__meta` and `__pulumi_raw_state_delta`, which
the bridge keeps for itself and can do without (checked with the real engine); `bcryptHash` where the
`bcrypt` package is not installed.
"""

import base64
import re
import string
from dataclasses import replace
from typing import Any

import pytest

from astro_pulumi.embedded.provider import Request, Resource
from astro_pulumi.embedded.providers.random import RandomProvider
from astro_pulumi.embedded.values import UNKNOWN, Properties, Secret, from_wire, has_secret, reveal
from astro_pulumi.errors import EngineError, ResourceError
from tests.unit.embedded.recordings import load

PROVIDER = RandomProvider({})
INTERNAL = {"__meta", "__pulumi_raw_state_delta", "bcryptHash"}
CALLS = [
    pytest.param(call, id=f"{name}-{call['method'].rsplit('/')[-1]}-{call['request']['name']}")
    for name in ("create", "noop", "refresh")
    for call in load(name)
    if call.get("provider") == "random" and not call["method"].endswith(("Config", "Configure"))
]


@pytest.mark.parametrize("call", CALLS)
def test_replay(call: dict[str, Any]) -> None:
    request, response = call["request"], call["response"]
    resource = Resource(request["urn"], request["type"], request["name"])

    def told(key: str) -> Properties:
        value: Properties = from_wire(request.get(key, {}))
        return value

    match call["method"].rsplit("/")[-1]:
        case "Check":
            checked = PROVIDER.check(
                Request(resource=resource, old_inputs=told("olds"), inputs=told("news"))
            )
            assert (checked.inputs, checked.failures) == (from_wire(response["inputs"]), [])
        case "Diff":
            diff = PROVIDER.diff(
                Request(
                    resource=resource,
                    old_inputs=told("oldInputs"),
                    old_outputs=told("olds"),
                    inputs=told("news"),
                )
            )
            assert diff.changes == (response["changes"] == "DIFF_SOME")
        case "Read":
            read = PROVIDER.read(
                Request(
                    resource=resource,
                    id=request["id"],
                    inputs=told("inputs"),
                    old_outputs=told("properties"),
                )
            )
            assert read
            assert (read.id, read.inputs) == (response["id"], from_wire(response["inputs"]))
        case "Create":
            id, outputs = create(resource.type, told("properties"))
            theirs = from_wire(response["properties"])
            assert outputs.keys() - INTERNAL == theirs.keys() - INTERNAL
            assert {k for k in outputs if has_secret(outputs[k])} - INTERNAL == {
                k for k in theirs if has_secret(theirs[k])
            } - INTERNAL
            assert (id == "none") == (response["id"] == "none")
            for key in outputs.keys() - INTERNAL:
                assert shape(reveal(outputs[key])) == shape(reveal(theirs[key])), key
        case other:
            pytest.fail(other)


def shape(value: Any) -> Any:
    """A value without its randomness: letters, digits and case are all one."""
    return re.sub(r"[A-Za-z0-9+/_-]", "x", value) if isinstance(value, str) else value


def create(type: str, inputs: Properties, preview: bool = False) -> tuple[str, Properties]:
    """Makes one."""
    resource = Resource(f"urn:pulumi:s::p::{type}::x", type, "x")
    checked = PROVIDER.check(Request(resource=resource, inputs=inputs))
    assert not checked.failures
    return PROVIDER.create(Request(resource=resource, inputs=checked.inputs, preview=preview))


def test_passwords_have_the_characters_that_were_asked_for() -> None:
    wanted = {"length": 40, "special": False, "upper": False, "minNumeric": 5}
    _, outputs = create("random:index/randomPassword:RandomPassword", wanted)
    password = outputs["result"].value
    assert len(password) == 40
    assert set(password) <= {*string.ascii_lowercase, *string.digits}
    assert sum(c.isdigit() for c in password) >= 5


def test_own_special_characters() -> None:
    wanted = {
        "length": 20,
        "overrideSpecial": "§",
        **dict.fromkeys(("lower", "upper", "numeric"), False),
    }
    id, outputs = create("random:index/randomString:RandomString", wanted)
    assert (id, outputs["result"]) == ("§" * 20, "§" * 20)


def test_the_older_name_of_numeric_counts() -> None:
    wanted = {"length": 200, "number": False}
    _, outputs = create("random:index/randomString:RandomString", wanted)
    assert not any(c.isdigit() for c in outputs["result"])
    assert outputs["numeric"] is False


def test_bytes_in_both_forms() -> None:
    id, outputs = create("random:index/randomBytes:RandomBytes", {"length": 16})
    data = base64.b64decode(id)
    assert len(data) == 16
    assert (outputs["base64"], outputs["hex"]) == (Secret(id), Secret(data.hex()))


def test_a_preview_knows_no_value_but_the_defaults() -> None:
    inputs = {"length": UNKNOWN}
    id, outputs = create("random:index/randomPassword:RandomPassword", inputs, preview=True)
    assert id == ""
    assert outputs["result"] == Secret(UNKNOWN)
    assert outputs["lower"] is True


@pytest.mark.parametrize(
    ("old", "new", "replaces"),
    [
        ({"length": 8}, {"length": 9}, ["length"]),
        ({"length": 8}, {"length": 8, "keepers": {"a": "b"}}, ["keepers"]),
        ({"length": 8, "keepers": {"a": "b"}}, {"length": 8}, ["keepers"]),
        ({"length": 8}, {"length": 8, "special": True}, []),
        ({"length": 8, "special": True}, {"length": 8}, []),
        ({"length": 8, "special": False}, {"length": 8}, ["special"]),
        ({"length": 8}, {"length": Secret(8)}, []),
    ],
)
def test_every_change_replaces(old: Properties, new: Properties, replaces: list[str]) -> None:
    type = "random:index/randomString:RandomString"
    resource = Resource("urn", type, "x")
    _, outputs = create(type, old)
    request = Request(resource=resource, inputs=new, old_inputs=old, old_outputs=outputs)
    assert [*PROVIDER.diff(request).replaces] == replaces
    assert not PROVIDER.diff(replace(request, ignore_changes=replaces)).changes


@pytest.mark.parametrize(
    ("inputs", "property"),
    [
        ({}, "length"),
        ({"length": "x"}, "length"),
        ({"length": -1}, "length"),
        ({"length": 8, "minLower": 1.5}, "minLower"),
        ({"length": 8, "size": 9}, "size"),
        ({"length": 8, "number": True, "numeric": False}, "number"),
    ],
)
def test_refused_arguments(inputs: Properties, property: str) -> None:
    resource = Resource("urn", "random:index/randomString:RandomString", "x")
    failures = PROVIDER.check(Request(resource=resource, inputs=inputs)).failures
    assert [failure.property for failure in failures] == [property]


@pytest.mark.parametrize(
    ("type", "inputs"),
    [
        ("random:index/randomString:RandomString", {"length": 3, "minLower": 4}),
        (
            "random:index/randomString:RandomString",
            {"length": 3, **dict.fromkeys(("lower", "upper", "numeric", "special"), False)},
        ),
    ],
)
def test_what_cannot_be_made(type: str, inputs: Properties) -> None:
    with pytest.raises(ResourceError):
        create(type, inputs)


def test_other_types_name_the_pulumi_cli() -> None:
    with pytest.raises(EngineError, match=r"RandomPet.*Pulumi CLI"):
        create("random:index/randomPet:RandomPet", {})
