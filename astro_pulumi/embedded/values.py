"""Property values as the engine and its providers pass them.

Plain JSON values (`dict`, `list`, `str`, `int`, `float`, `bool`, `None`) plus two markers: `Secret`, a
value that must be encrypted in state and never shown, and `UNKNOWN`, a value that a preview cannot
know yet. The wire form (protobuf structs whose special objects carry a signature key) is read and
written here and nowhere else. Signatures: `pulumi.runtime.rpc` in the Pulumi Python SDK.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
RESOURCE_SIGNATURE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
UNKNOWN_WIRE: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

# A property value: JSON plus `Secret` and `UNKNOWN`. `Any`, since JSON cannot be typed usefully.
Value = Any
Properties = dict[str, Value]


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A value that must not be seen. Its `repr` does not show it. One read from state keeps its
    ciphertext, so that what does not change looks the same in state."""

    value: Value
    ciphertext: str = field(default="", compare=False)

    def __repr__(self) -> str:
        return "[secret]"


class _Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = _Unknown()


def from_wire(value: Any) -> Value:
    """A JSON value in wire form (`MessageToDict` of a struct) -> a property value.

    Whole floats become `int`, as JSON in state has them. First-class outputs are reduced to their
    value, unknown when they carry none, and secret when they say so.
    """
    if isinstance(value, Mapping):
        signature = value.get(SIGNATURE)
        if signature == SECRET_SIGNATURE:
            inner = from_wire(value.get("value"))  # events tell only that there is one
            return inner if isinstance(inner, Secret) else Secret(inner)
        if signature == OUTPUT_SIGNATURE:
            inner = from_wire(value["value"]) if "value" in value else UNKNOWN
            is_secret = bool(value.get("secret")) and not isinstance(inner, Secret)
            return Secret(inner) if is_secret else inner
        return {key: from_wire(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_wire(item) for item in value]
    if value == UNKNOWN_WIRE:
        return UNKNOWN
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def to_wire(value: Value, hide: bool = False) -> Any:
    """The reverse of `from_wire`. `hide` has what is secret left out, as in Pulumi's events."""
    if isinstance(value, Secret):
        shown = {"ciphertext": "[secret]"} if hide else {"value": to_wire(value.value)}
        return {SIGNATURE: SECRET_SIGNATURE, **shown}
    if value is UNKNOWN:
        return UNKNOWN_WIRE
    if isinstance(value, Mapping):
        return {key: to_wire(item, hide) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_wire(item, hide) for item in value]
    return value


def reveal(value: Value) -> Value:
    """`value` with every `Secret` replaced by what it hides."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def has_unknown(value: Value) -> bool:
    """Whether `value` is or contains `UNKNOWN`."""
    return any(part is UNKNOWN for part in parts(value))


def has_secret(value: Value) -> bool:
    """Whether `value` is or contains a `Secret`."""
    return any(isinstance(part, Secret) for part in parts(value))


def parts(value: Value) -> Iterator[Value]:
    """`value` and everything in it, also what secrets hide."""
    yield value
    if isinstance(value, Secret):
        yield from parts(value.value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from parts(item)
