"""The state file while an update runs: what is begun, what is done, on disk before anyone relies on it.

Resources of this run come first, in the order in which they were finished (so each after what it
needs), then those of the last run that were not yet looked at. One writer thread saves; whoever waits
for a save shares it with all others that wait at that moment.
"""

import threading
from collections.abc import Callable, Iterable
from typing import NewType

from astro_pulumi.embedded.plan import with_present_urns
from astro_pulumi.embedded.secrets import Crypter
from astro_pulumi.embedded.state import (
    Operation,
    ResourceState,
    Snapshot,
    compact,
    resource_to_json,
)
from astro_pulumi.errors import StateError

Write = Callable[[list[str], list[tuple[str, str]]], None]


# An operation in progress.
Ticket = NewType("Ticket", int)


class Journal:
    """Keeps a stack's state during one update. Safe to use from many threads."""

    def __init__(self, snapshot: Snapshot, crypter: Crypter, write: Write) -> None:
        """`write` saves (resources, pending operations), each rendered as JSON."""
        self._crypter = crypter
        self._write = write
        self._old = list(snapshot.resources)
        self._new: list[ResourceState] = []
        self._pending: dict[int, Operation] = dict(enumerate(snapshot.pending, start=-10_000))
        self._next = 0
        self._rendered: dict[int, tuple[ResourceState, str]] = {}
        self._changed = threading.Condition()
        self._version = self._saved = 0
        self._error: StateError | None = None
        self._closed = False
        self._unsaved = False  # something was recorded lazily
        self._thread = threading.Thread(target=self._save_loop, name="state", daemon=True)
        self._thread.start()

    def begin(self, kind: str, resource: ResourceState) -> Ticket:
        """Records that an operation is about to start. Returns when that is on disk."""
        with self._changed:
            self._next += 1
            ticket = Ticket(self._next)
            self._pending[ticket] = Operation(kind, resource)
            self._save_and_wait()
        return ticket

    def record(
        self,
        ticket: Ticket | None = None,
        *,
        done: Iterable[ResourceState] = (),
        add: ResourceState | None = None,
        amend: tuple[ResourceState, ResourceState] | None = None,
        found: ResourceState | None = None,
        lazily: bool = False,
    ) -> None:
        """Records an outcome and ends its operation: `done` resources are gone, `add` is new, `amend`
        replaces the first state by the second in its place, `found` is one of the last run. `lazily`
        leaves the save to the next one that matters: for what would be found the same again."""
        done = list(done)
        with self._changed:
            if ticket:
                self._pending.pop(ticket, None)
            before = [*done, *(amend or ())[:1]]
            after = [*([add] if add else []), *(amend or ())[1:]]
            same = [*map(self._render, before)] == [*map(self._render, after)]
            self._unsaved = self._unsaved or not same
            for state in done:
                _put(self._old, state) or _put(self._new, state)
            if amend:
                _put(self._old, *amend) or _put(self._new, *amend)
            if add:
                self._new.append(add)
            if found:
                self._old.append(found)
            if not lazily:
                self._save_and_wait()

    def drop_pending(self, operations: Iterable[Operation]) -> None:
        """Forgets operations of an interrupted run whose outcome is now known."""
        gone = {id(operation) for operation in operations}
        with self._changed:
            kept = {n: op for n, op in self._pending.items() if id(op) not in gone}
            if len(kept) != len(self._pending):
                self._pending = kept
                self._save_and_wait()

    def current(self) -> Snapshot:
        """The state as it would be saved now."""
        with self._changed:
            return Snapshot((*self._new, *self._old), tuple(self._pending.values()))

    def close(self) -> None:
        """Ends the writer, after it saved what was recorded lazily, if that differs from before."""
        with self._changed:
            try:
                if self._unsaved or self._error:
                    self._save_and_wait()
            finally:
                self._closed = True
                self._changed.notify_all()
        self._thread.join()

    def _save_and_wait(self) -> None:
        self._unsaved = False
        self._version += 1
        version = self._version
        self._changed.notify_all()
        self._changed.wait_for(lambda: self._saved >= version)
        if self._error:
            raise self._error

    def _save_loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._version > self._saved)
                if self._version <= self._saved:
                    return
                version = self._version
                resources = with_present_urns([*self._new, *self._old])
                pending = list(self._pending.values())
            try:
                error: StateError | None = None
                self._write(
                    [self._render(state) for state in resources],
                    [(operation.kind, self._render(operation.resource)) for operation in pending],
                )
            except Exception as failed:  # whoever waits hears of it; the next save may succeed
                error = StateError(str(failed))
            with self._changed:
                self._error = error
                self._saved = version
                self._changed.notify_all()

    def _render(self, state: ResourceState) -> str:
        # Kept with its state, so that the id cannot be that of another one.
        known = self._rendered.get(id(state))
        if known is None:
            known = (state, compact(resource_to_json(state, self._crypter)))
            self._rendered[id(state)] = known
        return known[1]


def _put(states: list[ResourceState], old: ResourceState, *new: ResourceState) -> bool:
    """Puts `new` in the place of `old`. -> whether that was there."""
    for i, state in enumerate(states):
        if state is old:
            states[i : i + 1] = new
            return True
    return False
