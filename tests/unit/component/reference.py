"""Writes docs/arguments.md from the schema: every argument and output with its type and default.

    python -m tests.unit.component.reference

A test holds the page against it.
"""

import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from astro_pulumi.plugin import schema

PAGE: Final = Path(__file__).parents[3] / "docs" / "arguments.md"
_INTRODUCTION: Final = """\
# Arguments and outputs

Made from [astro_pulumi/args.py](../astro_pulumi/args.py), as editors show it; names are Python's, other
languages write them in camelCase. A value marked with `*` may be an Output; any other must be known when the
program runs. Times are in seconds. Each argument has a test:
`python -m tests.unit.component.test_arguments` prints them.
"""
_DEFAULT = re.compile(r"\s*Default: (.*?)\.?$", re.DOTALL)


def page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    package = json.loads(schema(python_names=True))
    for token, component in package["resources"].items():
        name = token.rpartition(":")[2]
        yield f"## {name}\n\n{_cell(component['description'])}\n"
        yield _table(component["inputProperties"], component.get("requiredInputs", []))
        yield "Outputs:\n\n| output | type | |\n|---|---|---|"
        for output, definition in component["properties"].items():
            type_, text = _type(definition, as_input=False), _cell(definition["description"])
            yield f"| `{_snake_case(output)}` | {type_} | {text} |"
        yield ""
    for token, type_ in package["types"].items():
        if "enum" in type_:
            continue
        yield f"## {token.rpartition(':')[2]}\n\n{_cell(type_['description'])}\n"
        yield _table(type_["properties"], type_.get("required", []))


def _table(properties: dict[str, Any], required: list[str]) -> str:
    rows = ["| argument | type | default | |", "|---|---|---|---|"]
    for name, definition in properties.items():
        text = definition["description"]
        match = _DEFAULT.search(text)
        default = "required" if name in required else match[1] if match else ""
        cells = (
            f"`{_snake_case(name)}`",
            _type(definition),
            _cell(default),
            _cell(_DEFAULT.sub("", text)),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, ""])


def _type(definition: dict[str, Any], as_input: bool = True) -> str:
    mark = "*" if as_input and not definition.get("plain") else ""
    if reference := definition.get("$ref"):
        if reference == "pulumi.json#/Any":
            return "anything"
        name = reference.rpartition(":")[2]
        if choices := _enums().get(name):
            return f"{', '.join(f'`{choice}`' for choice in choices)}{mark}"
        return f"[{name}](#{name.lower()})"
    if items := definition.get("items"):
        return f"list of {_type(items)}"
    if values := definition.get("additionalProperties"):
        return f"map of {_type(values)}"
    return f"{definition['type']}{mark}"


@cache
def _enums() -> dict[str, list[str]]:
    """Return the values of each enum, by its name."""
    return {
        token.rpartition(":")[2]: [choice["value"] for choice in type_["enum"]]
        for token, type_ in json.loads(schema(python_names=True))["types"].items()
        if "enum" in type_
    }


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[1].lower()}", name)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"wrote {PAGE}\n")
