"""Functions on Pulumi inputs: a plain value gives a plain result, an Output gives an Output."""

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

import pulumi

from astro_pulumi.errors import as_run_error


def computed(function: Callable[..., Any], *inputs: Any) -> Any:
    """Return `function(*inputs)`: immediately if all inputs are plain, otherwise as an Output.

    An input may be None, an Output, or a mapping or list with Outputs in it. The Output is secret if an input
    is secret, and unknown in a preview if an input is unknown. An `AstroError` of `function` is shown as its
    message alone.
    """
    pending = [index for index, value in enumerate(inputs) if has_output(value)]
    if not pending:
        return function(*inputs)

    def call(known: Mapping[int, Any]) -> Any:
        with as_run_error():
            return function(*(known.get(index, value) for index, value in enumerate(inputs)))

    if len(pending) == 1:
        index = pending[0]
        return pulumi.Output.from_input(inputs[index]).apply(lambda value: call({index: value}))
    # Without the plain inputs: Pulumi would create an Output for each item in them.
    return pulumi.Output.all(*(inputs[index] for index in pending)).apply(
        lambda values: call(dict(zip(pending, values, strict=True)))
    )


def formatted(template: str, **values: Any) -> Any:
    """Return `template.format(**values)`; the values may be Outputs."""
    fields = (field for _, field, _, _ in Formatter().parse(template) if field)
    names = list(dict.fromkeys(fields))

    def fill(*known: Any) -> str:
        return template.format(**dict(zip(names, known, strict=True)))

    return computed(fill, *(values[name] for name in names))


def has_output(value: Any) -> bool:
    """Return whether `value` is an Output, or a mapping or list with an Output in it."""
    if isinstance(value, pulumi.Output):
        return True
    if isinstance(value, Mapping):
        return any(has_output(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(has_output(item) for item in value)
    return False


def with_integers(value: Any) -> Any:
    """Return `value` with whole numbers as integers: other languages send only floats."""
    if isinstance(value, pulumi.Output):
        return value.apply(with_integers)
    if isinstance(value, Mapping):
        return {key: with_integers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
