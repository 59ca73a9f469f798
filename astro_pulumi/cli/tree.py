"""The live display of a terminal: resources as a tree, each with its status, time and news."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from astro_pulumi.cli.display import (
    TITLES,
    WORDS,
    Display,
    property_diff,
    reason,
    seconds,
    summary_lines,
    type_name,
)
from astro_pulumi.embedded.events import Event, Message, Printed, Step

if TYPE_CHECKING:
    from astro_pulumi.embedded.operations import Kind, Result

_STYLES: Final = {
    "create": "green",
    "update": "yellow",
    "replace": "magenta",
    "delete": "red",
    "read": "cyan",
    "import": "cyan",
    "refresh": "yellow",
    "same": "dim",
}


@dataclass
class _Row:
    """What is known about one resource."""

    type: str
    name: str
    parent: str
    step: Step | None = None
    took: float | None = None
    news: str = ""
    messages: list[tuple[str, str]] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)


class LiveTree(Display):
    """Redraws the tree while the operation runs, and leaves it when it ended."""

    def __init__(self, kind: "Kind", stack: str) -> None:
        super().__init__(kind, stack)
        self._console = Console(highlight=False)
        self._rows: dict[str, _Row] = {"": _Row("program", stack, "")}
        self._live = Live(console=self._console, refresh_per_second=8, get_renderable=self._draw)

    def __enter__(self) -> Self:
        self._console.print(f"[bold]{TITLES[self.kind]} ({self.stack})[/bold]\n")
        self._live.__enter__()
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Whatever does not fit the screen while live is shown at last.
        self._live.vertical_overflow = "visible"
        self._live.__exit__(type, error, trace)

    def remark(self, text: str) -> None:
        self._console.print(text, style="bold")

    def show(self, event: Event) -> None:
        if isinstance(event, Step):
            state = event.resource
            row = self._rows.setdefault(
                state.urn, _Row(type_name(state.type), state.name, state.parent)
            )
            if event.replacing and row.step and row.step.op == "replace":
                # The delete that follows a replacement must not hide it.
                row.news = "deleting the old one" if event.phase == "started" else ""
                return
            row.step = event
            if event.phase != "started":
                row.took = self.elapsed(state.urn)
                row.news = ""
            if self.kind in ("preview", "refresh") and event.phase == "finished":
                row.changes = row.changes or list(property_diff(event))
        elif isinstance(event, Message):
            row = self._rows.get(event.urn, self._rows[""])
            if event.severity == "debug":
                return
            if event.passing:
                row.news = event.text.splitlines()[0] if event.text else ""
            else:
                row.messages.append((event.severity, event.text))
        elif isinstance(event, Printed):
            self._rows[""].news = event.text
            self._rows[""].messages.append(("", event.text))

    def summary(self, result: "Result") -> None:
        for row in self._rows.values():
            if row.changes:
                self._console.print(f"\n[bold]{row.type}[/bold] {row.name}")
                for line in row.changes:
                    self._console.print(Text(f"    {line}"))
        if any(row.messages for row in self._rows.values()):
            self._console.print("\n[bold]Diagnostics:[/bold]")
        for row in self._rows.values():
            if row.messages:
                self._console.print(f"  [bold]{row.type}[/bold] ({row.name}):")
            for severity, text in row.messages:
                style = {"error": "red", "warning": "yellow"}.get(severity, "")
                label = f"{severity}: " if style else ""
                for line in f"{label}{text}".splitlines():
                    self._console.print(Text(f"    {line}", style=style))
        for line in summary_lines(result, self.errored):
            self._console.print(Text(line))

    def _draw(self) -> Table:
        table = Table(box=None, pad_edge=False, expand=True)
        for title in ("", "Type", "Name", "Status"):
            table.add_column(title, no_wrap=True)
        table.add_column("Info", no_wrap=True, overflow="ellipsis", ratio=1)
        with self.lock:
            children: dict[str, list[str]] = {}
            for urn, row in self._rows.items():
                if urn:
                    parent = row.parent if row.parent in self._rows else ""
                    children.setdefault(parent, []).append(urn)
            self._draw_children(table, children, "", "")
        return table

    def _draw_children(
        self, table: Table, children: dict[str, list[str]], parent: str, indent: str
    ) -> None:
        shown = [urn for urn in children.get(parent, []) if self._is_shown(urn, children)]
        for i, urn in enumerate(shown):
            last = i == len(shown) - 1
            branch = "" if not parent else indent + ("└─ " if last else "├─ ")
            self._draw_row(table, self._rows[urn], branch)
            below = "" if not parent else indent + ("   " if last else "│  ")
            self._draw_children(table, children, urn, below)

    def _is_shown(self, urn: str, children: dict[str, list[str]]) -> bool:
        """Unchanged resources are left out, unless something below them changes."""
        row = self._rows[urn]
        changed = row.step is not None and row.step.op not in ("same", "refresh")
        busy = row.step is not None and row.step.phase == "started"
        return (changed or busy or bool(row.messages) or not row.parent) or any(
            self._is_shown(child, children) for child in children.get(urn, [])
        )

    def _draw_row(self, table: Table, row: _Row, branch: str) -> None:
        step = row.step
        if step is None:
            return
        sign, now, done = WORDS[step.op]
        style = _STYLES[step.op]
        if step.phase == "failed":
            status = Text(f"**{now} failed**", style="bold red")
        elif step.phase == "started":
            status = Text(f"{now} ({seconds(self.elapsed(step.resource.urn))})", style=style)
        elif self.kind == "preview":
            status = Text("" if step.op == "same" else step.op, style=style)
        else:
            took = f" ({seconds(row.took)})" if row.took is not None and step.op != "same" else ""
            status = Text("" if step.op == "same" else f"{done}{took}", style=style)
        errors = [text.splitlines()[0] for severity, text in row.messages if severity == "error"]
        news = errors[0] if errors else row.news or reason(step).strip()
        if not row.parent and not news:
            news = self._rows[""].news
        sign_text = Text(sign, style=style)
        table.add_row(sign_text, Text(branch + row.type), Text(row.name), status, Text(news))
