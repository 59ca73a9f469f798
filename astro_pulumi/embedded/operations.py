"""The operations on a stack: preview, up, refresh, destroy. The engine's front door.

stack = open_stack(project, "dev", os.environ, ask=None)
result = stack.up(emit)
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Literal

from astro_pulumi.embedded import urns
from astro_pulumi.embedded.backend import Backend, open_backend
from astro_pulumi.embedded.deployment import Deployment
from astro_pulumi.embedded.events import Emit, Event, Message
from astro_pulumi.embedded.journal import Journal
from astro_pulumi.embedded.plan import Op
from astro_pulumi.embedded.program import SAID_SO, Program
from astro_pulumi.embedded.project import (
    Config,
    Project,
    read_config,
    read_salt,
    read_yaml,
    write_salt,
)
from astro_pulumi.embedded.providers import preload
from astro_pulumi.embedded.secrets import Crypter, open_crypter
from astro_pulumi.embedded.state import (
    Snapshot,
    checkpoint_from_json,
    checkpoint_salt,
    checkpoint_to_json,
    stack_outputs,
)
from astro_pulumi.embedded.values import Properties
from astro_pulumi.errors import EngineError, StateError

Kind = Literal["preview", "update", "refresh", "destroy"]
# What the SDK says when the engine refused to go on: the reason was told before.
_AFTERMATH = "Resource monitor has terminated, shutting down"


@dataclass(frozen=True, slots=True)
class Result:
    """How an operation ended."""

    kind: Kind
    ok: bool
    counts: Mapping[Op, int]
    seconds: float
    outputs: Properties = field(default_factory=dict)
    old_outputs: Properties = field(default_factory=dict)


class Control:
    """Lets a signal handler stop the operation in progress."""

    def __init__(self) -> None:
        self.presses = 0
        self._cancel: list[Callable[[bool], None]] = []

    def interrupt(self) -> int:
        """Once: nothing new is begun, and waits end; what is under way is brought to an end and recorded.
        Twice: prepares for the process to be ended at once. -> how often it was called."""
        self.presses += 1
        for cancel in [*self._cancel]:
            cancel(self.presses > 1)
        return self.presses

    @contextmanager
    def watching(self, cancel: Callable[[bool], None]) -> Iterator[None]:
        """Calls `cancel(at_once)` on interrupts meanwhile. What is watched last hears first."""
        self._cancel.insert(0, cancel)
        try:
            yield
        finally:
            self._cancel.remove(cancel)


class Stack:
    """One stack, open for operations."""

    def __init__(
        self, project: Project, name: str, backend: Backend, salt: str, crypter: Crypter
    ) -> None:
        self.project = project
        self.name = name
        self.backend = backend
        self.crypter = crypter
        self.control = Control()
        self._salt = salt
        self._engine_version = f"v{version('pulumi')}"

    def snapshot(self) -> Snapshot:
        """The state as it is now."""
        data = self.backend.read(self.name)
        return checkpoint_from_json(data, self.crypter) if data else Snapshot()

    def config(self) -> Config:
        """The configuration as the program sees it."""
        return read_config(self.project, self.name, self.crypter)

    def up(self, emit: Emit, program: Program | None = None) -> Result:
        """Makes the stack what the program says. `program`: one that was started already, to win time."""
        return self._update("update", emit, program)

    def destroy(self, emit: Emit) -> Result:
        """Deletes everything in the stack; the stack itself and its history stay."""
        return self._update("destroy", emit)

    def refresh(self, emit: Emit) -> Result:
        """Takes over into state what resources really are."""
        return self._update("refresh", emit)

    def preview(self, emit: Emit, program: Program | None = None, *, of: Kind = "update") -> Result:
        """Finds out what `up` or another operation would do. Changes nothing."""
        started = time.monotonic()
        snapshot = self.snapshot()
        deployment = self._deployment(snapshot, None, emit)
        self._act(of, deployment, snapshot, emit, program)
        outputs = deployment.stack_outputs() if of == "update" else stack_outputs(snapshot)
        return _result("preview", deployment, snapshot, started, outputs)

    # -- how

    def _update(self, kind: Kind, emit: Emit, program: Program | None = None) -> Result:
        started, wall_clock = time.monotonic(), int(time.time())
        with (
            self.backend.lock(self.name) as unlock,
            self.control.watching(lambda at_once: unlock() if at_once else None),
        ):
            snapshot = self.snapshot()
            self.backend.back_up(self.name)
            journal = Journal(snapshot, self.crypter, self._write)
            deployment = self._deployment(snapshot, journal, emit)
            try:
                self._act(kind, deployment, snapshot, emit, program)
            finally:
                journal.close()
            outputs = stack_outputs(journal.current())
            result = _result(kind, deployment, snapshot, started, outputs)
            self.backend.add_to_history(self.name, self._history_entry(result, wall_clock))
        return result

    def _act(
        self,
        kind: Kind,
        deployment: Deployment,
        snapshot: Snapshot,
        emit: Emit,
        program: Program | None,
    ) -> None:
        """Finishes what an interrupted run left pending, then does what is asked for."""
        if kind == "destroy":
            _refuse_delete_hooks(snapshot)
        if kind == "update":
            program = program or Program(self.project)
        with self.control.watching(lambda _: deployment.cancel()):
            deployment.recover(snapshot)
            if deployment.stopped.is_set():
                if program:
                    program.stop()
            elif program:
                self._run(program, deployment, snapshot, emit)
            elif kind == "destroy":
                deployment.delete_rest()
            else:
                deployment.refresh()

    def _run(
        self, program: Program, deployment: Deployment, snapshot: Snapshot, emit: Emit
    ) -> None:
        """Runs the program, then deletes what it no longer has."""
        # The clients of the providers take long to load: while the program's interpreter starts.
        packages = {urns.package_of(s.type) for s in snapshot.resources if s.is_provider}
        for package in packages:
            threading.Thread(target=preload, args=(package,), daemon=True).start()
        # Imported here, since only these operations need gRPC and the SDK's messages.
        from astro_pulumi.embedded.server import Server

        def hear(event: Event) -> None:
            # The SDK's complaint that the engine refused to go on: the reason was told before.
            if not (isinstance(event, Message) and event.text == _AFTERMATH):
                emit(event)

        config = self.config()
        with closing(Server(self.project, deployment, config, hear)) as server:

            def give_up(at_once: bool) -> None:
                if at_once:
                    program.stop()
                    server.plugins.stop()

            try:
                program.go(server.address, self.name, deployment.preview, config, hear)
                with self.control.watching(give_up):
                    while not server.ended.wait(0.02) and program.poll() is None:
                        # An interrupted program may have more to do than to wait for the engine.
                        if self.control.presses and not server.monitor.busy:
                            program.stop()
                if server.ended.is_set() and not deployment.stopped.is_set():
                    deployment.delete_rest()
                server.release()
                code = program.wait()
            finally:
                program.stop()
        if code and not deployment.stopped.is_set():
            if code != SAID_SO:
                emit(Message("error", f"program exited with non-zero exit code: {code}"))
            deployment.failed = True
        deployment.finish_stack()

    def _deployment(self, snapshot: Snapshot, journal: Journal | None, emit: Emit) -> Deployment:
        package_config = self.config().of_package
        return Deployment(self.project.name, self.name, snapshot, journal, package_config, emit)

    def _write(self, resources: list[str], pending: list[tuple[str, str]]) -> None:
        self.backend.write(self.name, self._checkpoint(resources, pending))

    def _checkpoint(self, resources: list[str], pending: list[tuple[str, str]]) -> str:
        name = f"organization/{self.project.name}/{self.name}"
        return checkpoint_to_json(name, self._salt, self._engine_version, resources, pending)

    def _history_entry(self, result: Result, started: int) -> dict[str, object]:
        settings = read_yaml(self.project.stack_file(self.name))
        return {
            "kind": result.kind,
            "startTime": started,
            "message": "",
            "environment": {"astro-pulumi.engine": "embedded"},
            "config": settings.get("config") or {},
            "version": 0,
            "result": "succeeded" if result.ok else "failed",
            "endTime": int(time.time()),
            "resourceChanges": dict(result.counts),
        }


def open_stack(
    project: Project,
    name: str,
    environment: Mapping[str, str],
    ask: Callable[[str], str] | None,
) -> Stack:
    """Opens a stack that exists. `ask` prompts for a passphrase; None where nobody can answer."""
    backend = open_backend(project, environment)
    data = backend.read(name)
    if data is None:
        known = ", ".join(backend.stacks()) or "none"
        raise StateError(f"no stack named '{name}' found in {backend.root} (there: {known})")
    salt, crypter = open_crypter(
        checkpoint_salt(data) or read_salt(project, name), environment, ask
    )
    return Stack(project, name, backend, salt, crypter)


def create_stack(
    project: Project,
    name: str,
    environment: Mapping[str, str],
    ask: Callable[[str], str] | None,
) -> Stack:
    """Makes a new, empty stack."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
        raise StateError(
            f"stack name {name!r}: only letters, digits, '-', '_' and '.' are allowed, 100 at most"
        )
    backend = open_backend(project, environment)
    if backend.read(name) is not None:
        raise StateError(f"stack '{name}' already exists")
    known = read_salt(project, name)
    salt, crypter = open_crypter(known, environment, ask)
    if known is None:
        write_salt(project, name, salt)
    stack = Stack(project, name, backend, salt, crypter)
    backend.create(name, stack._checkpoint([], []))
    return stack


def _result(
    kind: Kind, deployment: Deployment, before: Snapshot, started: float, outputs: Properties
) -> Result:
    interrupted = deployment.stopped.is_set()
    return Result(
        kind,
        not deployment.failed and not interrupted,
        deployment.counts,
        time.monotonic() - started,
        outputs,
        stack_outputs(before),
    )


def _refuse_delete_hooks(snapshot: Snapshot) -> None:
    """`destroy` does not run the program, so it cannot run the program's hooks."""
    hooked = [
        f"  {state.urn}: {', '.join(names)}"
        for state in snapshot.resources
        if (
            names := [
                *state.resource_hooks.get("BeforeDelete", ()),
                *state.resource_hooks.get("AfterDelete", ()),
            ]
        )
    ]
    if hooked:
        raise EngineError(
            "these resources have delete hooks, which the embedded engine cannot run in `destroy`:\n"
            + "\n".join(hooked)
            + "\nRemove the resources from the program and run `up`, or install the Pulumi CLI and run "
            "`pulumi destroy --run-program`."
        )
