"""Resource names as Pulumi writes them: `urn:pulumi:<stack>::<project>::<types>::<name>`.

`<types>` is the chain of types from the outermost component to the resource, joined by `$`.
"""

from typing import Final

STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_PREFIX: Final = "pulumi:providers:"


def make_urn(stack: str, project: str, parent: str, type: str, name: str) -> str:
    """The URN of a resource. The root stack does not show in its children's URNs."""
    chain = qualified_type(parent) if parent else ""
    if chain and chain != STACK_TYPE:
        type = f"{chain}${type}"
    return f"urn:pulumi:{stack}::{project}::{type}::{name}"


def qualified_type(urn: str) -> str:
    """`a:b:Component$kubernetes:core/v1:Secret` of a URN."""
    return urn.split("::", 3)[2]


def type_of(urn: str) -> str:
    """`kubernetes:core/v1:Secret` of a URN."""
    return qualified_type(urn).rsplit("$", 1)[-1]


def name_of(urn: str) -> str:
    """The program's name for the resource; empty for no URN."""
    return urn.split("::", 3)[3] if urn else ""


def stack_and_project(urn: str) -> tuple[str, str]:
    """The first two parts of a URN."""
    stack, project, _ = urn.removeprefix("urn:pulumi:").split("::", 2)
    return stack, project


def package_of(type: str) -> str:
    """The package that a type belongs to: of `pulumi:providers:kubernetes`, `kubernetes`."""
    if is_provider(type):
        return type.removeprefix(PROVIDER_PREFIX)
    return type.split(":", 1)[0]


def is_provider(type: str) -> bool:
    """Whether a resource of this type is itself a provider."""
    return type.startswith(PROVIDER_PREFIX)


def split_reference(reference: str) -> tuple[str, str]:
    """A provider reference `<urn>::<id>` -> (urn, id)."""
    urn, _, id = reference.rpartition("::")
    return urn, id
