"""Progress that a person, or a CI log, can follow: never a minute of silence.

Phases run side by side (a Go build while images are built), so each has a line of its own. A
terminal shows them live; anything else gets a line at the start, one every 20 seconds with what
the phase waits for, and one at the end.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from local.errors import CancelledError

# Short enough that no log is silent for a minute, long enough to keep a CI log readable.
REPORT_INTERVAL_SECONDS = 20.0
ANSI_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Phase:
    """One piece of work, with what it is waiting for right now."""

    def __init__(self, title: str, *, quiet: bool) -> None:
        self.title = title
        self.quiet = quiet
        self.started = time.monotonic()
        self.detail = ""
        self.finished: float | None = None
        self.failed = False

    @property
    def seconds(self) -> float:
        """Seconds that the phase has taken so far, or took."""
        return (self.finished or time.monotonic()) - self.started

    def note(self, detail: str) -> None:
        """Say what the phase is doing now; shown, not logged line by line."""
        lines = ANSI_CODES.sub("", detail).strip().splitlines()
        self.detail = lines[-1][:100] if lines else ""


class Reporter(Protocol):
    """Where phases are reported; `Progress` for people, a stand-in for tests."""

    def phase(self, title: str, *, quiet: bool = False) -> "PhaseContext":
        """Run the body of a `with` statement as one phase."""
        ...


class PhaseContext(Protocol):
    """What `with reporter.phase(...)` needs."""

    def __enter__(self) -> Phase: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None: ...


class Progress:
    """Reports phases on a console: live in a terminal, as plain lines elsewhere.

    A quiet phase is shown only when it takes longer than a moment: an `up` that has nothing to do
    should say little.
    """

    QUIET_SECONDS = 1.0

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._phases: list[Phase] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._live: Live | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._render, console=self._console, refresh_per_second=8
            )
            self._live.start()
        else:
            self._thread = threading.Thread(target=self._report, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._live:
            self._live.stop()
        if self._thread:
            self._thread.join()

    @contextmanager
    def phase(self, title: str, *, quiet: bool = False) -> Iterator[Phase]:
        """Run the body of a `with` statement as one phase."""
        phase = Phase(title, quiet=quiet)
        with self._lock:
            self._phases.append(phase)
        if not quiet:
            self._line(f"      ... {title}")
        try:
            yield phase
        except CancelledError:
            phase.quiet = True
            raise
        except BaseException:
            phase.failed = True
            raise
        finally:
            phase.finished = time.monotonic()
            if self._shown(phase):
                outcome = "FAILED: " if phase.failed else ""
                self._line(f"{phase.seconds:7.1f} s {outcome}{title}")

    def _shown(self, phase: Phase) -> bool:
        return phase.failed or not phase.quiet or phase.seconds > self.QUIET_SECONDS

    def _line(self, text: str) -> None:
        if not self._live:
            self._console.print(text, markup=False, soft_wrap=True)

    def _report(self) -> None:
        while not self._stop.wait(REPORT_INTERVAL_SECONDS):
            with self._lock:
                running = [phase for phase in self._phases if phase.finished is None]
            for phase in running:
                if phase.seconds < REPORT_INTERVAL_SECONDS:
                    continue
                waits = f": {phase.detail}" if phase.detail else ""
                self._line(f"  {phase.seconds:5.0f} s {phase.title}{waits}")

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        with self._lock:
            phases = [phase for phase in self._phases if self._shown(phase)]
        for phase in phases:
            mark: RenderableType
            if phase.finished is None:
                mark = Spinner("dots")
            else:
                mark = Text("x", style="red") if phase.failed else Text("+", style="green")
            detail = Text(phase.detail if phase.finished is None else "", style="dim")
            table.add_row(mark, Text(f"{phase.seconds:6.1f} s"), Text(phase.title), detail)
        return Group(table)
