"""How an operation is shown: lines for a log, JSON for programs; `tree` is for terminals.

Values are shown as Pulumi shows them: secrets as `[secret]`, what a preview cannot know as `[unknown]`.
"""

import json
import math
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from astro_pulumi.embedded import paths
from astro_pulumi.embedded.events import Event, Message, OutputsRegistered, Printed, Step
from astro_pulumi.embedded.plan import Op
from astro_pulumi.embedded.state import ResourceState
from astro_pulumi.embedded.urns import name_of
from astro_pulumi.embedded.values import UNKNOWN, Properties, Secret, Value, to_wire

if TYPE_CHECKING:
    from astro_pulumi.embedded.operations import Kind, Result

# op -> (sign, what happens, what happened)
WORDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "create": ("+ ", "creating", "created"),
    "update": ("~ ", "updating", "updated"),
    "replace": ("+-", "replacing", "replaced"),
    "delete": ("- ", "deleting", "deleted"),
    "read": ("> ", "reading", "read"),
    "import": ("= ", "importing", "imported"),
    "refresh": ("~ ", "refreshing", "refreshed"),
    "same": ("  ", "checking", "unchanged"),
}
TITLES: Final = {
    "preview": "Previewing update",
    "update": "Updating",
    "refresh": "Refreshing",
    "destroy": "Destroying",
}
_STATUS_EVERY: Final = 10.0  # seconds between two lines about a resource that is waited for
_SAME_STATUS_EVERY: Final = 60.0  # at the latest, when its status stays the same


class Display:
    """What `session` tells about an operation. This one says nothing."""

    def __init__(self, kind: "Kind", stack: str) -> None:
        self.kind = kind
        self.stack = stack
        self.lock = threading.RLock()
        self.errored = 0
        self._begun: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends what is live."""

    def hear(self, event: Event) -> None:
        """Takes an event. Called from many threads."""
        with self.lock:
            if isinstance(event, Step) and event.phase == "started":
                self._begun[event.resource.urn] = time.monotonic()
            if isinstance(event, Step) and event.phase == "failed":
                self.errored += 1
            self.show(event)

    def show(self, event: Event) -> None:
        """Shows an event."""

    def summary(self, result: "Result") -> None:
        """Shows how it ended."""

    def remark(self, text: str) -> None:
        """Says something about the command itself."""
        sys.stderr.write(text + "\n")

    def elapsed(self, urn: str) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._begun.get(urn, time.monotonic())


class Lines(Display):
    """A line for each thing that happens, and every some seconds what is still waited for: for logs."""

    def __init__(self, kind: "Kind", stack: str) -> None:
        super().__init__(kind, stack)
        self._status: dict[str, str] = {}  # of what is under way, by URN: the last word
        self._said: dict[str, tuple[str, float]] = {}  # by URN: which of them was written, and when
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.write(f"{TITLES[self.kind]} ({self.stack}):")
        threading.Thread(target=self._repeat, name="status lines", daemon=True).start()
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()

    def _repeat(self) -> None:
        while not self._ended.wait(_STATUS_EVERY):
            self.say_what_is_waited_for()

    def say_what_is_waited_for(self) -> None:
        """A line for each step that takes long, with its last status; the same again ever more rarely."""
        with self.lock:
            for urn, status in self._status.items():
                elapsed = self.elapsed(urn)
                if not status or elapsed < _STATUS_EVERY:
                    continue
                said, when = self._said.get(urn, ("", 0.0))
                if status != said or elapsed - when >= min(when, _SAME_STATUS_EVERY):
                    self._said[urn] = (status, elapsed)
                    self.write(f"    {name_of(urn)}: {status} ({seconds(elapsed)})")

    def write(self, text: str) -> None:
        """A line on standard output, at once."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def show(self, event: Event) -> None:
        if isinstance(event, Step):
            self._show_step(event)
        elif isinstance(event, Printed):
            self.write(f"    {event.text}")
        elif isinstance(event, Message) and event.severity != "debug":
            if event.passing:
                self._status[event.urn] = event.text
                return
            name = name_of(event.urn)
            label = "" if event.severity == "info" else f"{event.severity}: "
            self.write(f"    {name + ': ' if name else ''}{label}{event.text}")

    def _show_step(self, step: Step) -> None:
        sign, now, done = WORDS[step.op]
        if step.phase != "started":
            self._status.pop(step.resource.urn, None)
            self._said.pop(step.resource.urn, None)
        if step.op in ("same", "refresh") or (self.kind == "preview" and step.phase == "started"):
            return
        word = f"{now} failed"
        if step.phase == "started":
            word = now
        elif step.phase == "finished":
            word = (
                step.op
                if self.kind == "preview"
                else f"{done} ({seconds(self.elapsed(step.resource.urn))})"
            )
        self.write(
            f" {sign} {type_name(step.resource.type)} {step.resource.name} {word}{reason(step)}"
        )
        if self.kind in ("preview", "refresh") and step.phase == "finished":
            for line in property_diff(step):
                self.write(f"      {line}")

    def summary(self, result: "Result") -> None:
        for line in summary_lines(result, self.errored):
            self.write(line)


class JsonLines(Display):
    """One JSON object a line, in the form of Pulumi's own engine events."""

    def __init__(self, kind: "Kind", stack: str) -> None:
        super().__init__(kind, stack)
        self._sequence = 0
        self._ops: dict[str, Op] = {}  # by URN

    def show(self, event: Event) -> None:
        if isinstance(event, Step):
            self._ops[event.resource.urn] = event.op
            kind = {"started": "resourcePreEvent", "finished": "resOutputsEvent"}
            self._write_step(kind.get(event.phase, "resOpFailedEvent"), event)
            if event.op == "replace" and event.phase == "finished":  # Pulumi sums it up in a step
                for each in kind.values():
                    self._write_step(each, event, logical=True)
        elif isinstance(event, OutputsRegistered):
            op = self._ops.get(event.resource.urn, "same")
            self._write_step("resOutputsEvent", Step("finished", op, event.resource))
        elif isinstance(event, Message) and event.severity != "debug":
            said = {"urn": event.urn, "message": event.text, "severity": event.severity}
            self.write("diagnosticEvent", {**said, "ephemeral": event.passing})
        elif isinstance(event, Printed):
            severity = "info" if event.stream == "stdout" else "info#err"
            self.write("diagnosticEvent", {"message": f"{event.text}\n", "severity": severity})

    def _write_step(self, kind: str, step: Step, *, logical: bool = False) -> None:
        planning = {"planning": True} if self.kind == "preview" else {}
        self.write(kind, {"metadata": _metadata(step, logical), **planning})

    def write(self, kind: str, content: Mapping[str, Any]) -> None:
        """One event."""
        event = {"sequence": self._sequence, "timestamp": int(time.time()), kind: content}
        self._sequence += 1
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()

    def summary(self, result: "Result") -> None:
        self.write(
            "summaryEvent",
            {
                "result": "succeeded" if result.ok else "failed",
                "isPreview": result.kind == "preview",
                "durationSeconds": math.ceil(result.seconds),
                "resourceChanges": dict(result.counts),
                "outputs": as_json(result.outputs),
            },
        )
        self.write("cancelEvent", {})  # so Pulumi marks the end


def make_display(kind: "Kind", stack: str, as_json: bool) -> Display:
    """The display for where the output goes."""
    if as_json:
        return JsonLines(kind, stack)
    if sys.stdout.isatty():
        from astro_pulumi.cli.tree import LiveTree

        return LiveTree(kind, stack)
    return Lines(kind, stack)


def type_name(type: str) -> str:
    """A type as Pulumi shows it: `docker:index/image:Image` -> `docker:index:Image`."""
    package, module, name = [*type.split(":"), "", ""][:3]
    above, slash, file = module.rpartition("/")
    # What code generators make of a name has its module after it; `apps/v1` has not.
    return f"{package}:{above}:{name}" if slash and file == name[:1].lower() + name[1:] else type


def reason(step: Step) -> str:
    """Why a delete or a replacement, and that the object stays, if that is not plain."""
    if step.op in ("delete", "replace") and step.old and step.old.retain_on_delete:
        return f" [retain]{_reason(step)}"
    return _reason(step)


def _reason(step: Step) -> str:
    if step.op == "delete" and step.replacing:
        return " (replaced)"
    if step.op == "replace" and step.diff and step.diff.replaces:
        return f" [diff: {', '.join(f'~{path}' for path in step.diff.replaces)}]"
    return ""


def property_diff(step: Step) -> Iterable[str]:
    """The properties that a step changes: `~ spec.replicas: 1 => 2`."""
    if not step.diff or not step.old:
        return
    signs = {"ADD": "+", "DELETE": "-", "UPDATE": "~"}
    kinds = step.diff.detailed or {
        key: "UPDATE"
        for key in sorted({*step.old.inputs, *step.resource.inputs})
        if step.old.inputs.get(key) != step.resource.inputs.get(key)
    }
    for path, kind in kinds.items():
        old, new = (
            _brief(paths.lookup(paths.parse(path), inputs))
            for inputs in (step.old.inputs, step.resource.inputs)
        )
        change = {"ADD": new, "DELETE": old}.get(kind.removesuffix("_REPLACE"), f"{old} => {new}")
        forced = " (forces replacement)" if kind.endswith("_REPLACE") else ""
        yield f"{signs[kind.removesuffix('_REPLACE')]} {path}: {change}{forced}"


def summary_lines(result: "Result", errored: int) -> Iterable[str]:
    """Outputs, counts and duration, as Pulumi prints them. `errored`: resources that failed."""
    if result.outputs:
        yield "\nOutputs:"
        for line in outputs_lines(result.outputs, result.old_outputs):
            yield f"  {line}"
    yield "\nResources:"
    changes = {op: count for op, count in result.counts.items() if op not in ("same", "refresh")}
    for op in WORDS:
        if op in changes:
            sign, _, done = WORDS[op]
            word = f"to {op}" if result.kind == "preview" else done
            yield f"    {sign}{changes[op]} {word}"
    total = sum(changes.values())
    pieces = [f"{total} changes"] if len(changes) > 1 else []
    if unchanged := result.counts.get("same"):
        pieces.append(f"{unchanged} unchanged")
    if errored:
        pieces.append(f"{errored} errored")
    if pieces:
        yield f"    {'. '.join(pieces)}"
    yield f"\nDuration: {seconds(result.seconds)}"


def outputs_lines(values: Properties, old: Properties | None = None) -> list[str]:
    """`name: "value"`, aligned, marked where it differs from `old`."""
    width = max(map(len, values), default=0)
    lines = []
    for name, value in sorted(values.items()):
        sign = " "
        if old is not None and value != old.get(name):
            sign = "~" if name in old else "+"
        lines.append(f"{sign} {name:<{width}}: {_text(value)}")
    return lines


def as_json(value: Value) -> Any:
    """A value for JSON output."""
    if isinstance(value, Secret):
        return "[secret]"
    if value is UNKNOWN:
        return "[unknown]"
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value


def seconds(duration: float) -> str:
    """`0.4s`, `12s`, `3m5s`."""
    if duration < 10:
        return f"{duration:.1f}s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _text(value: Value) -> str:
    shown = as_json(value)
    return shown if value is UNKNOWN or isinstance(value, Secret) else json.dumps(shown, indent=2)


def _brief(value: Value) -> str:
    shown = as_json(value)
    text = shown if value is UNKNOWN or isinstance(value, Secret) else json.dumps(shown)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _metadata(step: Step, logical: bool) -> dict[str, Any]:
    """A step as `apitype.StepEventMetadata` has it. `logical`: whether it only sums up others."""
    physical = {"replace": "create-replacement"}
    if step.replacing:
        physical["delete"] = "delete-replaced"
    op = step.op if logical else physical.get(step.op, step.op)
    states = {"old": step.old, "new": step.resource if step.op != "delete" else None}
    return {
        "op": op,
        "urn": step.resource.urn,
        "type": step.resource.type,
        "provider": step.resource.provider,
        **{name: _state(state) if state else None for name, state in states.items()},
        "keys": list(step.diff.replaces) if step.diff else [],
        "detailedDiff": {
            path: {"diffKind": kind.lower().replace("_", "-"), "inputDiff": True}
            for path, kind in step.diff.detailed.items()
        }
        if step.diff
        else None,
        "logical": op == step.op,
    }


def _state(state: ResourceState) -> dict[str, Any]:
    return {
        "type": state.type,
        "urn": state.urn,
        "custom": state.custom,
        "id": state.id,
        "parent": state.parent,
        "provider": state.provider,
        "protect": state.protect,
        "retainOnDelete": state.retain_on_delete,
        "inputs": to_wire(state.inputs, hide=True),
        "outputs": to_wire(state.outputs, hide=True),
        "initErrors": list(state.init_errors),
    }
