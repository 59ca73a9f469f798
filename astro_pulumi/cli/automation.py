"""The Pulumi CLI, driven through Pulumi's Automation API, and shown as the embedded engine is.

Its events become those of the embedded engine, so that the commands around releases look the same on
either, in a terminal, in a log and as JSON.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pulumi import automation
from pulumi.automation import errors, events

from astro_pulumi.embedded.events import Emit, Event, Message, Printed, Step
from astro_pulumi.embedded.operations import Control, Kind, Result
from astro_pulumi.embedded.provider import DiffResult
from astro_pulumi.embedded.state import ResourceState
from astro_pulumi.embedded.values import from_wire
from astro_pulumi.errors import EngineError

if TYPE_CHECKING:
    from astro_pulumi.embedded.plan import Op
    from astro_pulumi.embedded.project import Project

_STACK: Final = "pulumi:pulumi:Stack"
_COLOR: Final = re.compile(r"<\{%[^%]*%\}>")
# Pulumi's steps -> ours. A replacement is three steps there, of which `replace` only sums up the others.
_OPS: Final[Mapping[str, "Op"]] = {
    "same": "same",
    "create": "create",
    "update": "update",
    "delete": "delete",
    "create-replacement": "replace",
    "delete-replaced": "delete",
    "read": "read",
    "read-replacement": "read",
    "refresh": "refresh",
    "import": "import",
    "import-replacement": "import",
}
_COUNTED: Final[tuple["Op", ...]] = (
    "same",
    "create",
    "update",
    "replace",
    "delete",
    "read",
    "refresh",
    "import",
)
_LAST_WORDS: Final = 20  # lines of what the CLI wrote when it failed without a word to us


@dataclass
class PulumiStack:
    """A stack of the Pulumi CLI: what `session` needs of it."""

    project: "Project"
    name: str
    control: Control = field(default_factory=Control)

    def __post_init__(self) -> None:
        try:
            self._stack = automation.create_or_select_stack(
                self.name, work_dir=str(self.project.file.parent)
            )
        except errors.CommandError as error:
            raise EngineError(_last_words(error)) from error

    def preview(self, emit: Emit) -> Result:
        """Says what `up` would do."""
        return self._run("preview", emit, ())

    def up(self, emit: Emit, exclude: Sequence[str] = ()) -> Result:
        """Deploys what the program says, without the resources that `exclude` matches."""
        return self._run("update", emit, exclude)

    def _run(self, kind: Kind, emit: Emit, exclude: Sequence[str]) -> Result:
        heard = _Translation(emit)
        run = self._stack.preview if kind == "preview" else self._stack.up
        ok = True
        try:
            run(on_event=heard.hear, exclude=list(exclude) or None, color="never")
        except errors.CommandError as error:
            if not heard.failed:  # it did not get as far as its first event
                raise EngineError(_last_words(error)) from error
            ok = False
        return Result(kind, ok, heard.counts, heard.seconds, heard.outputs, heard.old_outputs)


def stack_names(project: "Project") -> list[str]:
    """The stacks of the project, as the CLI lists them."""
    workspace = automation.LocalWorkspace(work_dir=str(project.file.parent))
    try:
        return [stack.name for stack in workspace.list_stacks()]
    except errors.CommandError as error:
        raise EngineError(_last_words(error)) from error


def resources(directory: Path, stack: str) -> list[Mapping[str, Any]]:
    """The resources in a stack's state, with its secrets as they are kept; none if there is no such stack.

    Not `export_stack`, which decrypts them: nobody has to give a passphrase to see what is deployed.
    """
    command = ["stack", "export", "--stack", stack]
    try:
        done = automation.PulumiCommand().run(command, str(directory), {})
    except errors.CommandError:
        return []
    exported: Mapping[str, Any] = json.loads(done.stdout)
    return list((exported.get("deployment") or {}).get("resources") or [])


class _Translation:
    """Takes the events of the Pulumi CLI and emits ours."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.failed = False
        self.counts: dict[Op, int] = {}
        self.seconds = 0.0
        self.outputs: dict[str, Any] = {}
        self.old_outputs: dict[str, Any] = {}

    def hear(self, event: events.EngineEvent) -> None:
        if event.summary_event:
            changes = {
                str(getattr(op, "value", op)): count
                for op, count in (event.summary_event.resource_changes or {}).items()
            }
            self.counts = {op: changes[op] for op in _COUNTED if changes.get(op)}
            self.seconds = float(event.summary_event.duration_seconds)
            return
        if event.res_outputs_event:
            self._keep_outputs(event.res_outputs_event.metadata)
        if event.res_op_failed_event:
            self.failed = True
        if event.diagnostic_event and event.diagnostic_event.severity == "error":
            self.failed = True
        translated = translate(event)
        if translated is not None:
            self._emit(translated)

    def _keep_outputs(self, metadata: events.StepEventMetadata) -> None:
        if metadata.type == _STACK and metadata.new is not None:
            self.outputs = from_wire(metadata.new.outputs or {})
            self.old_outputs = from_wire((metadata.old.outputs if metadata.old else None) or {})


def translate(event: events.EngineEvent) -> Event | None:
    """The event as the embedded engine would have emitted it; None for those that nobody shows."""
    if event.resource_pre_event:
        return _step("started", event.resource_pre_event.metadata)
    if event.res_outputs_event:
        return _step("finished", event.res_outputs_event.metadata)
    if event.res_op_failed_event:
        return _step("failed", event.res_op_failed_event.metadata)
    if event.diagnostic_event:
        return _message(event.diagnostic_event)
    if event.stdout_event:
        return Printed(_COLOR.sub("", event.stdout_event.message).rstrip(), "stdout")
    return None


def _message(event: events.DiagnosticEvent) -> Event:
    text = _COLOR.sub("", event.message).strip()
    severity = {"info#err": "info"}.get(event.severity, event.severity)
    if severity not in ("debug", "info", "warning", "error"):
        severity = "info"
    return Message(severity, text, event.urn or "", passing=bool(event.ephemeral))  # type: ignore[arg-type]


def _step(phase: Any, metadata: events.StepEventMetadata) -> Step | None:
    op = _OPS.get(str(getattr(metadata.op, "value", metadata.op)))
    state = metadata.new or metadata.old
    if op is None or state is None:
        return None
    kinds = {
        path: str(getattr(one.diff_kind, "value", one.diff_kind)).upper().replace("-", "_")
        for path, one in (metadata.detailed_diff or {}).items()
    }
    return Step(
        phase,
        op,
        _state(state),
        old=_state(metadata.old) if metadata.old else None,
        diff=DiffResult(True, tuple(metadata.keys or ()), detailed=kinds),  # type: ignore[arg-type]
        replacing=str(getattr(metadata.op, "value", metadata.op)) == "delete-replaced",
    )


def _state(state: events.StepEventStateMetadata) -> ResourceState:
    return ResourceState(
        urn=state.urn,
        custom=bool(state.custom),
        id=state.id or "",
        type=state.type,
        inputs=from_wire(state.inputs or {}),
        outputs=from_wire(state.outputs or {}),
        parent=state.parent or "",
        provider=state.provider or "",
    )


def _last_words(error: errors.CommandError) -> str:
    """What the CLI wrote to standard error, from the text that the Automation API makes of its failure."""
    text = str(error).partition("stderr:")[2] or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "pulumi: " + "\n".join(lines[-_LAST_WORDS:]).removeprefix("error: ")
