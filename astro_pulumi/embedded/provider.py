"""What the engine asks of a provider: Pulumi's `ResourceProvider` protocol, as Python calls.

Names, arguments and answers follow `pulumi/provider.proto`, so that a recorded call of the real
provider can be replayed against ours. Calls for different resources run in parallel threads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from astro_pulumi.embedded.values import Properties
from astro_pulumi.errors import ResourceError

Severity = Literal["debug", "info", "warning", "error"]
# Says something about the resource at hand: `info` is the live status column (replaced by the next),
# `warning` and `error` stay in the diagnostics.
Log = Callable[[Severity, str], None]


def _say_nothing(_severity: Severity, _text: str) -> None: ...


DiffKind = Literal["ADD", "ADD_REPLACE", "DELETE", "DELETE_REPLACE", "UPDATE", "UPDATE_REPLACE"]


@dataclass(frozen=True, slots=True)
class Resource:
    """Who a call is about."""

    urn: str
    type: str  # "kubernetes:core/v1:Namespace"
    name: str  # the program's name, the last part of the URN


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """One argument that the provider refuses. `property` is a path: `spec.replicas`."""

    property: str
    reason: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Inputs with defaults and automatic names filled in, or why they are refused."""

    inputs: Properties
    failures: Sequence[CheckFailure] = ()


@dataclass(frozen=True, slots=True)
class DiffResult:
    """What an update would do. `detailed` maps property paths to the kind of change."""

    changes: bool
    replaces: Sequence[str] = ()  # property paths that force a replacement
    delete_before_replace: bool = False
    detailed: Mapping[str, DiffKind] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A resource as it is now."""

    id: str
    inputs: Properties
    outputs: Properties


class InitializationError(ResourceError):
    """The object exists but did not become ready. Its state is kept and the next `up` goes on with it."""

    def __init__(self, id: str, outputs: Properties, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(reasons))
        self.id = id
        self.outputs = outputs
        self.reasons = tuple(reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a provider is asked. Each call has what the protocol's message of its name has; the rest is
    empty."""

    resource: Resource
    id: str = ""
    inputs: Properties = field(default_factory=dict)  # what is wanted; of read and delete: what was
    old_inputs: Properties = field(default_factory=dict)
    old_outputs: Properties = field(default_factory=dict)
    ignore_changes: Sequence[str] = ()
    random_seed: bytes = b""  # of check: what an automatic name follows from
    timeout: float = 0  # seconds; 0: the provider's default
    preview: bool = False
    log: Log = _say_nothing


class Provider(Protocol):
    """One provider, configured. Every method may raise `ResourceError` with a message for the user."""

    name: str  # "kubernetes"
    version: str  # written to state as the version of the default provider

    def check(self, request: Request) -> CheckResult: ...

    def diff(self, request: Request) -> DiffResult: ...

    def create(self, request: Request) -> tuple[str, Properties]:
        """-> (id, outputs). In a preview nothing is made: outputs that are not known are `UNKNOWN`."""
        ...

    def update(self, request: Request) -> Properties: ...

    def read(self, request: Request) -> ReadResult | None:
        """-> the resource as it is now; None when it does not exist."""
        ...

    def delete(self, request: Request) -> None:
        """Deletes and waits until it is gone. An object that is not there is no error."""
        ...

    def recover(self, request: Request) -> ReadResult | None:
        """-> what an interrupted `create` with these inputs made; None when it made nothing, or nothing
        that could be found."""
        del request
        return None

    def is_elsewhere(self, before: Properties) -> bool:
        """Whether what was made with the configuration `before` is out of reach of this one."""
        del before
        return False

    def cancel(self) -> None:
        """Ends every wait in progress soon: the user pressed Ctrl-C."""
        return
