"""One update of a stack: carries out what the program registers, then deletes what it no longer has.

Registrations arrive in parallel, each in its own thread; the SDK sends one when all that it depends on
is done. The decisions are made in `plan`; this module acts on them and keeps the `journal`.
"""

import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from traceback import format_exception

from astro_pulumi.embedded import paths, plan, urns
from astro_pulumi.embedded.events import (
    Emit,
    Failed,
    Finished,
    Message,
    OutputsRegistered,
    Started,
)
from astro_pulumi.embedded.journal import Journal, Ticket
from astro_pulumi.embedded.plan import Decision, Goal, Op
from astro_pulumi.embedded.provider import (
    DiffResult,
    InitializationError,
    Log,
    Provider,
    ReadResult,
    Resource,
    Severity,
)
from astro_pulumi.embedded.providers import make_provider
from astro_pulumi.embedded.state import ResourceState, Snapshot, now
from astro_pulumi.embedded.values import Properties, Secret, has_unknown, reveal
from astro_pulumi.errors import AstroError, EngineError, ResourceError

PARALLEL = 32


class Stopped(EngineError):  # noqa: N818 - not an error of its own
    """The update goes no further: something failed, and was reported, or the user interrupted it."""


@dataclass(frozen=True, slots=True)
class Target:
    """The stack that is updated."""

    project: str
    stack: str


class Deployment:
    """Brings a stack's resources to what the program wants. All public methods may be called from
    many threads."""

    def __init__(
        self,
        target: Target,
        snapshot: Snapshot,
        journal: Journal | None,
        package_config: Callable[[str], Mapping[str, str]],
        emit: Emit,
    ) -> None:
        """Without a `journal` it is a preview: nothing is changed anywhere."""
        self.target = target
        self.preview = journal is None
        self.counts: Counter[Op] = Counter()
        self.stopped = threading.Event()  # no new steps
        self.failed = False
        self._journal = journal
        self._package_config = package_config
        self._emit = emit
        self._lock = threading.RLock()
        self._last = snapshot.resources
        self._olds = {state.urn: state for state in snapshot.resources if not state.delete}
        self._news: dict[str, ResourceState] = {}
        self._registered: set[str] = set()
        self._aliases: dict[str, str] = {}  # URN now -> URN in the last run
        self._replaced: dict[str, ResourceState] = {}  # URN now -> what it replaces
        self._providers: dict[str, Provider] = {}  # by reference
        self._default_providers: dict[tuple[str, str], str] = {}

    # -- what the program asks for

    def register(
        self, goal: Goal, aliases: Sequence[Mapping[str, str] | str] = ()
    ) -> ResourceState:
        """Makes one resource what the goal says. Returns when that is done."""
        self._check_running()
        urn = self.urn(goal.type, goal.name, goal.parent)
        resource = plan.new_state(goal, urn, goal.inputs, None)
        try:
            with self._lock:
                old = self._find_old(urn, goal, aliases)
                self._registered.add(urn)
            state = self._step(goal, urn, old)
        except Stopped:
            raise
        except Exception as error:
            raise self.fail(resource, error) from error
        with self._lock:
            self._news[state.urn] = state
        return state

    def register_outputs(self, urn: str, outputs: Properties) -> None:
        """A component's outputs, or the stack's."""
        with self._lock:
            old = self._news.get(urn)
            if old is None:
                raise EngineError(f"outputs of an unknown resource: {urn}")
            state = self._news[urn] = replace(old, outputs=outputs)
        if self._journal:
            self._journal.record(amend=(old, state), lazily=True)
        self._emit(OutputsRegistered(state))

    def read(self, goal: Goal, id: str) -> ResourceState:
        """Reads a resource that Pulumi does not manage: a `get`."""
        self._check_running()
        urn = self.urn(goal.type, goal.name, goal.parent)
        state = replace(plan.new_state(goal, urn, goal.inputs, None), id=id, external=True)
        self._emit(Started("read", state))
        try:
            provider = self.provider(goal.provider)
            found = provider.read(_resource(state), id, {}, goal.inputs)
            if found is None:
                raise ResourceError(f"resource '{id}' does not exist")
        except AstroError as error:
            raise self.fail(state, error, "read") from error
        outputs = plan.mark_secrets(found.outputs, {}, goal.additional_secret_outputs)
        state = replace(state, id=found.id, inputs=found.inputs, outputs=outputs)
        with self._lock:
            old = self._olds.get(urn)
            self._registered.add(urn)
            self._news[urn] = state
        self._record(done=[old] if old else [], add=state, lazily=True)
        self._finish("read", state)
        return state

    def default_provider(self, package: str, version: str) -> str:
        """A reference to the default provider of a package, which is registered when first needed."""
        with self._lock:
            known = self._default_providers.get((package, version))
            if known is None:
                name = f"default_{version.replace('.', '_')}" if version else "default"
                inputs = {
                    **self._package_config(package),
                    **({"version": version} if version else {}),
                }
                goal = Goal(f"{urns.PROVIDER_PREFIX}{package}", name, custom=True, inputs=inputs)
                state = self.register(goal)
                known = self._default_providers[package, version] = f"{state.urn}::{state.id}"
            return known

    def provider(self, reference: str) -> Provider:
        """The provider behind a reference, started when first needed."""
        with self._lock:
            provider = self._providers.get(reference)
            if provider is None:
                urn, id = urns.split_reference(reference)
                state = self._news.get(urn) or self._olds.get(urn)
                if state is None or not urns.is_provider(state.type):
                    raise EngineError(f"unknown provider '{urn}'")
                if id not in (state.id, ""):
                    old = self._olds.get(urn)
                    state = old if old and old.id == id else state
                provider = make_provider(urns.package_of(state.type), _configuration(state.inputs))
                self._providers[reference] = provider
            return provider

    def urn(self, type: str, name: str, parent: str) -> str:
        """The URN of a resource in this stack."""
        return urns.make_urn(self.target.stack, self.target.project, parent, type, name)

    def lookup(self, urn: str) -> ResourceState | None:
        """A resource as this run has left it so far."""
        with self._lock:
            return self._news.get(urn)

    def stack_outputs(self) -> Properties:
        """What the program exported in this run."""
        with self._lock:
            stacks = [s for s in self._news.values() if s.type == urns.STACK_TYPE]
            return stacks[0].outputs if stacks else {}

    # -- ends

    def delete_rest(self) -> None:
        """Deletes what the program no longer has, and what was replaced: each when nothing depends on
        it any more, as many at a time as possible."""
        current = self._journal.current().resources if self._journal else self._last
        seen = {*self._registered, *self._aliases.values()}
        condemned = [state for state in current if state.delete or state.urn not in seen]
        if self.preview:
            gone = [self._olds.get(state.urn, state) for state in self._replaced.values()]
            condemned += [replace(state, delete=True) for state in gone]
            condemned = [state for state in condemned if not state.pending_replacement]
        self.delete(condemned)

    def delete(self, condemned: Sequence[ResourceState]) -> None:
        """Deletes resources in reverse dependency order."""
        protected = [s for s in condemned if s.protect and not s.delete]
        for state in protected:
            error = EngineError(
                f'resource "{state.urn}" cannot be deleted\nbecause it is protected. To unprotect the '
                "resource, remove the `protect` flag from the resource in your Pulumi program and run "
                "`up`"
            )
            self.fail(state, error, "delete")
        if protected:
            return
        doomed = {state.urn for state in condemned}
        blockers = plan.delete_order(condemned)
        running: dict[Future[None], int] = {}
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="delete") as pool:
            while blockers or running:
                ready = [i for i, before in blockers.items() if not before]
                if self.stopped.is_set():
                    ready, blockers = [], {}
                for i in ready:
                    del blockers[i]
                    running[pool.submit(self._delete, condemned[i], doomed)] = i
                if not running:
                    break
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    i = running.pop(future)
                    if future.exception() is None:
                        for before in blockers.values():
                            before.discard(i)
                    elif not isinstance(future.exception(), Stopped):
                        future.result()

    def refresh(self) -> None:
        """Reads every resource and takes over what it finds."""
        managed = [s for s in self._last if s.custom and not s.is_provider and not s.delete]
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="refresh") as pool:
            for future in [pool.submit(self._refresh, state) for state in managed]:
                future.result()

    def recover(self, snapshot: Snapshot) -> None:
        """Finds out what became of operations that an interrupted run left pending: an object that
        was made is taken into state, so that this run goes on with it, and nothing is lost."""
        if self._journal is None:
            return
        for operation in snapshot.pending:
            state = operation.resource
            found: ReadResult | None = None
            if operation.kind == "creating" and state.urn not in self._olds:
                find = (
                    getattr(self.provider(state.provider), "recover", None)
                    if state.provider
                    else None
                )
                found = find(_resource(state), state.inputs) if find else None
            if found:
                stamp = now()
                state = replace(
                    state,
                    id=found.id,
                    outputs=plan.mark_secrets(
                        found.outputs, state.inputs, state.additional_secret_outputs
                    ),
                    init_errors=("the update that created it was interrupted",),
                    created=stamp,
                    modified=stamp,
                )
                self._olds[state.urn] = state
                self._last = (*self._last, state)
                self._journal.record(add=state)
                self._say("info", "found again after an interrupted update", state.urn)
        self._journal.drop_pending(snapshot.pending)

    def fail(self, resource: ResourceState, error: Exception, op: Op = "create") -> Stopped:
        """Reports a failure and lets no new step start. -> what to raise."""
        self.failed = True
        self.stopped.set()
        if not isinstance(error, Stopped):
            # What is not an AstroError is a mistake of this engine: say where.
            bug = "" if isinstance(error, AstroError) else "".join(format_exception(error))
            self._say("error", bug or str(error), resource.urn)
            self._emit(Failed(op, resource))
        return Stopped("the update was stopped")

    def cancel(self) -> None:
        """Ends all waiting at once."""
        self.stopped.set()
        with self._lock:
            for provider in self._providers.values():
                provider.cancel()

    # -- steps

    def _step(self, goal: Goal, urn: str, old: ResourceState | None) -> ResourceState:
        if not goal.custom:
            return self._component_step(goal, urn, old)
        if urns.is_provider(goal.type):
            return self._provider_step(goal, urn, old)
        provider = self.provider(goal.provider)
        imported = goal.import_id and (old is None or (old.import_id or old.id) != goal.import_id)
        if imported:
            old = self._import(goal, urn, provider, old)
        managed = old if old and not old.external and not old.pending_replacement else None
        wanted = goal.inputs
        if managed:
            wanted = paths.keep_old(goal.ignore_changes, managed.inputs, wanted)
        inputs = self._check(provider, goal, urn, managed.inputs if managed else {}, wanted)
        new = plan.new_state(goal, urn, inputs, old)
        if old is None:
            return self._create(provider, new)
        if managed is None:
            return self._create(provider, new, replacing=old, diff=DiffResult(True))
        changed_kind = not old.custom or not old.provider
        if changed_kind:
            diff = DiffResult(True, ("provider",))
        else:
            diff = provider.diff(
                _resource(new), old.id, old.inputs, old.outputs, inputs, goal.ignore_changes
            )
        with self._lock:
            decision = plan.decide(goal, old, diff, self._replaced)
            if decision.op == "replace":
                self._replaced[urn] = old
        if decision.op == "same":
            return self._same(new, old, visible=not imported)
        if decision.op == "update":
            return self._update(provider, new, old, decision)
        return self._replace(provider, goal, new, old, decision)

    def _component_step(self, goal: Goal, urn: str, old: ResourceState | None) -> ResourceState:
        new = plan.new_state(goal, urn, goal.inputs, old)
        if old is None:
            op: Op = "create"
            new = replace(new, created=(stamp := now()), modified=stamp)
        else:
            op = "same" if reveal(old.inputs) == reveal(goal.inputs) else "update"
            new = replace(new, outputs=old.outputs, rest=old.rest)
        self._emit(Started(op, new, old))
        self._record(done=[old] if old else [], add=new, lazily=True)
        self._finish(op, new, old)
        return new

    def _provider_step(self, goal: Goal, urn: str, old: ResourceState | None) -> ResourceState:
        inputs = {**goal.inputs, "__internal": goal.inputs.get("__internal", {})}
        new = plan.new_state(goal, urn, inputs, old)
        outputs = {key: value for key, value in inputs.items() if key != "__internal"}
        new = replace(new, id=old.id if old else str(uuid.uuid4()), outputs=outputs)
        if old and reveal(old.inputs) == reveal(inputs):
            return self._same(new, old, visible=not goal.name.startswith("default"))
        op: Op = "update" if old else "create"
        new = replace(new, modified=(stamp := now()), created=old.created if old else stamp)
        if not has_unknown(inputs):
            with self._lock:
                provider = make_provider(urns.package_of(goal.type), _configuration(inputs))
                self._providers[f"{urn}::{new.id}"] = provider
        if visible := not goal.name.startswith("default"):
            self._emit(Started(op, new, old))
        self._record(done=[old] if old else [], add=new, lazily=True)
        if visible:
            self._finish(op, new, old)
        return new

    def _same(self, new: ResourceState, old: ResourceState, visible: bool = True) -> ResourceState:
        new = replace(new, id=old.id, outputs=old.outputs, rest=old.rest)
        self._record(done=[old], add=new, lazily=True)
        if visible:
            self._emit(Started("same", new, old))
            self._finish("same", new, old)
        return new

    def _create(
        self,
        provider: Provider,
        new: ResourceState,
        *,
        replacing: ResourceState | None = None,
        diff: DiffResult | None = None,
        marked: tuple[ResourceState, ResourceState] | None = None,
    ) -> ResourceState:
        """`replacing` is the resource whose place it takes; `marked` how that one stays in state until
        it is deleted, if it still exists."""
        op: Op = "replace" if replacing else "create"
        self._check_running()
        self._emit(Started(op, new, replacing, diff))
        ticket = self._journal.begin("creating", new) if self._journal else None
        done = [replacing] if replacing and not marked else []
        stamp = now()

        def made(id: str, outputs: Properties, errors: Sequence[str] = ()) -> ResourceState:
            state = replace(
                new,
                id=id,
                outputs=plan.mark_secrets(outputs, new.inputs, new.additional_secret_outputs),
                init_errors=tuple(errors),
                created=stamp,
                modified=stamp,
            )
            self._record(ticket, done=done, add=state, amend=marked)
            return state

        try:
            id, outputs = provider.create(
                _resource(new),
                new.inputs,
                new.custom_timeouts.get("create", 0),
                self.preview,
                self._log(new.urn),
            )
        except InitializationError as error:
            state = made(error.id, error.outputs, error.reasons)
            raise self.fail(state, error, op) from error
        except AstroError as error:
            if ticket and self._journal:
                self._journal.end(ticket)
            raise self.fail(new, error, op) from error
        state = made(id, outputs)
        self._finish(op, state, replacing, diff)
        return state

    def _update(
        self, provider: Provider, new: ResourceState, old: ResourceState, decision: Decision
    ) -> ResourceState:
        self._check_running()
        new = replace(new, id=old.id)
        self._emit(Started("update", new, old, decision.diff))
        ticket = (
            self._journal.begin("updating", replace(new, outputs=old.outputs))
            if self._journal
            else None
        )

        def made(outputs: Properties, errors: Sequence[str] = ()) -> ResourceState:
            outputs = plan.mark_secrets(outputs, new.inputs, new.additional_secret_outputs)
            state = replace(new, outputs=outputs, init_errors=tuple(errors), modified=now())
            self._record(ticket, done=[old], add=state)
            return state

        try:
            outputs = provider.update(
                _resource(new),
                old.id,
                old.inputs,
                old.outputs,
                new.inputs,
                new.custom_timeouts.get("update", 0),
                self.preview,
                self._log(new.urn),
            )
        except InitializationError as error:
            state = made(error.outputs, error.reasons)
            raise self.fail(state, error, "update") from error
        except AstroError as error:
            if ticket and self._journal:
                self._journal.end(ticket)
            raise self.fail(new, error, "update") from error
        state = made(outputs)
        self._finish("update", state, old, decision.diff)
        return state

    def _replace(
        self,
        provider: Provider,
        goal: Goal,
        new: ResourceState,
        old: ResourceState,
        decision: Decision,
    ) -> ResourceState:
        if old.protect and goal.protect:
            raise EngineError(
                f'unable to replace resource "{new.urn}"\nas it is currently marked for protection. To '
                "unprotect the resource, remove the `protect` flag from the resource in your Pulumi "
                "program and run `up`"
            )
        if goal.import_id:
            raise EngineError(
                "previously-imported resources that still specify an ID may not be replaced; please "
                "remove the `import` declaration from your program"
            )
        # Defaults and automatic names of the old resource must not be carried over.
        new = replace(new, inputs=self._check(provider, goal, new.urn, {}, goal.inputs))
        if not decision.delete_first:
            marked = replace(old, delete=True)
            return self._create(
                provider, new, replacing=old, diff=decision.diff, marked=(old, marked)
            )
        with self._lock:
            dependents = plan.replaced_with(
                old, self._last, self._registered, self._would_be_replaced
            )
            dependents = [self._olds.get(state.urn, state) for state in dependents]
        doomed = {old.urn, *(state.urn for state in dependents)}
        for state in reversed(dependents):
            if state.protect:
                raise EngineError(
                    f'unable to replace resource "{state.urn}" as part of replacing "{new.urn}" as it '
                    "is currently marked for protection"
                )
        for state in [*reversed(dependents), old]:
            if not state.pending_replacement:
                self._delete(state, doomed, pending_replacement=True)
        return self._create(provider, new, replacing=self._olds[old.urn], diff=decision.diff)

    def _would_be_replaced(self, state: ResourceState, inputs: Properties) -> bool:
        diff = self.provider(state.provider).diff(
            _resource(state), state.id, state.inputs, state.outputs, inputs, state.ignore_changes
        )
        return bool(diff.replaces)

    def _delete(
        self, state: ResourceState, doomed: Iterable[str], pending_replacement: bool = False
    ) -> None:
        """Deletes one resource; `pending_replacement` keeps it in state as one to be made anew."""
        self._check_running()
        replacing = state.delete or pending_replacement
        visible = not state.is_provider or not state.name.startswith("default")
        if visible:
            self._emit(Started("delete", state, state, replacing=replacing))
        spared = (
            not state.custom
            or state.is_provider
            or state.external
            or state.pending_replacement
            or state.retain_on_delete
            or state.deleted_with in doomed
        )
        ticket: Ticket | None = None
        if self._journal and not spared:
            ticket = self._journal.begin("deleting", state)
            try:
                self.provider(state.provider).delete(
                    _resource(state),
                    state.id,
                    state.inputs,
                    state.outputs,
                    state.custom_timeouts.get("delete", 0),
                    self._log(state.urn),
                )
            except AstroError as error:
                self._journal.end(ticket)
                raise self.fail(state, error, "delete") from error
        if pending_replacement:
            gone = replace(state, pending_replacement=True)
            self._record(ticket, amend=(state, gone))
            with self._lock:
                self._olds[state.urn] = gone
        else:
            self._record(ticket, done=[state], lazily=spared)
        if visible:
            self._finish("delete", state, state, replacing=replacing)

    def _import(
        self, goal: Goal, urn: str, provider: Provider, old: ResourceState | None
    ) -> ResourceState:
        """Takes an object that exists under management, as it is; an old one makes room for it."""
        new = replace(plan.new_state(goal, urn, {}, None), id=goal.import_id)
        self._emit(Started("import", new))
        found = provider.read(_resource(new), goal.import_id, {}, {})
        if found is None:
            raise ResourceError(f"resource '{goal.import_id}' does not exist")
        stamp = now()
        state = replace(
            new,
            id=found.id,
            inputs=found.inputs,
            outputs=found.outputs,
            created=stamp,
            modified=stamp,
        )
        self._record(add=state, amend=(old, replace(old, delete=True)) if old else None)
        self._finish("import", state)
        return state

    def _refresh(self, old: ResourceState) -> None:
        if self.stopped.is_set():
            return
        self._emit(Started("refresh", old, old))
        try:
            provider = self.provider(old.provider)
            errors: tuple[str, ...] = ()
            found = provider.read(_resource(old), old.id, old.inputs, old.outputs)
            if found is None:
                self._record(done=[old])
                self._finish("delete", old, old)
                return
            outputs = plan.mark_secrets(found.outputs, old.inputs, old.additional_secret_outputs)
            diff = provider.diff(
                _resource(old), found.id, found.inputs, outputs, old.inputs, old.ignore_changes
            )
        except AstroError as error:
            self.fail(old, error, "refresh")
            return
        changed = (reveal(found.inputs), reveal(outputs)) != (
            reveal(old.inputs),
            reveal(old.outputs),
        )
        new = old
        if changed:
            new = replace(
                old,
                id=found.id,
                inputs=_with_secrets_of(found.inputs, old.inputs),
                outputs=outputs,
                init_errors=errors,
                modified=now(),
            )
            self._record(amend=(old, new))
        shown = DiffResult(diff.changes, detailed=plan.invert(diff.detailed))
        self._finish("update" if diff.changes else "same", new, old, shown)

    # -- helpers

    def _find_old(
        self, urn: str, goal: Goal, aliases: Sequence[Mapping[str, str] | str]
    ) -> ResourceState | None:
        if urn in self._registered:
            raise EngineError(f"Duplicate resource URN '{urn}'; try giving it a unique name")
        parent_alias = self._aliases.get(goal.parent, "")
        candidates = plan.alias_urns(
            self.target.stack,
            self.target.project,
            goal.type,
            goal.name,
            goal.parent,
            aliases,
            parent_alias,
        )
        for candidate in (urn, *candidates):
            old = self._olds.get(candidate)
            if old:
                if candidate != urn:
                    if candidate in self._registered or candidate in self._aliases.values():
                        raise EngineError(
                            f"Duplicate resource alias '{candidate}' applied to resource with URN "
                            f"'{urn}' conflicting with another resource"
                        )
                    self._aliases[urn] = candidate
                return old
        return None

    def _check(
        self, provider: Provider, goal: Goal, urn: str, olds: Properties, news: Properties
    ) -> Properties:
        resource = Resource(urn, goal.type, goal.name)
        result = provider.check(resource, olds, news, os.urandom(32))
        if result.failures:
            problems = [
                f"{goal.type} resource '{goal.name}': property {f.property}: {f.reason}"
                if f.property
                else f"{goal.type} resource '{goal.name}' has a problem: {f.reason}"
                for f in result.failures
            ]
            raise ResourceError("\n".join(problems))
        return result.inputs

    def _record(
        self,
        ticket: Ticket | None = None,
        *,
        done: Iterable[ResourceState] = (),
        add: ResourceState | None = None,
        amend: tuple[ResourceState, ResourceState] | None = None,
        lazily: bool = False,
    ) -> None:
        if self._journal:
            self._journal.record(ticket, done=done, add=add, amend=amend, lazily=lazily)

    def _finish(
        self,
        op: Op,
        state: ResourceState,
        old: ResourceState | None = None,
        diff: DiffResult | None = None,
        replacing: bool = False,
    ) -> None:
        if not replacing:
            with self._lock:
                self.counts[op] += 1
        self._emit(Finished(op, state, old, diff, replacing))

    def _check_running(self) -> None:
        if self.stopped.is_set():
            raise Stopped("the update was stopped")

    def _log(self, urn: str) -> Log:
        def log(severity: Severity, text: str) -> None:
            self._emit(Message(severity, text, urn, passing=severity == "info"))

        return log

    def _say(self, severity: Severity, text: str, urn: str = "") -> None:
        self._emit(Message(severity, text, urn))


def _resource(state: ResourceState) -> Resource:
    return Resource(state.urn, state.type, state.name)


def _configuration(inputs: Properties) -> Properties:
    """A provider's own settings, without what the engine keeps beside them."""
    return {key: value for key, value in inputs.items() if key not in ("version", "__internal")}


def _with_secrets_of(new: Properties, old: Properties) -> Properties:
    return {
        key: Secret(reveal(value)) if isinstance(old.get(key), Secret) else value
        for key, value in new.items()
    }
