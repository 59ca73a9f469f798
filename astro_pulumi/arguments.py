"""Reads untyped arguments into typed values, with errors in the user's words.

A `TypedDict` checks nothing at run time, and from YAML or TypeScript anything may arrive: numbers as
floats, unknown keys, a string where a list belongs. Every value is taken through this reader once.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, is_typeddict

import pulumi

from astro_pulumi.errors import ArgumentError

# Kubernetes' quantity grammar, without exponents and negative numbers, which make no sense here.
_QUANTITY = re.compile(r"^(\d+(?:\.\d+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
_DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")


class Arguments:
    """One mapping of arguments. A key that its `TypedDict` does not have is refused."""

    def __init__(self, values: Any, kind: Any, path: str = "") -> None:
        """Take the values for `kind`, a `TypedDict` of `args`, and where in the arguments they are."""
        if not isinstance(values, Mapping):
            raise ArgumentError(path or "args", f"must be a mapping, not {_kind(values)}")
        self._values = {key: value for key, value in values.items() if value is not None}
        self._path = path
        self._fields = kind.__annotations__
        for key in self._values:
            if key not in self._fields:
                known = ", ".join(self._fields)
                raise ArgumentError(
                    self.path(key), f"there is no such argument. There are: {known}"
                )

    def path(self, key: str) -> str:
        """The argument's full name, as an error shows it: `worker_queues[0].cpu`."""
        return f"{self._path}.{key}" if self._path else key

    def has(self, key: str) -> bool:
        """Whether the argument was given."""
        return key in self._values

    def text(self, key: str, default: str | None = None) -> str:
        """A string that is known now and not empty; required when there is no default."""
        value = self._values.get(key, default)
        if value is None:
            raise ArgumentError(self.path(key), "is required")
        if isinstance(value, pulumi.Output):
            raise ArgumentError(
                self.path(key), "must be known when the program runs; it is an Output"
            )
        if not isinstance(value, str):
            raise ArgumentError(self.path(key), f"must be a string, not {_kind(value)}")
        if not value.strip():
            raise ArgumentError(self.path(key), "is empty")
        return value

    def optional_text(self, key: str) -> str | None:
        """As `text`, None when not given."""
        return self.text(key) if self.has(key) else None

    def input_text(self, key: str) -> pulumi.Input[str] | None:
        """A string, perhaps an Output; None when not given."""
        value = self._values.get(key)
        if value is None or isinstance(value, pulumi.Output):
            return value
        return self.text(key)

    def number(self, key: str, default: int, minimum: int, maximum: int = 2**31 - 1) -> int:
        """A whole number. Floats without a fraction are whole: other languages send only floats."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ArgumentError(self.path(key), f"must be a whole number, not {_kind(value)}")
        if isinstance(value, float) and (not math.isfinite(value) or value != int(value)):
            raise ArgumentError(self.path(key), f"must be a whole number, not {value}")
        if not minimum <= value <= maximum:
            raise ArgumentError(self.path(key), f"must be {minimum} to {maximum}, not {int(value)}")
        return int(value)

    def optional_number(self, key: str, minimum: int, maximum: int = 2**31 - 1) -> int | None:
        """As `number`, None when not given."""
        return self.number(key, minimum, minimum, maximum) if self.has(key) else None

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise ArgumentError(self.path(key), f"must be true or false, not {_kind(value)}")
        return value

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        """One of `choices`."""
        value = self.text(key, default)
        if value not in choices:
            raise ArgumentError(
                self.path(key), f"must be one of {', '.join(choices)}, not {value!r}"
            )
        return value

    def quantity(self, key: str, default: str | None = None) -> str:
        """A Kubernetes quantity above zero: `500m`, `2`, `1.5Gi`."""
        value = self._values.get(key, default)
        text = f"{value:g}" if type(value) in (int, float) else self.text(key, default)
        match = _QUANTITY.match(text)
        if not match or float(match[1]) == 0:
            raise ArgumentError(
                self.path(key), f"{text!r} is not a Kubernetes quantity such as 500m, 2 or 1.5Gi"
            )
        return text

    def section(self, key: str) -> "Arguments":
        """A nested mapping; empty when not given."""
        return Arguments(self._values.get(key, {}), self._kind_of(key), self.path(key))

    def sections(self, key: str, default: Sequence[Mapping[str, Any]] = ()) -> "list[Arguments]":
        """A list of mappings. It may be empty unless there is a default."""
        values = self._list(key, default)
        if default and not values:
            raise ArgumentError(self.path(key), "is empty; leave it out for the default")
        return [
            Arguments(value, self._kind_of(key), f"{self.path(key)}[{index}]")
            for index, value in enumerate(values)
        ]

    def named_sections(self, key: str) -> "dict[str, Arguments]":
        """A mapping of names to mappings; empty when not given."""
        return {
            name: Arguments(value, self._kind_of(key), f"{self.path(key)}[{name!r}]")
            for name, value in self.mapping(key).items()
        }

    def _kind_of(self, key: str) -> Any:
        """Return the `TypedDict` in the type of a field, such as `NotRequired[Sequence[...]]`."""
        kind = self._fields[key]
        while not is_typeddict(kind):
            kind = get_args(kind)[-1]
        return kind

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A mapping of anything; empty when not given."""
        values = self._values.get(key, {})
        if not isinstance(values, Mapping):
            raise ArgumentError(self.path(key), f"must be a mapping, not {_kind(values)}")
        return values

    def mappings(self, key: str) -> list[Mapping[str, Any]]:
        """A list of mappings of anything; empty when not given."""
        values = self._list(key, [])
        for index, value in enumerate(values):
            if not isinstance(value, Mapping):
                path = f"{self.path(key)}[{index}]"
                raise ArgumentError(path, f"must be a mapping, not {_kind(value)}")
        return list(values)

    def plain_strings(self, key: str) -> dict[str, str]:
        """A mapping of names to strings that are known now; empty when not given."""
        values = self.mapping(key)
        for name, value in values.items():
            if not isinstance(name, str) or not isinstance(value, str):
                path = f"{self.path(key)}[{name!r}]"
                raise ArgumentError(path, f"must be a string, not {_kind(value)}")
        return dict(values)

    def _list(self, key: str, default: Sequence[Any]) -> Sequence[Any]:
        values = self._values.get(key, default)
        if isinstance(values, str | Mapping) or not isinstance(values, Sequence):
            raise ArgumentError(self.path(key), f"must be a list, not {_kind(values)}")
        return values

    def strings(
        self, key: str, check_name: Callable[[str, str], None]
    ) -> dict[str, pulumi.Input[str]]:
        """A mapping of names to strings, which may be Outputs. `check_name(name, path)` may raise."""
        values = self.mapping(key)
        for name, value in values.items():
            path = f"{self.path(key)}[{name!r}]"
            check_name(name, path)
            if not isinstance(value, str | pulumi.Output):
                raise ArgumentError(path, f"must be a string, not {_kind(value)}")
        return dict(values)


_UNITS = {
    **{
        unit: 1000.0**power
        for power, unit in enumerate(("m", "", "k", "M", "G", "T", "P", "E"), -1)
    },
    **{unit: 1024.0**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}


def amount_of(quantity: str) -> float:
    """What a Kubernetes quantity that `Arguments.quantity` read amounts to: `500m` is 0.5."""
    number = quantity.rstrip("mkMGTPEi")
    return float(number) * _UNITS[quantity.removeprefix(number)]


def check_label(value: str, path: str, longest: int) -> str:
    """`value`, when it is a name that Kubernetes takes: lower-case letters, digits and dashes.

    :raises ArgumentError: otherwise.
    """
    if len(value) > longest:
        raise ArgumentError(path, f"{value!r} has {len(value)} characters; {longest} are the most")
    if not _DNS_LABEL.match(value):
        raise ArgumentError(
            path,
            f"{value!r} must be lower-case letters, digits and dashes, "
            "and start and end with a letter or digit",
        )
    return value


def _kind(value: Any) -> str:
    if isinstance(value, pulumi.Output):
        return "an Output"
    if value is None:
        return "nothing"
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    for kind, name in names.items():
        if type(value) is kind:
            return f"{name} ({value!r})"
    return "a mapping" if isinstance(value, Mapping) else f"a {type(value).__name__}"
