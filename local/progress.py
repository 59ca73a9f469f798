"""Progress for people and for CI logs, with at least one line every 20 seconds.

Phases run concurrently (a Go build while images are built), so each has a line of its own. A terminal shows
them live. Other outputs get a line at the start, one every 20 seconds with the current step of the phase, and
one at the end.
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

# Short enough to avoid silent minutes, long enough for readable CI logs.
REPORT_INTERVAL_SECONDS = 20.0
ANSI_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Phase:
    """A step of work, and its current activity."""

    def __init__(self, title: str, *, quiet: bool) -> None:
        """Start the phase."""
        self.title = title
        self.quiet = quiet
        self.started = time.monotonic()
        self.detail = ""
        self.finished: float | None = None
        self.failed = False

    @property
    def seconds(self) -> float:
        """Duration of the phase in seconds, so far or in total."""
        return (self.finished or time.monotonic()) - self.started

    def note(self, detail: str) -> None:
        """Show the current activity, without logging each line."""
        lines = ANSI_CODES.sub("", detail).strip().splitlines()
        self.detail = lines[-1][:100] if lines else ""


class Reporter(Protocol):
    """Interface for reports of phases: `Progress`, or a stand-in in tests."""

    def phase(self, title: str, *, quiet: bool = False) -> "PhaseContext":
        """Run the body of a `with` statement as one phase."""
        ...


class PhaseContext(Protocol):
    """Interface of the result of `reporter.phase(...)`."""

    def __enter__(self) -> Phase:
        """Start the phase."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """End the phase."""
        ...


class Progress:
    """Reports phases on a console: live in a terminal, as plain lines elsewhere.

    A quiet phase is shown only if it takes longer than a moment: an `up` without work should print little.
    """

    QUIET_SECONDS = 1.0

    def __init__(self, console: Console | None = None) -> None:
        """Take the console."""
        self._console = console or Console(stderr=True, highlight=False)
        self._phases: list[Phase] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._live: Live | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start the reports."""
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
        """End the reports."""
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
