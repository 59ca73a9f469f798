"""Private parts of the Pulumi SDK that this package uses, with the reason for each.

A new SDK may change them without notice. No other module uses them.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pulumi
from pulumi.provider import Provider, server
from pulumi.provider.experimental.analyzer import (
    ComponentDefinition,
    PropertyDefinition,
    PropertyType,
    TypeDefinition,
)
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.runtime.sync_await import _sync_await


def wait_for(output: pulumi.Output[Any]) -> Any:
    """Return the value of an Output, or None if it is unknown.

    The SDK itself waits for the answer of an invoke like this. Otherwise a program could not choose a release
    by the answer of the cluster before it decides which resources exist.
    """
    return _sync_await(output.future())


def is_unknown(value: Any) -> bool:
    """Return whether `value` is a placeholder for a value that is unknown in a preview.

    A provider receives the placeholder itself in place of an Output.
    """
    return isinstance(value, pulumi.output.Unknown)


def serve(provider: Provider, explain: Callable[[pulumi.RunError], Exception]) -> None:
    """Serve `provider` to the engine, whose address is on the command line, until the engine ends.

    The SDK's server (3.272) answers an error of an `apply` as an unexpected exception. It creates its
    servicer by name, so this function replaces the class of that name.

    Args:
        provider: The provider.
        explain: Returns the answer for such an error.
    """

    class Servicer(server.ProviderServicer):
        async def _construct(self, request: Any, context: Any) -> Any:
            try:
                return await super()._construct(request, context)
            except pulumi.RunError as error:
                raise explain(error) from error

    server.ProviderServicer = Servicer  # type: ignore[misc]
    server.main(provider, sys.argv[1:])


def component_definition(provider: ComponentProvider, resource_type: str) -> ComponentDefinition:
    """Return the analyser's definition of a component, for checks that the SDK lacks."""
    return provider._component_defs[resource_type.rsplit(":", 1)[-1]]


def relax_definitions(provider: ComponentProvider) -> None:
    """Accept Outputs where the SDK (3.272) would convert the value to an integer or enum.

    The SDK converts in `map_inputs`, which fails on an Output, and loses enums in lists. The schema is built
    before and keeps integer and enum. Validation converts the values.
    """
    types = provider._type_defs
    for component in provider._component_defs.values():
        _relax(component.inputs.values(), types)
    for definition in types.values():
        _relax(definition.properties.values(), types)


def _relax(properties: Iterable[PropertyDefinition], types: Mapping[str, TypeDefinition]) -> None:
    for definition in properties:
        if definition.type is PropertyType.INTEGER:
            definition.type = PropertyType.NUMBER
        name = (definition.ref or "").rsplit(":", 1)[-1]
        if name in types and types[name].enum:
            definition.ref, definition.type = None, PropertyType.STRING
        inner = (definition.items, definition.additional_properties)
        _relax([one for one in inner if one], types)
