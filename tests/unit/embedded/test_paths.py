"""Property paths, by Pulumi's rules."""

from typing import Any

import pytest

from astro_pulumi.embedded.paths import contains, keep_old, lookup, parse
from astro_pulumi.embedded.values import Secret


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("spec.replicas", ("spec", "replicas")),
        ("containers[0].image", ("containers", 0, "image")),
        ('annotations["a.b/c"].x', ("annotations", "a.b/c", "x")),
        ("spec[*].y", ("spec", "*", "y")),
        ("*", ("*",)),
    ],
)
def test_parse(text: str, path: tuple[Any, ...]) -> None:
    assert parse(text) == path


@pytest.mark.parametrize(
    ("path", "old", "new", "kept"),
    [
        ("a", {"a": 1}, {"a": 2}, {"a": 1}),
        ("a", {"a": 1}, {}, {"a": 1}),
        ("a", {}, {"a": 1}, {}),
        ("a.b", {"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}, {"a": {"b": 1, "c": 3}}),
        ("a.b", {}, {"a": {"b": 2}}, {"a": {}}),
        ("a.b.c", {}, {"a": {"b": {"c": 2}}}, {"a": {"b": {"c": 2}}}),
        ("a.*", {}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        ("a.b", {"a": {"b": 1}}, {}, {}),
        ("a[0]", {"a": [1, 2]}, {"a": [3, 4]}, {"a": [1, 4]}),
        ("a[*].x", {"a": [{"x": 1}]}, {"a": [{"x": 2, "y": 3}]}, {"a": [{"x": 1, "y": 3}]}),
        ("a.*", {"a": {"x": 1}}, {"a": {"x": 2, "y": 3}}, {"a": {"x": 1}}),
        ("a.x", {"a": Secret({"x": 1})}, {"a": Secret({"x": 2})}, {"a": Secret({"x": 1})}),
        ("a.x", {"a": Secret({"x": 1})}, {"a": {"x": 2}}, {"a": {"x": Secret(1)}}),
    ],
)
def test_ignored_changes(path: str, old: Any, new: Any, kept: Any) -> None:
    assert keep_old([path], old, new) == kept


def test_contains() -> None:
    assert contains(parse("spec"), parse("spec.replicas"))
    assert contains(parse("spec[*]"), parse("spec[3].x"))
    assert not contains(parse("spec.replicas"), parse("spec"))


def test_lookup() -> None:
    assert lookup(parse("a[1].b"), {"a": [1, {"b": 2}]}) == 2
    assert lookup(parse("a[1].b"), {"a": [1, Secret({"b": 2})]}) == Secret(2)
    assert lookup(parse("a.c"), {"a": [1]}) is None
