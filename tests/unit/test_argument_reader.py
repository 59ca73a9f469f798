"""The reader of arguments: an Output is checked like a plain value, with the same message."""

from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Any, NotRequired, TypedDict

import pulumi
import pytest

from astro_pulumi.args.default_types import Default
from astro_pulumi.errors import ArgumentError
from astro_pulumi.validation import argument_reader
from astro_pulumi.validation.argument_reader import Arguments, Check
from tests.mock_engine import run


class Level(StrEnum):
    """As the enums of the package are."""

    LOW = "low"
    HIGH = "high"


class AnyArgs(TypedDict):
    """One argument of each kind."""

    a: NotRequired[Any]


def in_capitals(text: str, path: str) -> str:
    if "!" in text:
        raise ArgumentError(path, "must not shout")
    return text.upper()


Read = Callable[[Arguments], Any]
CHECK: Check[str] = in_capitals
READERS: dict[str, tuple[Read, Read | None]] = {
    "text": (lambda a: a.text("a"), lambda a: a.plain_text("a")),
    "checked text": (lambda a: a.text("a", CHECK), lambda a: a.plain_text("a", CHECK)),
    "optional text": (lambda a: a.optional_text("a"), lambda a: a.optional_plain_text("a")),
    "number": (lambda a: a.number("a", 1, 9), lambda a: a.plain_number("a", 1, 9)),
    "optional number": (lambda a: a.optional_number("a", 1, 9), None),
    "flag": (lambda a: a.flag("a"), lambda a: a.plain_flag("a")),
    "choice": (
        lambda a: a.choice("a", Level),
        lambda a: a.plain_choice("a", ("low", "high")),
    ),
    "quantity": (lambda a: a.quantity("a"), None),
    "texts": (lambda a: a.texts("a", CHECK), None),
    "strings": (lambda a: a.strings("a"), None),
}
GOOD: dict[str, list[tuple[Any, Any]]] = {
    "text": [("x", "x")],
    "checked text": [("x", "X")],
    "optional text": [("x", "x")],
    "number": [(3, 3), (3.0, 3)],
    "optional number": [(9.0, 9)],
    "flag": [(True, True), (False, False)],
    "choice": [("high", "high"), (Level.HIGH, "high")],
    "quantity": [("500m", "500m"), (2.0, "2"), (1.5, "1.5")],
    "texts": [(["x", "y"], ["X", "Y"])],
    "strings": [({"b": "c"}, {"b": "c"}), ({}, {})],
}
BAD: dict[str, list[Any]] = {
    "text": [5, True, "", "  ", ["x"]],
    "checked text": ["no!", 5],
    "optional text": [5, ""],
    "number": [0, 10, 1.5, "3", True, float("nan")],
    "optional number": [0, "3"],
    "flag": ["yes", 1, 0.0],
    "choice": ["middle", 5, ""],
    "quantity": ["2GB", "-1", "0", 0, True],
    "texts": [["x", 5], ["x", ""], ["x", None], ["x", ["y"]], ["x", "no!"]],
    "strings": [{"b": 1}, {"b": None}],
}


def arguments(value: Any) -> Arguments:
    return Arguments({"a": value}, AnyArgs, "at[0]")


def opened(read: Read, value: Any, preview: bool = False) -> list[Any]:
    """What `read` makes of an argument that is given as an Output, and whether that is secret."""

    def program() -> Any:
        found = pulumi.Output.from_input(read(arguments(value())))

        async def state() -> list[Any]:
            known = await found.is_known()
            return [await found.future() if known else "unknown", await found.is_secret()]

        return pulumi.Output.from_input(state())

    result: list[Any] = run(program, preview=preview).result
    return result


def as_output(value: Any, make: Callable[[Any], Any] = pulumi.Output.from_input) -> Any:
    """`value` as an Output; of a mapping or list its values, as users give them."""
    if isinstance(value, dict):
        return {key: make(item) for key, item in value.items()}
    if isinstance(value, list):
        return [make(item) for item in value]
    return make(value)


@pytest.mark.parametrize("name", READERS)
def test_good_values(name: str) -> None:
    read, plain = READERS[name]
    for given, expected in GOOD[name]:
        assert read(arguments(given)) == expected
        assert plain is None or plain(arguments(given)) == expected
        known = given.value if isinstance(given, Enum) else given
        assert opened(read, lambda known=known: as_output(known)) == [expected, False]
        if known:
            secret = opened(read, lambda known=known: as_output(known, pulumi.Output.secret))
            assert secret == [expected, True]


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("name", READERS)
def test_bad_values_get_the_same_message_as_outputs(name: str, preview: bool) -> None:
    read, plain = READERS[name]
    for given in BAD[name]:
        with pytest.raises(ArgumentError) as caught:
            read(arguments(given))
        message = str(caught.value)
        assert message.startswith("at[0].a")
        if plain:
            with pytest.raises(ArgumentError) as other:
                plain(arguments(given))
            assert str(other.value) == message
        with pytest.raises(pulumi.RunError) as shown:
            opened(read, lambda given=given: as_output(given), preview)
        assert str(shown.value) == message


@pytest.mark.parametrize("name", READERS)
def test_unknown_values_stay_unknown(name: str) -> None:
    read, _ = READERS[name]
    unknown = {"strings": {"b": pulumi.UNKNOWN}, "texts": [pulumi.UNKNOWN]}
    given = unknown.get(name, pulumi.UNKNOWN)
    assert opened(read, lambda: as_output(given), preview=True)[0] == "unknown"


@pytest.mark.parametrize("name", [name for name, (_, plain) in READERS.items() if plain])
def test_what_must_be_known_is_no_output(name: str) -> None:
    plain = READERS[name][1]
    assert plain is not None
    with pytest.raises(ArgumentError, match="must be known when the program runs"):
        plain(arguments(pulumi.Output.from_input(GOOD[name][0][0])))


def test_an_output_without_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = lambda: pulumi.Output.from_input(None)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(argument_reader, "DEFAULTS", {"AnyArgs": {"a": Default(7)}})
        assert opened(READERS["number"][0], nothing) == [7, False]
        assert Arguments({}, AnyArgs).number("a", 1, 9) == 7
        assert Arguments({"a": None}, AnyArgs).plain_number("a", 1, 9) == 7
    with pytest.raises(pulumi.RunError, match=r"at\[0\]\.a: is required"):
        opened(READERS["text"][0], nothing)
    with pytest.raises(pulumi.RunError, match="is an Output without a value; leave the argument"):
        opened(READERS["optional text"][0], nothing)


def test_numbers_in_anything_are_whole() -> None:
    given = {"b": [1.0, {"c": 2.5, "d": True}], "e": "3.0"}
    assert arguments(given).mapping("a") == {"b": [1, {"c": 2.5, "d": True}], "e": "3.0"}
    assert type(arguments([given]).mappings("a")[0]["b"][0]) is int
    later = opened(lambda a: a.mapping("a"), lambda: {"b": pulumi.Output.secret([1.0])})
    assert later == [{"b": [1]}, True]
    assert type(later[0]["b"][0]) is int


def test_names_of_mappings_are_strings() -> None:
    with pytest.raises(ArgumentError, match=r"at\[0\]\.a\[1\]: must have a string for a name"):
        arguments({1: "x"}).strings("a")
