"""Every argument, in the shapes that other languages send, makes the same Deployment as from Python."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mock_engine import UNKNOWN, Resource, deploy
from tests.plugin.fake_engine import Plugin, output, started_plugin
from tests.specs import CASES

SCHEMA = json.loads((Path(__file__).parents[2] / "schema.json").read_text())
INPUTS = SCHEMA["resources"]["astro:index:Deployment"]["inputProperties"]

# Given elsewhere: what needs a project on disk, or a release in a cluster.
NOT_HERE = {"project", "buildSecrets", "dagDeploys", "rollbackTo"}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    with started_plugin(tmp_path_factory.mktemp("program")) as running:
        yield running


def camel_case(key: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), key)


def walk(
    values: Any,
    definition: dict[str, Any],
    path: str,
    leaf: Callable[[Any, dict[str, Any], str], Any],
) -> Any:
    """`values` with the schema's names, and each leaf as `leaf(value, definition, path)` makes it."""
    if type_ := structure_type(definition):
        return structure(values, type_, path, leaf)
    if isinstance(values, list) and "items" in definition:
        return [walk(value, definition["items"], path, leaf) for value in values]
    if isinstance(values, dict) and "additionalProperties" in definition:
        inner = definition["additionalProperties"]
        return {key: walk(value, inner, path, leaf) for key, value in values.items()}
    return leaf(values, definition, path)


def structure_type(definition: dict[str, Any]) -> dict[str, Any] | None:
    """The type that a definition refers to; None for an enum, whose values are leaves."""
    reference = definition.get("$ref", "")
    if not reference.startswith("#/types/"):
        return None
    type_: dict[str, Any] = SCHEMA["types"][reference.removeprefix("#/types/")]
    return None if "enum" in type_ else type_


def structure(
    values: Any, type_: dict[str, Any], path: str, leaf: Callable[[Any, dict[str, Any], str], Any]
) -> Any:
    properties = type_.get("inputProperties") or type_["properties"]
    return {
        (name := camel_case(key)): walk(
            value, properties[name], f"{path}.{name}" if path else name, leaf
        )
        for key, value in values.items()
    }


def sent(case: str, leaf: Callable[[Any, dict[str, Any], str], Any]) -> dict[str, Any]:
    inputs: dict[str, Any] = structure(
        CASES[case], SCHEMA["resources"]["astro:index:Deployment"], "", leaf
    )
    return inputs


def as_yaml(value: Any, definition: dict[str, Any], path: str) -> Any:
    """Numbers are floats."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_number else value


def as_outputs(value: Any, definition: dict[str, Any], path: str) -> Any:
    """TypeScript and Go: whatever may be an Output is one."""
    if definition.get("plain"):
        return as_yaml(value, definition, path)
    return output(as_yaml(value, definition, path))


def as_secrets(value: Any, definition: dict[str, Any], path: str) -> Any:
    """Whatever may be an Output is a secret one."""
    if definition.get("plain"):
        return as_yaml(value, definition, path)
    return output(as_yaml(value, definition, path), secret=True)


def as_unknown(value: Any, definition: dict[str, Any], path: str) -> Any:
    """The preview of a program that makes everything else first."""
    return as_yaml(value, definition, path) if definition.get("plain") else UNKNOWN


def objects(resources: list[Resource]) -> dict[tuple[str, str], dict[str, Any]]:
    """By type and name."""
    return {(r.type, r.name): r.inputs for r in resources if r.type != "astro:index:Deployment"}


# The record marks the secrets among its arguments, and Jobs have hashes of what is not secret.
DIFFER_BY_SECRETS = re.compile(r"analytics-release|.*-job|analytics-rollout-.*")


@pytest.mark.parametrize("leaf", [as_yaml, as_outputs, as_secrets])
@pytest.mark.parametrize("case", CASES)
def test_the_same_deployment(
    plugin: Plugin, case: str, leaf: Callable[[Any, dict[str, Any], str], Any]
) -> None:
    expected = objects(deploy(CASES[case]).resources)
    found = objects(plugin.construct(sent(case, leaf)).resources)
    assert set(found) == set(expected)
    for (kind, name), inputs in expected.items():
        if leaf is as_secrets and DIFFER_BY_SECRETS.fullmatch(name):
            continue
        assert found[kind, name] == inputs, name


@pytest.mark.parametrize("case", CASES)
def test_preview_with_everything_unknown(plugin: Plugin, case: str) -> None:
    planned = objects(plugin.construct(sent(case, as_unknown), preview=True).resources)
    assert set(planned) == set(objects(deploy(CASES[case]).resources))


def test_every_argument_is_tried() -> None:
    tried: set[str] = set()

    def note(value: Any, definition: dict[str, Any], path: str) -> Any:
        tried.add(path)
        return value

    for case in CASES:
        sent(case, note)
    assert set(paths(INPUTS, "")) - tried - NOT_HERE == set()


def paths(properties: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, definition in properties.items():
        path = f"{prefix}.{name}" if prefix else name
        inner = definition
        while "items" in inner or "additionalProperties" in inner:
            inner = inner.get("items") or inner["additionalProperties"]
        if type_ := structure_type(inner):
            yield from paths(type_["properties"], path)
        else:
            yield path
