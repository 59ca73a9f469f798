"""How an operation is shown: a live tree in a terminal, lines elsewhere, or JSON."""

import json
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from astro_pulumi.embedded.events import (
    Event,
    Message,
    Printed,
    Step,
)
from astro_pulumi.embedded.values import UNKNOWN, Properties, Secret, Value

if TYPE_CHECKING:
    from astro_pulumi.embedded.operations import Kind, Result

# op -> (sign, while it happens, afterwards, in a preview)
_WORDS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "same": ("  ", "", "unchanged", ""),
    "create": ("+ ", "creating", "created", "create"),
    "update": ("~ ", "updating", "updated", "update"),
    "replace": ("+-", "replacing", "replaced", "replace"),
    "delete": ("- ", "deleting", "deleted", "delete"),
    "read": ("> ", "reading", "read", "read"),
    "refresh": ("~ ", "refreshing", "refreshed", "refresh"),
    "import": ("= ", "importing", "imported", "import"),
}


_TITLES: Final = {
    "preview": "Previewing",
    "update": "Updating",
    "refresh": "Refreshing",
    "destroy": "Destroying",
}


class Display:
    """Shows lines, as in a CI log. Others build on it."""

    def __init__(self, kind: "Kind", stack: str) -> None:
        self.kind = kind
        self._stack = stack
        self._lock = threading.Lock()
        self._begun: dict[str, float] = {}

    def __enter__(self) -> Self:
        title = {
            "preview": "Previewing",
            "update": "Updating",
            "refresh": "Refreshing",
            "destroy": "Destroying",
        }
        self.print(f"{title[self.kind]} ({self._stack}):\n")
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def print(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def remark(self, text: str) -> None:
        self.print(text)

    def hear(self, event: Event) -> None:
        """Called from many threads."""
        with self._lock:
            self.show(event)

    def show(self, event: Event) -> None:
        if isinstance(event, Step) and event.phase == "started":
            self._begun[event.resource.urn] = time.monotonic()
            if event.op != "same" and self.kind != "preview":
                sign, now, _, _ = _WORDS[event.op]
                self.print(f" {sign} {event.resource.type} {event.resource.name} {now}")
        elif isinstance(event, Step) and event.phase == "finished":
            if event.op != "same":
                sign, _, done, planned = _WORDS[event.op]
                seconds = time.monotonic() - self._begun.get(event.resource.urn, time.monotonic())
                word = planned if self.kind == "preview" else f"{done} ({seconds:.2f}s)"
                self.print(f" {sign} {event.resource.type} {event.resource.name} {word}")
        elif isinstance(event, Step):
            sign, now, _, _ = _WORDS[event.op]
            self.print(f" {sign} {event.resource.type} {event.resource.name} **{now} failed**")
        elif isinstance(event, Message):
            if event.severity != "debug":
                who = event.urn.rsplit("::", 1)[-1]
                self.print(f"{event.severity}: {who}: {event.text}" if who else event.text)
        elif isinstance(event, Printed):
            self.print(event.text)

    def summary(self, result: "Result") -> None:
        if result.outputs:
            self.print("\nOutputs:")
            for line in outputs_lines(result.outputs):
                self.print(f"    {line}")
        self.print("\nResources:")
        for op, count in result.counts.items():
            if op != "same":
                sign, _, done, planned = _WORDS[op]
                word = f"to {planned}" if self.kind == "preview" else done
                self.print(f"    {sign}{count} {word}")
        if result.counts.get("same"):
            self.print(f"    {result.counts['same']} unchanged")
        self.print(f"\nDuration: {result.seconds:.1f}s")


def make_display(kind: "Kind", stack: str, as_json: bool) -> Display:
    del as_json
    return Display(kind, stack)


def as_json(value: Value) -> Any:
    """A value for JSON output: secrets as `[secret]`, unknown ones as `[unknown]`."""
    if isinstance(value, Secret):
        return "[secret]"
    if value is UNKNOWN:
        return "[unknown]"
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value


def outputs_lines(values: Properties) -> list[str]:
    """`name: "value"`, aligned."""
    width = max(map(len, values), default=0)
    return [
        f"{name:<{width}}: {value if value in ('[secret]', '[unknown]') else json.dumps(value)}"
        for name, value in sorted((name, as_json(value)) for name, value in values.items())
    ]
