"""The stand-in for pulumi-random."""

import string
from dataclasses import replace

import bcrypt
import pytest

from local.pulumi.plugin import ResourceError
from local.pulumi.provider import Request
from local.pulumi.random_provider import RandomProvider
from local.pulumi.values import UNKNOWN, Properties, Secret

PASSWORD = "random:index/randomPassword:RandomPassword"
STRING = "random:index/randomString:RandomString"
PROVIDER = RandomProvider()


def create(type: str, inputs: Properties, preview: bool = False) -> tuple[str, Properties]:
    checked, refused = PROVIDER.check(Request(type=type, inputs=inputs))
    assert not refused
    return PROVIDER.create(Request(type=type, inputs=checked, preview=preview))


def test_passwords_have_the_characters_that_were_asked_for() -> None:
    _, outputs = create(PASSWORD, {"length": 40, "special": False, "upper": False, "minNumeric": 5})
    password = outputs["result"].value
    assert len(password) == 40
    assert set(password) <= {*string.ascii_lowercase, *string.digits}
    assert sum(c.isdigit() for c in password) >= 5


def test_the_hash_is_that_of_the_password() -> None:
    _, outputs = create(PASSWORD, {"length": 12})
    hashed = outputs["bcryptHash"].value
    assert bcrypt.checkpw(outputs["result"].value.encode(), hashed.encode())


def test_two_passwords_differ() -> None:
    assert (
        create(PASSWORD, {"length": 20})[1]["result"]
        != create(PASSWORD, {"length": 20})[1]["result"]
    )


def test_own_special_characters() -> None:
    inputs = {
        "length": 20,
        "overrideSpecial": "§",
        "lower": False,
        "upper": False,
        "numeric": False,
    }
    id, outputs = create(STRING, inputs)
    assert (id, outputs["result"]) == ("§" * 20, "§" * 20)


def test_the_older_name_of_numeric_counts() -> None:
    _, outputs = create(STRING, {"length": 200, "number": False})
    assert not any(c.isdigit() for c in outputs["result"])
    assert outputs["numeric"] is False


def test_a_secret_input_is_secret_in_the_outputs() -> None:
    keepers = Secret({"a": "b"})
    assert create(PASSWORD, {"length": 8, "keepers": keepers})[1]["keepers"] == keepers


def test_a_preview_knows_no_value_but_the_defaults() -> None:
    for inputs in ({"length": UNKNOWN}, {"length": 8}):
        id, outputs = create(PASSWORD, inputs, preview=True)
        assert id == ""
        assert outputs["result"] == Secret(UNKNOWN)
        assert outputs["lower"] is True


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({"length": 8}, {"length": 9}, {"length": "UPDATE_REPLACE"}),
        ({"length": 8}, {"length": 8, "keepers": {"a": "b"}}, {"keepers": "ADD_REPLACE"}),
        ({"length": 8, "keepers": {"a": "b"}}, {"length": 8}, {"keepers": "DELETE_REPLACE"}),
        ({"length": 8}, {"length": 8, "special": True}, {}),
        ({"length": 8, "special": True}, {"length": 8}, {}),
        ({"length": 8, "special": False}, {"length": 8}, {"special": "DELETE_REPLACE"}),
        ({"length": 8}, {"length": Secret(8)}, {}),
    ],
)
def test_every_change_replaces(old: Properties, new: Properties, changes: dict[str, str]) -> None:
    _, outputs = create(STRING, old)
    request = Request(type=STRING, inputs=new, old_inputs=old, old_outputs=outputs)
    assert PROVIDER.diff(request) == changes
    assert PROVIDER.diff(replace(request, ignore_changes=list(changes))) == {}


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
def test_refused_inputs(inputs: Properties, property: str) -> None:
    assert list(PROVIDER.check(Request(type=STRING, inputs=inputs))[1]) == [property]


def test_lengths_that_cannot_be_made() -> None:
    with pytest.raises(ResourceError, match="sum of the minima"):
        create(STRING, {"length": 3, "minLower": 4})
    with pytest.raises(ResourceError, match="at least one of"):
        create(
            STRING, {"length": 3, **dict.fromkeys(("lower", "upper", "numeric", "special"), False)}
        )
