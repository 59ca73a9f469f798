"""Durations of the phases of a deploy: image, release Job, roll-out.

The Pulumi CLI writes its events to a file, one JSON object per line. Their times are whole seconds, so a
phase is measured by the time at which its line is read.
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

_RELEASE_JOB: Final = "-release-job"
_ROLLOUT: Final = "-rollout-"
_PYTEST: Final = "-pytest"
_MADE: Final = ("create", "update", "create-replacement")
_CHANGES: Final = (*_MADE, "delete", "delete-replaced", "import", "import-replacement")


class Phases:
    """Follows the events of an update."""

    def __init__(self) -> None:
        """Start without events."""
        self._forget()

    def _forget(self) -> None:
        self.changes = 0
        # Whether the CLI reported that it stops after a signal.
        self.is_cancelling = False
        self._offset = 0
        self._sequence = -1
        self._begun: dict[str, float] = {}
        self._spans: dict[str, tuple[float, float]] = {}

    def follow(self, log: Path) -> None:
        """Read the lines that were added to the log since the last call.

        The CLI rewrites the file for the update that follows a preview.
        """
        if not log.exists():
            return
        if not self._read_on(log):
            self._forget()
            self._read_on(log)

    def _read_on(self, log: Path) -> bool:
        """Return False if the file is not the one that was read so far."""
        with log.open("rb") as file:
            if file.seek(0, 2) < self._offset:
                return False
            file.seek(self._offset)
            *lines, rest = file.read().split(b"\n")
            self._offset = file.tell() - len(rest)
        for line in lines:
            try:
                event = json.loads(line)
                sequence = int(event["sequence"])
            except (ValueError, TypeError, KeyError):
                return False
            if sequence <= self._sequence:
                return False
            self._sequence = sequence
            self._process(event)
        return True

    def _process(self, event: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if "stdoutEvent" in event:
            self.is_cancelling |= "received; cancelling" in event["stdoutEvent"].get("message", "")
        for kind in ("resourcePreEvent", "resOutputsEvent"):
            found = event.get(kind)
            # A preview has the same events, marked as planned.
            if not found or found.get("planning"):
                continue
            step = found["metadata"]
            if kind == "resourcePreEvent":
                self._begun[step["urn"]] = now
                self.changes += _is_change(step)
            elif step["op"] in _MADE and (phase := _phase(step)):
                begun = self._begun.get(step["urn"], now)
                first, _ = self._spans.get(phase, (begun, now))
                self._spans[phase] = (min(first, begun), now)

    def seconds(self) -> dict[str, float]:
        """Return the duration of each phase, from its first start to its last end."""
        return {phase: round(end - start, 1) for phase, (start, end) in self._spans.items()}

    def lines(self) -> Iterator[str]:
        """Yield a line for each phase: `roll-out 13.0 s`."""
        for phase, seconds in self.seconds().items():
            yield f"{phase} {seconds:.1f} s"


def _is_change(step: Mapping[str, Any]) -> bool:
    """Return whether a step changes anything outside of the stack's state."""
    state = step.get("new") or step.get("old") or {}
    is_real = bool(state.get("custom")) and not step["type"].startswith("pulumi:")
    return is_real and step["op"] in _CHANGES


def _phase(step: Mapping[str, Any]) -> str | None:
    kind, name = step["type"].rsplit(":", 1)[-1], _name(step)
    if kind == "Image":
        return "image"
    if kind == "Job" and name.endswith(_RELEASE_JOB):
        return "release Job"
    if kind == "Job" and name.endswith(_PYTEST):
        return "tests"
    is_workload = step["type"] == "kubernetes:apps/v1:Deployment"
    return "roll-out" if is_workload or (kind == "Job" and _ROLLOUT in name) else None


def _name(step: Mapping[str, Any]) -> str:
    return str(step["urn"]).rsplit("::", 1)[-1]
