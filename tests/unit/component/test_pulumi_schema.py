"""The package schema: what editors, `pulumi package add` and the reference pages show of the arguments."""

import json
import re
from collections.abc import Iterator
from typing import Any

import astro_pulumi
from astro_pulumi.pulumi_plugin import schema
from astro_pulumi.pulumi_schema import SECRETS


def test_every_input_and_output_is_described() -> None:
    silent = [path for path, definition in properties() if not definition.get("description")]
    assert silent == []


def test_every_component_and_type_is_described() -> None:
    package = json.loads(schema())
    described = {**package["resources"], **package["types"]}
    assert [name for name, one in described.items() if not one.get("description")] == []


def test_descriptions_are_clean_and_name_arguments_as_other_languages_do() -> None:
    package = json.loads(schema())
    names = {
        re.sub(r"(?<=[a-z0-9])([A-Z])", lambda upper: f"_{upper[1].lower()}", path.split(".")[1])
        for path, _ in properties()
    }
    descriptions = [definition["description"] for _, definition in properties()]
    descriptions += [type_["description"] for type_ in package["types"].values()]
    for text in descriptions:
        assert "  " not in text, text
        assert "\n" not in text.replace("\n\n", ""), text
        for code in re.findall("`[^`]+`", text):
            wrong = {name for name in re.findall(r"[a-z]+(?:_[a-z0-9]+)+", code) if name in names}
            assert not wrong, text


def test_secrets_are_marked() -> None:
    secret = {path.partition(":index:")[2]: one for path, one in properties() if one.get("secret")}
    assert set(secret) == {f"{owner.removesuffix('Args')}.{key}" for owner, key in SECRETS}
    assert not [path for path, one in secret.items() if one.get("plain")], "not in the SDK of Go"
    for path, definition in properties():
        if re.search(r"password$|Password$", path):
            assert definition.get("secret"), path


def test_types_have_no_name_that_sdks_would_double() -> None:
    assert not [name for name in json.loads(schema())["types"] if name.endswith("Args")]


def properties() -> Iterator[tuple[str, Any]]:
    package = json.loads(schema())
    for section in ("resources", "types"):
        for name, definition in package[section].items():
            for group in ("inputProperties", "properties"):
                for key, value in definition.get(group, {}).items():
                    yield f"{name}.{key}", value


def test_every_type_can_be_imported_from_the_package() -> None:
    types = {token.rpartition(":")[2] for token in json.loads(schema(python_names=True))["types"]}
    assert types <= set(astro_pulumi.__all__)
