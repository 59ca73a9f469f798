"""What happens during an update, as the display hears of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from astro_pulumi.embedded.plan import Op
from astro_pulumi.embedded.provider import DiffResult, Severity
from astro_pulumi.embedded.state import ResourceState


@dataclass(frozen=True, slots=True)
class Started:
    """A step begins. Replacing is one step, as the user sees it, and a `delete` of the old resource."""

    op: Op
    resource: ResourceState
    old: ResourceState | None = None
    diff: DiffResult | None = None
    replacing: bool = False  # a delete that makes room for, or follows, a replacement


@dataclass(frozen=True, slots=True)
class Finished:
    """A step ended well."""

    op: Op
    resource: ResourceState
    old: ResourceState | None = None
    diff: DiffResult | None = None
    replacing: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A step ended badly. Why is in a `Message` before it."""

    op: Op
    resource: ResourceState


@dataclass(frozen=True, slots=True)
class OutputsRegistered:
    """A component, or the stack, said what its outputs are."""

    resource: ResourceState


@dataclass(frozen=True, slots=True)
class Message:
    """Something to tell the user. `passing` ones are the live status of a resource, each replaced by
    the next; the others stay."""

    severity: Severity
    text: str
    urn: str = ""
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Printed:
    """What the program wrote to its standard output or error."""

    text: str
    stream: Literal["stdout", "stderr"]


Event = Started | Finished | Failed | OutputsRegistered | Message | Printed
Emit = Callable[[Event], None]
