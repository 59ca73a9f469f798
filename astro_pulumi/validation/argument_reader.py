"""Read untyped arguments into typed values, with errors in the user's words.

A `TypedDict` checks nothing at run time, and from YAML or TypeScript anything may arrive: numbers as
floats, unknown keys, a string where a list belongs. Every value is taken through this reader once.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, EnumMeta
from functools import partial
from typing import Any, Final, TypeVar, get_args, is_typeddict

import pulumi

from astro_pulumi.args import DEFAULTS
from astro_pulumi.errors import ArgumentError
from astro_pulumi.pulumi_inputs import computed, with_integers

T = TypeVar("T")
# Gets a value and its path; returns the value, perhaps in another form, or raises.
Check = Callable[[T, str], T]
Choices = Sequence[str] | type[Enum]
_LARGEST: Final = 2**31 - 1

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
        self._defaults = DEFAULTS.get(kind.__name__, {})
        for key in self._values:
            if key not in self._fields:
                known = ", ".join(self._fields)
                raise ArgumentError(
                    self.path(key), f"there is no such argument. There are: {known}"
                )

    def path(self, key: str) -> str:
        """Return the argument's full name, as an error shows it: `worker_queues[0].cpu`."""
        return f"{self._path}.{key}" if self._path else key

    def has(self, key: str) -> bool:
        """Return whether the argument was given."""
        return key in self._values

    def text(self, key: str, check: Check[str] | None = None) -> pulumi.Input[str]:
        """Return a string that is not empty.

        Like all methods without `optional` in their names, require the argument unless it has a default.
        Like all methods without `plain` in their names, check an Output when it is known, with the same
        message. An Output without a value stands for the default.
        """
        return self._input(key, _text, check)

    def optional_text(self, key: str, check: Check[str] | None = None) -> pulumi.Input[str] | None:
        """Return a string like `text`, or None if it is not given."""
        return self._optional_input(key, _text, check)

    def number(self, key: str, minimum: int, maximum: int = _LARGEST) -> pulumi.Input[int]:
        """Return a whole number. Floats without a fraction are whole: other languages send only floats."""
        return self._input(key, partial(_number, minimum=minimum, maximum=maximum))

    def optional_number(
        self, key: str, minimum: int, maximum: int = _LARGEST
    ) -> pulumi.Input[int] | None:
        """Return a number like `number`, or None if it is not given."""
        return self._optional_input(key, partial(_number, minimum=minimum, maximum=maximum))

    def flag(self, key: str) -> pulumi.Input[bool]:
        """Return true or false."""
        return self._input(key, _flag)

    def choice(self, key: str, choices: Choices) -> pulumi.Input[str]:
        """Return one of `choices`, as a string."""
        return self._input(key, partial(_choice, choices=choices))

    def quantity(self, key: str) -> pulumi.Input[str]:
        """Return a Kubernetes quantity above zero: `500m`, `2`, `1.5Gi`."""
        return self._input(key, _quantity)

    def plain_text(self, key: str, check: Check[str] | None = None) -> str:
        """Return a string like `text` that is known when the program runs."""
        return _read(self._plain(key), self.path(key), _text, check)

    def optional_plain_text(self, key: str, check: Check[str] | None = None) -> str | None:
        """Return a string like `plain_text`, or None if it is not given."""
        return self.plain_text(key, check) if self.has(key) else None

    def plain_number(
        self, key: str, minimum: int, maximum: int = _LARGEST, default: int | None = None
    ) -> int:
        """Return a number like `number` that is known when the program runs.

        Args:
            key: Name of the argument.
            minimum: The least that it may be.
            maximum: The most that it may be.
            default: A default that depends on other arguments.
        """
        value = default if default is not None and not self.has(key) else self._plain(key)
        return _number(value, self.path(key), minimum, maximum)

    def plain_flag(self, key: str) -> bool:
        """Return true or false, known when the program runs."""
        return _flag(self._plain(key), self.path(key))

    def plain_choice(self, key: str, choices: Choices) -> str:
        """Return one of `choices`, known when the program runs."""
        return _choice(self._plain(key), self.path(key), choices)

    def _plain(self, key: str) -> Any:
        value = self._values[key] if key in self._values else self._default(key)
        if isinstance(value, pulumi.Output):
            raise ArgumentError(
                self.path(key), "must be known when the program runs; it is an Output"
            )
        return value

    def _default(self, key: str, problem: str = "is required") -> Any:
        if key not in self._defaults:
            raise ArgumentError(self.path(key), problem)
        return self._defaults[key].value

    def _input(
        self,
        key: str,
        read: Callable[[Any, str], T],
        check: Check[T] | None = None,
        problem: str = "is required",
    ) -> pulumi.Input[T]:
        path = self.path(key)

        def read_and_check(value: Any) -> T:
            return _read(self._default(key, problem) if value is None else value, path, read, check)

        result: pulumi.Input[T] = computed(read_and_check, self._values.get(key))
        return result

    def _optional_input(
        self, key: str, read: Callable[[Any, str], T], check: Check[T] | None = None
    ) -> pulumi.Input[T] | None:
        problem = "is an Output without a value; leave the argument out"
        return self._input(key, read, check, problem) if self.has(key) else None

    def section(self, key: str) -> "Arguments":
        """Return a nested mapping; empty if it is not given."""
        return Arguments(self._values.get(key, {}), self._kind_of(key), self.path(key))

    def sections(self, key: str, default: Sequence[Mapping[str, Any]] = ()) -> "list[Arguments]":
        """Return a list of mappings. It may be empty unless there is a default."""
        items = self._items(key, default, may_be_empty=not default)
        return [Arguments(value, self._kind_of(key), path) for path, value in items]

    def named_sections(self, key: str) -> "dict[str, Arguments]":
        """Return a mapping of names to mappings; empty if it is not given."""
        return {
            name: Arguments(value, self._kind_of(key), f"{self.path(key)}[{name!r}]")
            for name, value in self._mapping(key).items()
        }

    def _kind_of(self, key: str) -> Any:
        """Return the `TypedDict` in the type of a field, such as `NotRequired[Sequence[...]]`."""
        kind = self._fields[key]
        while not is_typeddict(kind):
            kind = get_args(kind)[-1]
        return kind

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return a mapping of anything; empty if it is not given."""
        values: Mapping[str, Any] = with_integers(self._mapping(key))
        return values

    def _mapping(self, key: str) -> Mapping[str, Any]:
        values = self._values.get(key, {})
        if not isinstance(values, Mapping):
            raise ArgumentError(self.path(key), f"must be a mapping, not {_kind(values)}")
        return values

    def mappings(self, key: str) -> list[Mapping[str, Any]]:
        """Return a list of mappings of anything; empty if it is not given."""
        items = self._items(key)
        for path, value in items:
            if not isinstance(value, Mapping):
                raise ArgumentError(path, f"must be a mapping, not {_kind(value)}")
        return [with_integers(value) for _, value in items]

    def _items(
        self, key: str, default: Sequence[Any] = (), *, may_be_empty: bool = True
    ) -> list[tuple[str, Any]]:
        """Return the path and the value of each item of a list."""
        values = self._values.get(key, default)
        if isinstance(values, str | Mapping) or not isinstance(values, Sequence):
            raise ArgumentError(self.path(key), f"must be a list, not {_kind(values)}")
        if self.has(key) and not values and not may_be_empty:
            raise ArgumentError(self.path(key), "is empty; leave it out for the default")
        return [(f"{self.path(key)}[{index}]", value) for index, value in enumerate(values)]

    def texts(self, key: str, check: Check[str] | None = None) -> list[pulumi.Input[str]]:
        """Return a list of strings like `text`; empty only if it is not given."""
        return [
            computed(partial(_read, path=path, read=_text, check=check), value)
            for path, value in self._items(key, may_be_empty=False)
        ]

    def strings(
        self,
        key: str,
        check_name: Callable[[str, str], None] | None = None,
        check: Check[str] | None = None,
    ) -> dict[str, pulumi.Input[str]]:
        """Return a mapping of names to strings; empty if it is not given.

        Args:
            key: Name of the argument.
            check_name: Called with each name and its path; raises if the name is wrong.
            check: Called with each value and its path; returns the value or raises.
        """
        checked: dict[str, pulumi.Input[str]] = {}
        for name, value in self._mapping(key).items():
            path = f"{self.path(key)}[{name!r}]"
            if not isinstance(name, str):
                raise ArgumentError(path, "must have a string for a name")
            if check_name:
                check_name(name, path)
            checked[name] = computed(partial(_read, path=path, read=_string, check=check), value)
        return checked

    def quantities(self, key: str) -> dict[str, pulumi.Input[str]]:
        """Return a mapping of names to Kubernetes quantities; empty if it is not given."""
        return {
            name: computed(partial(_quantity, path=f"{self.path(key)}[{name!r}]"), value)
            for name, value in self._mapping(key).items()
        }


def _read(value: Any, path: str, read: Callable[[Any, str], T], check: Check[T] | None) -> T:
    found = read(value, path)
    return check(found, path) if check else found


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise ArgumentError(path, f"must be a string, not {_kind(value)}")
    return value


def _text(value: Any, path: str) -> str:
    text = _string(value, path)
    if not text.strip():
        raise ArgumentError(path, "is empty")
    return text


def _number(value: Any, path: str, minimum: int, maximum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentError(path, f"must be a whole number, not {_kind(value)}")
    if isinstance(value, float) and (not math.isfinite(value) or value != int(value)):
        raise ArgumentError(path, f"must be a whole number, not {value}")
    if not minimum <= value <= maximum:
        raise ArgumentError(path, f"must be {minimum} to {maximum}, not {int(value)}")
    return int(value)


def _flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise ArgumentError(path, f"must be true or false, not {_kind(value)}")
    return value


def _choice(value: Any, path: str, choices: Choices) -> str:
    known = [one.value for one in choices] if isinstance(choices, EnumMeta) else list(choices)
    text = _text(value.value if isinstance(value, Enum) else value, path)
    if text not in known:
        raise ArgumentError(path, f"must be one of {', '.join(known)}, not {text!r}")
    return text


def _quantity(value: Any, path: str) -> str:
    text = f"{value:g}" if type(value) in (int, float) else _text(value, path)
    match = _QUANTITY.match(text)
    if not match or float(match[1]) == 0:
        raise ArgumentError(path, f"{text!r} is not a Kubernetes quantity such as 500m, 2 or 1.5Gi")
    return text


_UNITS = {
    **{
        unit: 1000.0**power
        for power, unit in enumerate(("m", "", "k", "M", "G", "T", "P", "E"), -1)
    },
    **{unit: 1024.0**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}


def amount_of(quantity: str) -> float:
    """Return the number that a valid Kubernetes quantity stands for: `500m` is 0.5."""
    number = quantity.rstrip("mkMGTPEi")
    return float(number) * _UNITS[quantity.removeprefix(number)]


def check_label(value: str, path: str, longest: int) -> str:
    """Return `value` if Kubernetes takes it as a name: lower-case letters, digits and dashes.

    Raises:
        ArgumentError: It is no such name, or longer than `longest`.
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
