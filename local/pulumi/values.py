"""Property values of providers, and their wire form.

A secret is a `Secret`. A value that is unknown in a preview is `UNKNOWN`, in the wire form too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

# As in `pulumi.runtime.rpc` of the Pulumi SDK for Python.
UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105

# JSON plus `Secret`. `Any`, since JSON cannot be typed usefully.
Value = Any
Properties = dict[str, Value]


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A value that must not be visible, even in a traceback."""

    value: Value

    def __repr__(self) -> str:
        """Return a placeholder."""
        return "[secret]"


def from_wire(value: Any) -> Value:
    """Return the value of JSON in wire form: whole floats as `int`, null properties left out."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return Secret(from_wire(value.get("value")))
        return {key: from_wire(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [from_wire(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def to_wire(value: Value) -> Any:
    """Return the wire form of a property value, as JSON."""
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET_SIGNATURE, "value": to_wire(value.value)}
    if isinstance(value, dict):
        return {key: to_wire(item) for key, item in value.items()}
    return [to_wire(item) for item in value] if isinstance(value, list) else value


def reveal(value: Value) -> Value:
    """Return `value` with every `Secret` replaced by its content."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    return [reveal(item) for item in value] if isinstance(value, list) else value


def texts(value: Value, secret_only: bool = False) -> Iterator[str]:
    """Yield every text in `value`, or every text in its secrets."""
    if isinstance(value, Secret):
        yield from texts(value.value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item, secret_only)
    elif isinstance(value, str) and not secret_only:
        yield value
