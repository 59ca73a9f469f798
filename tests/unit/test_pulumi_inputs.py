"""`computed`: plain values at once, Outputs as an Output with the same answer, secretness and errors."""

from typing import Any

import pulumi
import pytest

from astro_pulumi.errors import ArgumentError
from astro_pulumi.pulumi_inputs import computed, formatted, has_output
from tests.mock_engine import run


def url(host: str, port: int | None, labels: dict[str, str] | None = None) -> str:
    if port == 0:
        raise ArgumentError("port", "must not be 0")
    return f"http://{host}:{port}{sorted(labels or {})}"


def outcome(make: Any, preview: bool = False) -> Any:
    """What `make()` is when it is known: its value, and whether it is secret."""

    def program() -> Any:
        made = pulumi.Output.from_input(make())

        async def state() -> Any:
            known = await made.is_known()
            return [await made.future() if known else "unknown", await made.is_secret()]

        return pulumi.Output.from_input(state())

    return run(program, preview=preview).result


def test_plain_inputs_give_a_plain_result() -> None:
    assert computed(url, "a", 1) == "http://a:1[]"
    assert computed(url, "a", None, {"b": "c"}) == "http://a:None['b']"


def test_outputs_give_an_output() -> None:
    assert outcome(lambda: computed(url, pulumi.Output.from_input("a"), 1)) == [
        "http://a:1[]",
        False,
    ]
    both = ["http://a:1['b']", False]
    assert (
        outcome(
            lambda: computed(
                url,
                pulumi.Output.from_input("a"),
                pulumi.Output.from_input(1),
                {"b": "c"},
            )
        )
        == both
    )
    assert outcome(lambda: computed(url, "a", 1, {"b": pulumi.Output.from_input("c")})) == both


def test_the_output_of_a_secret_is_secret() -> None:
    assert outcome(lambda: computed(url, pulumi.Output.secret("a"), 1)) == ["http://a:1[]", True]
    nested = {"b": pulumi.Output.secret("c")}
    assert outcome(lambda: computed(url, "a", pulumi.Output.from_input(1), nested))[1] is True


def test_an_unknown_value_stays_unknown_in_a_preview() -> None:
    def make() -> Any:
        return computed(url, pulumi.Output.from_input(pulumi.UNKNOWN), pulumi.Output.from_input(0))

    assert outcome(make, preview=True) == ["unknown", False]


@pytest.mark.parametrize("preview", [False, True])
def test_an_error_is_shown_as_its_message(preview: bool) -> None:
    with pytest.raises(ArgumentError, match=r"^port: must not be 0$"):
        computed(url, "a", 0)
    with pytest.raises(pulumi.RunError, match=r"^port: must not be 0$") as caught:
        outcome(lambda: computed(url, "a", pulumi.Output.from_input(0)), preview)
    assert isinstance(caught.value.__cause__, ArgumentError)


def test_templates_are_filled() -> None:
    assert formatted("{a}-{b}-{a}", a=1, b="x", c="unused") == "1-x-1"
    filled = lambda: formatted("{a}-{b}", a=pulumi.Output.from_input(1), b="x")  # noqa: E731
    assert outcome(filled) == ["1-x", False]
    only_what_is_used = formatted("{a}", a=1, b=pulumi.Output.from_input("x"))
    assert only_what_is_used == "1"


def test_outputs_are_found_inside_of_values() -> None:
    output = pulumi.Output.from_input(1)
    assert has_output(output)
    assert has_output({"a": [{"b": (output,)}]})
    assert not has_output({"a": ["b", 1, None]})
