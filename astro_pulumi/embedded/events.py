"""What happens during an update, as the display hears of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from astro_pulumi.embedded.plan import Op
from astro_pulumi.embedded.provider import DiffResult, Severity
from astro_pulumi.embedded.state import ResourceState


@dataclass(frozen=True, slots=True)
class Step:
    """A step begins or ends. Replacing is one step, as the user sees it, and a `delete` of the old
    resource with `replacing` set. Why one failed is in a `Message` before."""

    phase: Literal["started", "finished", "failed"]
    op: Op
    resource: ResourceState
    old: ResourceState | None = None
    diff: DiffResult | None = None
    replacing: bool = False


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


Event = Step | OutputsRegistered | Message | Printed
Emit = Callable[[Event], None]
