"""The components as a Pulumi plugin, for programs in YAML, TypeScript, Go, C# and Java.

Pulumi's own `component_provider_host` ignores unknown arguments, refuses Outputs of enums and integers, loses
a nested mapping that arrives as one Output, and answers an error in an argument with a stack trace of this
package. This module corrects that.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from operator import itemgetter
from typing import Any, Final

import pulumi
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from astro_pulumi import pulumi_private_api
from astro_pulumi.deployment import Deployment
from astro_pulumi.errors import ArgumentError, AstroError
from astro_pulumi.project_image import ProjectImage
from astro_pulumi.pulumi_schema import completed

PACKAGE: Final = "astro"
_COMPONENTS: Final = [Deployment, ProjectImage]


def serve() -> None:
    """Serve the components to the Pulumi engine whose address is on the command line, until it ends."""
    pulumi_private_api.serve(AstroProvider(), _explained)


def schema(python_names: bool = False) -> str:
    """Return the package schema, as `schema.json` at the root of the repository keeps it.

    Args:
        python_names: Whether descriptions name arguments as Python does.
    """
    provider = AstroProvider()
    package = completed(provider.analysed, rename=not python_names)
    return json.dumps(package, indent=2) + "\n"


class AstroProvider(ComponentProvider):
    """Pulumi's component provider, with errors in the user's words."""

    def __init__(self) -> None:
        """Analyse the components, and complete their schema."""
        super().__init__(_COMPONENTS, PACKAGE, version=version("astro-pulumi"))
        self.analysed = self.schema or "{}"
        self.schema = json.dumps(completed(self.analysed))
        pulumi_private_api.relax_definitions(self)

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Any,
        options: pulumi.ResourceOptions | None = None,
    ) -> Any:
        """Make one component.

        Raises:
            pulumi.InputPropertyError: An argument or the project is wrong.
        """
        definition = pulumi_private_api.component_definition(self, resource_type)
        try:
            inputs = self._prepare(inputs, definition.inputs, "")
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as failure:
            cause = failure.inner.__cause__
            if not isinstance(cause, AstroError):
                raise
            raise _as_property_error(cause) from cause
        except AstroError as error:
            raise _as_property_error(error) from error

    def _prepare(self, inputs: Mapping[str, Any], properties: Any, path: str) -> dict[str, Any]:
        """Refuse arguments that Pulumi's provider would drop or fail on. Make Outputs of unknown values."""
        unknown = sorted(set(inputs) - set(properties))
        if unknown:
            raise ArgumentError(
                f"{path}{unknown[0]}",
                f"there is no such argument. There are: {', '.join(sorted(properties))}",
            )
        return {
            key: self._prepare_value(value, properties[key], f"{path}{key}")
            for key, value in inputs.items()
        }

    def _prepare_value(self, value: Any, definition: Any, path: str) -> Any:
        if pulumi_private_api.is_unknown(value):
            value = pulumi.Output.from_input(value)
        nested = self.get_type_definition(definition) if definition.ref else None
        if isinstance(value, pulumi.Output):
            if nested or definition.items or definition.additional_properties:
                return self._prepare_value(_opened(value, path), definition, path)
            if definition.plain:
                raise ArgumentError(path, "must be known when the program runs; it is an Output")
        elif nested:
            if not isinstance(value, Mapping):
                raise ArgumentError(path, "must be a mapping")
            return self._prepare(value, nested.properties, f"{path}.")
        elif definition.items and isinstance(value, Sequence) and not isinstance(value, str):
            return [
                self._prepare_value(item, definition.items, f"{path}[{index}]")
                for index, item in enumerate(value)
            ]
        elif definition.additional_properties and isinstance(value, Mapping):
            return {
                key: self._prepare_value(item, definition.additional_properties, f"{path}[{key!r}]")
                for key, item in value.items()
            }
        return value


def _opened(value: pulumi.Output[Any], path: str) -> Any:
    """Return a mapping or list with an Output of each item; the names in it must be known now.

    A program may have made a whole mapping secret.
    """
    known = pulumi_private_api.wait_for(value)
    if isinstance(known, Mapping):
        return {key: value.apply(itemgetter(key)) for key in known}
    if isinstance(known, list):
        return [value.apply(itemgetter(index)) for index in range(len(known))]
    if known is None:
        raise ArgumentError(path, "is unknown as a whole; make Outputs of its values")
    return known


def _explained(error: pulumi.RunError) -> Exception:
    """Return the error of an Output's value as that of a plain value."""
    cause = error.__cause__
    return _as_property_error(cause) if isinstance(cause, AstroError) else error


def _as_property_error(error: AstroError) -> pulumi.InputPropertyError:
    """Return the error that Pulumi shows beside the resource, with the names of other languages."""
    if isinstance(error, ArgumentError):
        return pulumi.InputPropertyError(_camel_case(error.argument), _camel_case(str(error)))
    return pulumi.InputPropertyError("project", str(error))


def _camel_case(text: str) -> str:
    """Turn `worker_queues[0].min_count` into `workerQueues[0].minCount`, except in quotes."""
    parts = re.split(r"('[^']*')", text)
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"(?<=[a-z])_([a-z])", lambda match: match[1].upper(), parts[index])
    return "".join(parts)


if __name__ == "__main__":  # python -m astro_pulumi.pulumi_plugin > schema.json
    sys.stdout.write(schema())
