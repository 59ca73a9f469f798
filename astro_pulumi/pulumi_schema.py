"""Complete the schema: secrets, defaults, and the names of arguments in other languages.

Pulumi's analyser cannot see these.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from astro_pulumi.args import DEFAULTS

Schema = dict[str, Any]

# Component or type, and its property. SDKs of other languages mark such a value as secret by themselves.
# Mappings are not among them: that of Go does not compile for a plain mapping that is secret as a whole.
SECRETS: Final = frozenset(
    {
        ("AuthArgs", "adminPassword"),
        ("BrokerArgs", "password"),
        ("BrokerArgs", "url"),
        ("ConnectionArgs", "extra"),
        ("ConnectionArgs", "password"),
        ("ConnectionArgs", "uri"),
        ("DatabaseArgs", "password"),
        ("DatabaseArgs", "url"),
        ("Deployment", "adminPassword"),
        ("Deployment", "fernetKey"),
        ("RegistryArgs", "password"),
        ("RemoteLoggingArgs", "elasticsearchHost"),
    }
)
_CODE: Final = re.compile(r"`[^`]+`")
_TYPE: Final = re.compile(r"(:index:\w+)Args\"")
_NAME: Final = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")


def completed(schema: str, rename: bool = True) -> Schema:
    """Return the analyser's schema with what it lacks.

    Args:
        schema: The analyser's schema, as JSON.
        rename: Whether arguments are named as other languages write them, `minCount`, and types without the
            `Args` that SDKs add to their names.
    """
    package: Schema = json.loads(schema)
    names = {_snake_case(key): key for _, key, _ in _properties(package)}

    def say(text: str) -> str:
        text = "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
        return _with_names(text, names) if rename else text

    _describe(package, say)
    marked = set()
    for owner, key, definition in _properties(package):
        if (owner, key) in SECRETS:
            definition["secret"] = True
            marked.add((owner, key))
    if marked != SECRETS:
        raise ValueError(f"there are no properties {sorted(SECRETS - marked)}")
    _add_defaults(package)
    if not rename:
        return package
    renamed: Schema = json.loads(_TYPE.sub(r'\1"', json.dumps(package)))
    return renamed


def _properties(package: Schema) -> Iterator[tuple[str, str, Schema]]:
    """Yield the owner, name and definition of each property."""
    for token, definition in {**package["resources"], **package["types"]}.items():
        for group in ("inputProperties", "properties"):
            for key, value in definition.get(group, {}).items():
                yield token.rpartition(":")[2], key, value


def _add_defaults(package: Schema) -> None:
    """Add the defaults that SDKs may send as if they were given."""
    inputs = {token: type_.get("properties", {}) for token, type_ in package["types"].items()}
    inputs |= {
        f"{token}Args": one["inputProperties"] for token, one in package["resources"].items()
    }
    for token, properties in inputs.items():
        for name, default in DEFAULTS.get(token.rpartition(":")[2], {}).items():
            if default.in_schema:
                properties[_camel_case(name)]["default"] = default.value


def _describe(definition: Any, say: Callable[[str], str]) -> None:
    """Rewrite every description inside `definition`."""
    if isinstance(definition, dict):
        for key, value in definition.items():
            if key == "description" and isinstance(value, str):
                definition[key] = say(value)
            else:
                _describe(value, say)
    elif isinstance(definition, list):
        for item in definition:
            _describe(item, say)


def _with_names(text: str, names: Mapping[str, str]) -> str:
    """Replace Python's names of arguments in code: `min_count` becomes `minCount`."""

    def rename(code: re.Match[str]) -> str:
        return _NAME.sub(lambda name: names.get(name[0], name[0]), code[0])

    return _CODE.sub(rename, text)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[1].lower()}", name)


def _camel_case(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
