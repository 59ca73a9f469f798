"""The package schema: what editors, `pulumi package add` and the reference pages show of the arguments."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from astro_pulumi.plugin import schema
from tests.unit.component.reference import PAGE, page

COMMITTED = Path(__file__).parents[3] / "schema.json"


def test_the_committed_schema_is_current() -> None:
    assert COMMITTED.read_text() == schema(), "run: python -m astro_pulumi.plugin > schema.json"


def test_the_page_of_arguments_is_current() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.unit.component.reference"


def test_every_input_and_output_is_described() -> None:
    silent = [path for path, definition in properties() if not definition.get("description")]
    assert silent == []


def test_every_component_and_type_is_described() -> None:
    package = json.loads(schema())
    described = {**package["resources"], **package["types"]}
    assert [name for name, one in described.items() if not one.get("description")] == []


def properties() -> Iterator[tuple[str, Any]]:
    package = json.loads(schema())
    for section in ("resources", "types"):
        for name, definition in package[section].items():
            for group in ("inputProperties", "properties"):
                for key, value in definition.get(group, {}).items():
                    yield f"{name}.{key}", value
