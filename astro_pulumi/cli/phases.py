"""How long each phase of a deploy took: image, release Job, workloads."""

import time
from collections.abc import Iterator
from typing import Final

from astro_pulumi.embedded.events import Emit, Event, Step
from astro_pulumi.embedded.urns import name_of

_RELEASE_JOB: Final = "-release-job"
_QUIET: Final = ("same", "read", "refresh")


class Phases:
    """Listens to an update on its way to the display."""

    def __init__(self) -> None:
        self.changes = 0
        self._begun: dict[str, float] = {}
        self._spans: dict[str, list[tuple[float, float, str]]] = {}

    def listening(self, emit: Emit) -> Emit:
        """What the engine is to emit to. It may do so from many threads."""

        def hear(event: Event) -> None:
            if isinstance(event, Step):
                self._hear(event)
            emit(event)

        return hear

    def _hear(self, step: Step) -> None:
        urn, now = step.resource.urn, time.monotonic()
        if step.phase == "started":
            self._begun[urn] = now
            if step.op not in _QUIET:
                self.changes += 1
            return
        phase = _phase(step.resource.type, name_of(urn))
        if phase and step.op not in (*_QUIET, "delete"):
            span = (self._begun.get(urn, now), now, name_of(urn))
            self._spans.setdefault(phase, []).append(span)

    def seconds(self) -> dict[str, float]:
        """phase -> from its beginning to its end."""
        return {
            phase: round(max(end for _, end, _ in spans) - min(start for start, _, _ in spans), 1)
            for phase, spans in self._spans.items()
        }

    def lines(self) -> Iterator[str]:
        """`workloads 13.0 s: scheduler 6.6, worker-default 9.9, webserver 13.0`."""
        for phase, seconds in self.seconds().items():
            spans = self._spans[phase]
            first = min(start for start, _, _ in spans)
            prefix = len(_common_prefix([name for _, _, name in spans]))
            ends = sorted((end - first, name[prefix:]) for _, end, name in spans)
            detail = ", ".join(f"{name} {end:.1f}" for end, name in ends)
            yield f"{phase} {seconds:.1f} s" + (f": {detail}" if len(spans) > 1 else "")


def _phase(type_: str, name: str) -> str | None:
    kind = type_.rsplit(":", 1)[-1]
    if kind == "Image":
        return "image"
    if kind == "Job" and name.endswith(_RELEASE_JOB):
        return "release Job"
    return "workloads" if kind == "Deployment" and type_.startswith("kubernetes:") else None


def _common_prefix(names: list[str]) -> str:
    """What all names begin with, up to a dash: `analytics-`."""
    shortest = min(names, key=len)
    for end in range(len(shortest), 0, -1):
        if shortest[end - 1] == "-" and all(name.startswith(shortest[:end]) for name in names):
            return shortest[:end]
    return ""
