"""Generate docs/arguments.md from the schema: every argument and output, by task, with an example."""

import json
import re
from collections.abc import Iterator, Mapping
from textwrap import indent
from typing import Any, Final

from astro_pulumi.pulumi_plugin import schema
from tools.argument_groups import GROUPS

_INTRODUCTION: Final = """\
# Arguments and outputs

Names are Python's; other languages write them in camelCase. A value marked with `*` may be an Output; any
other must be known when the program runs. Times are in seconds. This page is made from
[astro_pulumi/args/](../astro_pulumi/args) by `make generate`; editors show the same text.
"""
_DEFAULT = re.compile(r"\s*Default: (.*?)\.?$", re.DOTALL)
_HEAD: Final = "| argument | type | default | |\n|---|---|---|---|"


def page() -> str:
    """Return the whole page."""
    return "\n".join([_INTRODUCTION, *_Page(json.loads(schema(python_names=True))).sections()])


class _Page:
    """The sections. Each type is described at its first use."""

    def __init__(self, package: Mapping[str, Any]) -> None:
        self._types: Mapping[str, Any] = package["types"]
        self._resources: Mapping[str, Any] = package["resources"]
        self._described: set[str] = set()

    def sections(self) -> Iterator[str]:
        """Yield the sections."""
        deployment = self._resources["astro:index:Deployment"]
        inputs = {_snake_case(name): one for name, one in deployment["inputProperties"].items()}
        _check_groups(set(inputs))
        yield f"## Contents\n\n{_contents()}\n"
        for group in GROUPS:
            shown = {name: inputs[name] for name in group.arguments}
            yield f"## {group.title}\n\n{group.text}\n\n```python\n{_call(group.example)}```\n"
            yield from self._tables(shown, [])
        yield f"## Outputs of a Deployment\n\n{_outputs(deployment)}\n"
        image = self._resources["astro:index:ProjectImage"]
        yield f"## ProjectImage\n\n{_cell(image['description'])}\n"
        properties = {_snake_case(name): one for name, one in image["inputProperties"].items()}
        yield from self._tables(properties, list(map(_snake_case, image["requiredInputs"])))
        yield f"{_outputs(image)}\n"

    def _tables(self, properties: Mapping[str, Any], required: list[str]) -> Iterator[str]:
        """Yield the table of some arguments, and then those of their types."""
        rows = (self._row(name, one, name in required) for name, one in properties.items())
        yield "\n".join([_HEAD, *rows, ""])
        for definition in properties.values():
            token = _reference(definition)
            if token not in self._types or token in self._described:
                continue
            self._described.add(token)
            type_ = self._types[token]
            if "enum" not in type_:
                yield f"### {_name(token)}\n\n{_cell(type_['description'])}\n"
                inner = {_snake_case(name): one for name, one in type_["properties"].items()}
                yield from self._tables(inner, list(map(_snake_case, type_.get("required", []))))

    def _row(self, name: str, definition: Mapping[str, Any], is_required: bool) -> str:
        text = definition["description"]
        match = _DEFAULT.search(text)
        default = "required" if is_required else match[1] if match else ""
        cells = (
            f"`{name}`",
            self._type(definition),
            _cell(default),
            _cell(_DEFAULT.sub("", text)),
        )
        return f"| {' | '.join(cells)} |"

    def _type(self, definition: Mapping[str, Any]) -> str:
        mark = "" if definition.get("plain") else "*"
        if reference := definition.get("$ref"):
            token = reference.removeprefix("#/types/")
            if token not in self._types:
                return "anything"
            values = self._types[token].get("enum")
            if values:
                return ", ".join(f"`{one['value']}`" for one in values) + mark
            return f"[{_name(token)}](#{_name(token).lower()})"
        if items := definition.get("items"):
            return f"list of {self._type(items)}"
        if values := definition.get("additionalProperties"):
            return f"map of {self._type(values)}"
        return f"{definition['type']}{mark}"


def _check_groups(arguments: set[str]) -> None:
    grouped = [name for group in GROUPS for name in group.arguments]
    for name in {*arguments} ^ {*grouped}:
        problem = "is in no group" if name in arguments else "does not exist"
        raise ValueError(f"tools/argument_groups.py: the argument {name} {problem}")


def _call(example: str) -> str:
    """Return an example as an expression, which ruff also formats in documents."""
    return f"astro.DeploymentArgs(\n{indent(example, '    ')})\n"


def _contents() -> str:
    titles = [*(group.title for group in GROUPS), "Outputs of a Deployment", "ProjectImage"]
    return "\n".join(f"- [{title}](#{_anchor(title)})" for title in titles)


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9-]", "", title.lower().replace(" ", "-"))


def _outputs(component: Mapping[str, Any]) -> str:
    rows = ["| output | type | |", "|---|---|---|"]
    for output, definition in component["properties"].items():
        text = _cell(definition["description"])
        rows.append(f"| `{_snake_case(output)}` | {definition['type']} | {text} |")
    return "\n".join(rows)


def _reference(definition: Mapping[str, Any]) -> str:
    """Return the token of the type in a definition, such as of a list's items; empty if it has none."""
    while inner := definition.get("items") or definition.get("additionalProperties"):
        definition = inner
    return str(definition.get("$ref", "")).removeprefix("#/types/")


def _name(token: str) -> str:
    return token.rpartition(":")[2]


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[1].lower()}", name)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
