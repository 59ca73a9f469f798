"""Which arguments must be known when the program runs: few, each with its reason."""

import json
import re
from collections.abc import Iterator
from typing import Any

from astro_pulumi.args.no_output_allowed import NO_OUTPUT_ALLOWED
from astro_pulumi.pulumi_plugin import schema


def leaves(package: dict[str, Any], properties: dict[str, Any], above: str) -> Iterator[str]:
    """Yield the path of each plain leaf, with Python's names: `worker_queues[].name`."""
    for key, definition in properties.items():
        name = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda upper: f"_{upper[1].lower()}", key)
        path = f"{above}.{name}" if above else name
        while inner := definition.get("items") or definition.get("additionalProperties"):
            path += "[]" if "items" in definition else "{}"
            definition = inner
        token = definition.get("$ref", "").removeprefix("#/types/")
        type_ = package["types"].get(token, {})
        if "properties" in type_:
            yield from leaves(package, type_["properties"], path)
        elif definition.get("plain"):
            yield path


def test_every_plain_argument_has_a_reason() -> None:
    package = json.loads(schema())
    for component in package["resources"].values():
        found = set(leaves(package, component["inputProperties"], ""))
        assert found <= set(NO_OUTPUT_ALLOWED), (
            "make it an Input, or give the reason in args/no_output_allowed.py"
        )
    deployment = package["resources"]["astro:index:Deployment"]["inputProperties"]
    assert set(leaves(package, deployment, "")) == set(NO_OUTPUT_ALLOWED)
    assert len(NO_OUTPUT_ALLOWED) <= 25
