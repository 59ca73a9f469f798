"""Every argument from Python, as a plain value, an Output, a secret, a float, and unknown in a preview."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, is_typeddict

import pulumi
import pytest

import astro_pulumi as astro
from astro_pulumi.args import DeploymentArgs
from tests.mock_engine import Resource, run
from tests.specs import CASES
from tests.unit.test_bad_arguments import fields_of

Leaf = Callable[[Any, Any], Any]  # gets a value and its type


def walk(value: Any, kind: Any, leaf: Leaf) -> Any:
    """`value` with each leaf as `leaf(value, kind)` makes it."""
    if is_typeddict(kind):
        fields = fields_of(kind)
        return {key: walk(item, fields[key], leaf) for key, item in value.items()}
    if get_origin(kind) is Sequence:
        return [walk(item, get_args(kind)[0], leaf) for item in value]
    if get_origin(kind) is Mapping:
        return {key: walk(item, get_args(kind)[1], leaf) for key, item in value.items()}
    return leaf(value, kind)


def is_input(kind: Any) -> bool:
    return get_origin(kind) is Union


def as_output(value: Any, kind: Any) -> Any:
    """An Output. A number is a float, as from other programs, and a choice is a member of its enum."""
    inner = get_args(kind)[0] if is_input(kind) else kind
    if isinstance(inner, type) and issubclass(inner, Enum):
        value = inner(value)
    elif type(value) is int:
        value = float(value)
    return pulumi.Output.from_input(value) if is_input(kind) else value


def as_secret(value: Any, kind: Any) -> Any:
    return pulumi.Output.secret(value) if is_input(kind) else value


def as_unknown(value: Any, kind: Any) -> Any:
    return pulumi.Output.from_input(pulumi.UNKNOWN) if is_input(kind) else value


def objects(case: str, leaf: Leaf, preview: bool = False) -> dict[tuple[str, str], Resource]:
    def program() -> None:
        astro.Deployment("analytics", walk(CASES[case], DeploymentArgs, leaf))

    return {(one.type, one.name): one for one in run(program, preview=preview)}


@cache
def plain_objects(case: str) -> dict[tuple[str, str], Resource]:
    return objects(case, lambda value, _: value)


@pytest.mark.parametrize("case", CASES)
def test_an_output_makes_the_same_objects_as_its_value(case: str) -> None:
    expected, found = plain_objects(case), objects(case, as_output)
    assert set(found) == set(expected)
    for key, one in expected.items():
        assert found[key].inputs == one.inputs, key


@pytest.mark.parametrize("case", CASES)
def test_a_secret_makes_the_same_objects_but_for_the_record(case: str) -> None:
    """The record has a mark in its place, and the release Job a hash of the record."""
    expected, found = plain_objects(case), objects(case, as_secret)
    assert set(found) == set(expected)
    for (kind, name), one in expected.items():
        if name.endswith(("-release", "-release-job")):
            continue
        if kind.endswith(":Job"):  # knows its workloads by their inputs, secret ones aside
            assert found[kind, name].container == one.container
            continue
        assert found[kind, name].inputs == one.inputs, name


@pytest.mark.parametrize("case", CASES)
def test_a_preview_plans_the_same_objects_without_the_values(case: str) -> None:
    planned = objects(case, as_unknown, preview=True)
    assert set(planned) == set(plain_objects(case))
