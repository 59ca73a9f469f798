"""One update of a stack: carries out what the program registers, then deletes what it no longer has.

Registrations arrive in parallel, each in its own thread; the SDK sends one when all that it depends on
is done. The decisions are made in `plan`; this module acts on them and keeps the `journal`.
"""

import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from traceback import format_exception
from typing import Any, Final

from astro_pulumi.embedded import paths, plan, urns
from astro_pulumi.embedded.events import Emit, Message, OutputsRegistered, Step
from astro_pulumi.embedded.hooks import HookKind, Hooks
from astro_pulumi.embedded.journal import Journal, Ticket
from astro_pulumi.embedded.plan import Goal, Op
from astro_pulumi.embedded.provider import (
    DiffResult,
    InitializationError,
    Log,
    Provider,
    ReadResult,
    Request,
    Resource,
    Severity,
)
from astro_pulumi.embedded.providers import make_provider
from astro_pulumi.embedded.state import ResourceState, Snapshot, now
from astro_pulumi.embedded.values import Properties, reveal
from astro_pulumi.errors import AstroError, EngineError, ResourceError

PARALLEL: Final = 32


class Stopped(EngineError):  # noqa: N818 - not an error of its own
    """The update goes no further: something failed, and was reported, or the user interrupted it."""


class Deployment:
    """Brings a stack's resources to what the program wants. All public methods may be called from
    many threads."""

    def __init__(
        self,
        project: str,
        stack: str,
        snapshot: Snapshot,
        journal: Journal | None,
        package_config: Callable[[str], Properties],
        emit: Emit,
    ) -> None:
        """Without a `journal` it is a preview: nothing is changed anywhere."""
        self.project = project
        self.stack = stack
        self.preview = journal is None
        self.counts: Counter[Op] = Counter()
        self.stopped = threading.Event()  # no new steps
        self.failed = False
        self.hooks = Hooks(self.preview, lambda text, urn: self._say("warning", text, urn))
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
        self._said: set[str] = set()
        # Components whose outputs are awaited: URN -> (hook that is due then, old state).
        self._unfinished: dict[str, tuple[HookKind, ResourceState | None]] = {}
        self._exported: tuple[str, Properties] | None = (
            None  # by the program: the stack's URN, outputs
        )

    # -- what the program asks for

    def register(self, goal: Goal) -> ResourceState:
        """Makes one resource what the goal says. Returns when that is done."""
        self._check_running()
        urn = goal.wanted.urn
        try:
            with self._lock:
                old = self._find_old(goal)
                self._registered.add(urn)
            state = self._step(goal, old)
        except Stopped:
            raise
        except Exception as error:
            raise self.fail(goal.wanted, error) from error
        with self._lock:
            self._news[urn] = state
        return state

    def register_outputs(self, urn: str, outputs: Properties) -> None:
        """A component's outputs, or the stack's, which are kept until `finish_stack`."""
        with self._lock:
            old = self._news.get(urn)
            if old is None:
                raise EngineError(f"outputs of an unknown resource: {urn}")
            if old.type == urns.STACK_TYPE:
                self._exported = (urn, outputs)
                return
        self._set_outputs(old, outputs)

    def finish_stack(self) -> None:
        """Gives the stack the outputs that the program exported.

        A program that failed may not have come to export all: as in Pulumi, what it did not export then
        stays as it was.
        """
        if self._exported is None:
            return
        urn, outputs = self._exported
        old = self._news[urn]
        self._set_outputs(old, {**old.outputs, **outputs} if self.failed else outputs)

    def _set_outputs(self, old: ResourceState, outputs: Properties) -> None:
        urn = old.urn
        with self._lock:
            # Equal ones are kept as they were, with the ciphertexts of their secrets.
            state = replace(old, outputs=old.outputs if old.outputs == outputs else outputs)
            self._news[urn] = state
            due, before = self._unfinished.pop(urn, (None, None))
        self._record(amend=(old, state), lazily=True)
        if due:
            self._run_after(due, state, before)
        self._emit(OutputsRegistered(state))

    def read(self, wanted: ResourceState) -> ResourceState:
        """Reads a resource that Pulumi does not manage: a `get` of `wanted.id`."""
        self._check_running()
        wanted = replace(wanted, external=True)
        self._emit(Step("started", "read", wanted))
        try:
            found = self._must_find(wanted, id=wanted.id, given=wanted.inputs)
        except Exception as error:
            raise self.fail(wanted, error, "read") from error
        outputs = plan.mark_secrets(found.outputs, {}, wanted.additional_secret_outputs)
        state = replace(wanted, id=found.id, inputs=found.inputs, outputs=outputs)
        with self._lock:
            old = self._olds.get(state.urn)
            self._registered.add(state.urn)
            self._news[state.urn] = state
        self._record(done=[old] if old else [], add=state, lazily=True)
        self._finish("read", state)
        return state

    def default_provider(self, package: str, version: str) -> str:
        """A reference to the default provider of a package, which is registered when first needed."""
        with self._lock:
            known = self._default_providers.get((package, version))
            if known is None:
                type = f"{urns.PROVIDER_PREFIX}{package}"
                name = f"default_{version.replace('.', '_')}" if version else "default"
                inputs = {
                    **self._package_config(package),
                    **({"version": version} if version else {}),
                }
                urn = self.urn(type, name, "")
                wanted = ResourceState(urn=urn, type=type, custom=True, inputs=inputs)
                known = f"{urn}::{self.register(Goal(wanted)).id}"
                self._default_providers[package, version] = known
            return known

    def provider(self, reference: str) -> Provider:
        """The provider behind a reference, started when first needed."""
        with self._lock:
            provider = self._providers.get(reference)
            if provider is None:
                urn, id = urns.split_reference(reference)
                states = [self._news.get(urn), self._olds.get(urn), *self._last]
                state = next((s for s in states if s and (s.urn, s.id) == (urn, id)), None)
                if state is None or not state.is_provider:
                    raise EngineError(f"unknown provider '{reference}'")
                provider = make_provider(urns.package_of(state.type), _configuration(state.inputs))
                self._providers[reference] = provider
            return provider

    def urn(self, type: str, name: str, parent: str) -> str:
        """The URN of a resource in this stack."""
        return urns.make_urn(self.stack, self.project, parent, type, name)

    def lookup(self, urn: str) -> ResourceState | None:
        """A resource as this run has left it so far."""
        with self._lock:
            return self._news.get(urn)

    def stack_outputs(self) -> Properties:
        """What the program exported in this run."""
        with self._lock:
            stacks = [s for s in self._news.values() if s.type == urns.STACK_TYPE]
            return stacks[0].outputs if stacks else {}

    # -- the whole stack

    def delete_rest(self) -> None:
        """Deletes what the program did not register, and what was replaced: each when nothing depends
        on it any more, as many at a time as possible."""
        current = self._journal.current().resources if self._journal else self._last
        seen = {*self._registered, *self._aliases.values()}
        condemned = [state for state in current if state.delete or state.urn not in seen]
        if self.preview:
            gone = [self._olds.get(state.urn, state) for state in self._replaced.values()]
            condemned += [replace(state, delete=True) for state in gone]
            condemned = [state for state in condemned if not state.pending_replacement]
        protected = [state for state in condemned if state.protect and not state.delete]
        for state in protected:
            self.fail(
                state, EngineError(_PROTECTED.format(f'"{state.urn}" cannot be deleted')), "delete"
            )
        if not protected:
            self._delete_all(condemned)

    def _delete_all(self, condemned: Sequence[ResourceState]) -> None:
        doomed = {state.urn for state in condemned}
        blockers = plan.delete_order(condemned)
        running: dict[Future[None], int] = {}
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="delete") as pool:
            while blockers or running:
                if self.stopped.is_set():
                    blockers = {}
                for i in [i for i, before in blockers.items() if not before]:
                    del blockers[i]
                    running[pool.submit(self._delete, condemned[i], doomed)] = i
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    i = running.pop(future)
                    error = future.exception()
                    if error is None:
                        for before in blockers.values():
                            before.discard(i)
                    elif not isinstance(error, Stopped):
                        self.fail(condemned[i], error, "delete")

    def refresh(self) -> None:
        """Reads every resource and takes over what it finds."""
        shown = [s for s in self._last if not s.delete and not _is_default(s)]
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="refresh") as pool:
            for state, future in [(s, pool.submit(self._refresh, s)) for s in shown]:
                if error := future.exception():
                    self.fail(state, error, "refresh")
        # What is gone must not be named by what is left, or Pulumi finds the state corrupt.
        left = self._journal.current().resources if self._journal else ()
        known = {state.urn for state in left}
        for state in left:
            if state.needs() - known:
                self._record(amend=(state, plan.forget_others(state, known)), lazily=True)

    def recover(self, snapshot: Snapshot) -> None:
        """Finishes what an interrupted run left pending. An object that was made is taken into state,
        so that nothing is lost; a delete is completed; after an update the object is updated again."""
        if self._journal is None:
            return
        for operation in snapshot.pending:
            state = operation.resource
            self._say("info", f"{operation.kind} was interrupted in the last update", state.urn)
            try:
                self._recover(operation.kind, state, self._olds.get(state.urn))
            except AstroError as error:
                self.fail(state, error, "read")
                return
        self._journal.drop_pending(snapshot.pending)

    def _recover(self, kind: str, state: ResourceState, old: ResourceState | None) -> None:
        if kind == "creating" and state.provider:
            self._recover_create(state, old)
        elif kind == "updating" and old:
            marked = replace(old, init_errors=("the update was interrupted",))
            self._olds[state.urn] = marked
            self._last = tuple(marked if s is old else s for s in self._last)
            self._record(amend=(old, marked))
        elif kind == "deleting":
            for doomed in [s for s in self._last if (s.urn, s.id) == (state.urn, state.id)]:
                self._delete(doomed, (), hooks=False)  # the program that has them does not run yet
                self._last = tuple(s for s in self._last if s is not doomed)
                if doomed is old:
                    del self._olds[state.urn]

    def _recover_create(self, state: ResourceState, old: ResourceState | None) -> None:
        found = self._find_made(state)
        if found is None or (old and old.id == found.id and not old.pending_replacement):
            return
        outputs = plan.mark_secrets(found.outputs, state.inputs, state.additional_secret_outputs)
        stamp = now()
        state = replace(
            state,
            id=found.id,
            outputs=outputs,
            init_errors=("the update that created it was interrupted",),
            # One that was to replace another is not needed: it is made anew, if still wanted.
            delete=bool(old and not old.pending_replacement),
            created=stamp,
            modified=stamp,
        )
        gone = [old] if old and not state.delete else []
        if not state.delete:
            self._olds[state.urn] = state
        self._last = (*(s for s in self._last if s not in gone), state)
        if self._journal:
            self._journal.record(done=gone, found=state)

    def fail(self, resource: ResourceState, error: BaseException, op: Op = "create") -> Stopped:
        """Reports a failure and lets no new step start. -> what to raise."""
        self.failed = True
        self.stopped.set()
        if not isinstance(error, Stopped):
            # What is not an AstroError is a mistake of this engine: say where.
            bug = "" if isinstance(error, AstroError) else "".join(format_exception(error))
            text = bug or str(error)
            if text not in self._said:  # a cluster that cannot be reached fails many resources
                self._say("error", text, resource.urn)
            self._said.add(text)
            self._emit(Step("failed", op, resource))
        return Stopped("the update was stopped")

    def cancel(self) -> None:
        """Lets no new step start, and ends what those under way wait for."""
        self.stopped.set()
        with self._lock:
            for provider in self._providers.values():
                provider.cancel()

    # -- steps

    def _step(self, goal: Goal, old: ResourceState | None) -> ResourceState:
        wanted = goal.wanted
        if old:
            aliases = (old.urn,) if old.urn != wanted.urn else ()
            wanted = replace(wanted, aliases=aliases, created=old.created, modified=old.modified)
        if not wanted.custom or wanted.is_provider:
            return self._internal_step(wanted, old)
        provider = self.provider(wanted.provider)
        known_as = (old.import_id or old.id) if old else ""
        is_known = old and not old.external and known_as == wanted.import_id
        imported = bool(wanted.import_id) and not is_known
        if imported:
            old = self._import(wanted, old)
        managed = old if old and not old.external and not old.pending_replacement else None
        if managed is None:
            new = self._check(provider, wanted, {}, wanted.inputs)
            return self._create(provider, new, replacing=old, diff=DiffResult(changes=bool(old)))
        inputs = paths.keep_old(wanted.ignore_changes, managed.inputs, wanted.inputs)
        new = self._check(provider, wanted, managed.inputs, inputs)
        if managed.provider:
            diff = self._diff(provider, managed, new.inputs, wanted.ignore_changes)
        else:  # it was a component
            diff = DiffResult(changes=True, replaces=("provider",))
        with self._lock:
            decision = plan.decide(goal, managed, diff, self._replaced)
            if decision.op == "replace":
                self._replaced[new.urn] = managed
        if decision.op == "same":
            return self._same(new, managed, visible=not imported)
        if decision.op == "update":
            return self._update(provider, new, managed, decision.diff)
        # Defaults and automatic names of the old resource must not be carried over.
        new = self._check(provider, wanted, {}, wanted.inputs)
        if managed.protect and wanted.protect:
            raise EngineError(_PROTECTED.format(f'"{new.urn}" cannot be replaced'))
        if wanted.import_id:
            raise EngineError(
                "previously-imported resources that still specify an ID may not be replaced; please "
                "remove the `import` declaration from your program"
            )
        if decision.delete_first:
            self._delete_first(managed)
            return self._create(provider, new, self._olds[managed.urn], decision.diff)
        kept = (managed, replace(managed, delete=True))
        return self._create(provider, new, managed, decision.diff, kept)

    def _internal_step(self, wanted: ResourceState, old: ResourceState | None) -> ResourceState:
        """Components and providers: they exist in state only."""
        new = wanted
        if wanted.is_provider:
            inputs = {**wanted.inputs, "__internal": wanted.inputs.get("__internal", {})}
            id = old.id if old else str(uuid.uuid4())
            new = replace(wanted, id=id, inputs=inputs, outputs=wanted.inputs)
        visible = not _is_default(new)
        if old and old.inputs == new.inputs:
            return self._same(new, old, visible)
        if old and new.is_provider:
            provider = make_provider(urns.package_of(new.type), _configuration(new.inputs))
            if provider.is_elsewhere(_configuration(old.inputs)):
                raise EngineError(_ELSEWHERE)
        stamp = now()
        new = replace(new, created=new.created or stamp, modified=stamp)
        if old and not new.is_provider:
            new = replace(new, outputs=old.outputs)
        op: Op = "update" if old else "create"
        if visible:
            self._emit(Step("started", op, new, old))
        self.hooks.run("BeforeUpdate" if old else "BeforeCreate", new, old)
        self._record(done=[old] if old else [], add=new, lazily=True)
        due: HookKind = "AfterUpdate" if old else "AfterCreate"
        if new.is_provider:
            self._run_after(due, new, old)
        else:
            self._unfinished[new.urn] = (due, old)
        if visible:
            self._finish(op, new, old)
        return new

    def _same(self, new: ResourceState, old: ResourceState, visible: bool) -> ResourceState:
        # Equal inputs are kept as they were, with the ciphertexts of their secrets.
        inputs = old.inputs if old.inputs == new.inputs else new.inputs
        new = replace(new, id=old.id, inputs=inputs, outputs=old.outputs, rest=old.rest)
        self._record(done=[old], add=new, lazily=True)
        if visible:
            self._emit(Step("started", "same", new, old))
            self._finish("same", new, old)
        return new

    def _create(
        self,
        provider: Provider,
        new: ResourceState,
        replacing: ResourceState | None = None,
        diff: DiffResult | None = None,
        kept: tuple[ResourceState, ResourceState] | None = None,
    ) -> ResourceState:
        """`replacing` is what it takes the place of; `kept` how that one stays in state until it is
        deleted, if it still exists."""
        request = self._request(new, "create", inputs=new.inputs)

        def act() -> tuple[str, Properties]:
            return provider.create(request)

        return self._apply("replace" if replacing else "create", new, replacing, diff, act, kept)

    def _update(
        self, provider: Provider, new: ResourceState, old: ResourceState, diff: DiffResult
    ) -> ResourceState:
        new = replace(new, id=old.id, outputs=old.outputs)
        request = self._request(
            new,
            "update",
            id=old.id,
            inputs=new.inputs,
            old_inputs=old.inputs,
            old_outputs=old.outputs,
            ignore_changes=new.ignore_changes,
        )

        def act() -> tuple[str, Properties]:
            return old.id, provider.update(request)

        return self._apply("update", new, old, diff, act)

    def _apply(
        self,
        op: Op,
        new: ResourceState,
        old: ResourceState | None,
        diff: DiffResult | None,
        act: Callable[[], tuple[str, Properties]],
        kept: tuple[ResourceState, ResourceState] | None = None,
    ) -> ResourceState:
        """Creates or updates, with its record in state before and after."""
        self._check_running()
        self._emit(Step("started", op, new, old, diff))
        updating = op == "update"
        try:
            self.hooks.run("BeforeUpdate" if updating else "BeforeCreate", new, old)
        except AstroError as error:
            raise self.fail(new, error, op) from error
        ticket = self._begin("updating" if updating else "creating", new)
        failure: InitializationError | None = None
        try:
            id, outputs = self.hooks.attempt("update" if updating else "create", new, old, act)
        except InitializationError as error:
            id, outputs, failure = error.id, error.outputs, error
        except AstroError as error:
            found = None
            if not self.preview and not updating:
                try:
                    found = self._find_made(new)
                except AstroError:  # nobody knows: the operation stays pending, for the next run
                    raise self.fail(new, error, op) from error
            if found is None:
                self._record(ticket)
                raise self.fail(new, error, op) from error
            id, outputs = found.id, found.outputs
            failure = InitializationError(id, outputs, [str(error)])
        stamp = now()
        state = replace(
            new,
            id=id,
            outputs=plan.mark_secrets(outputs, new.inputs, new.additional_secret_outputs),
            init_errors=failure.reasons if failure else (),
            created=new.created if updating else stamp,
            modified=stamp,
        )
        self._record(ticket, done=[old] if old and not kept else [], add=state, amend=kept)
        if failure:
            raise self.fail(state, failure, op) from failure
        self._run_after("AfterUpdate" if updating else "AfterCreate", state, old)
        self._finish(op, state, old, diff)
        return state

    def _delete_first(self, old: ResourceState) -> None:
        """Deletes a resource that is about to be replaced, and before it those that its replacement
        replaces as well: they are made anew when the program registers them."""

        def would_be_replaced(state: ResourceState, inputs: Properties) -> bool:
            provider = self.provider(state.provider)
            return bool(self._diff(provider, state, inputs, state.ignore_changes).replaces)

        with self._lock:
            last = [self._olds.get(state.urn, state) for state in self._last]
            condemned = plan.replaced_with(old, last, self._registered, would_be_replaced)
        for state in condemned:
            if state.protect:
                raise EngineError(_PROTECTED.format(f'"{state.urn}" cannot be replaced'))
        condemned = [old, *condemned]
        for state in reversed(condemned):
            if not state.pending_replacement:
                self._delete(state, {s.urn for s in condemned}, pending_replacement=True)

    def _delete(
        self,
        state: ResourceState,
        doomed: Iterable[str],
        pending_replacement: bool = False,
        hooks: bool = True,
    ) -> None:
        """Deletes one resource; `pending_replacement` keeps it in state as one to be made anew."""
        self._check_running()
        replacing = state.delete or pending_replacement
        if visible := not _is_default(state):
            self._emit(Step("started", "delete", state, state, replacing=replacing))
        hooks = hooks and not state.pending_replacement
        if hooks:
            self.hooks.run("BeforeDelete", state, state)
        spared = (
            (not state.custom or state.is_provider or state.external or state.retain_on_delete)
            or state.pending_replacement
            or state.deleted_with in doomed
        )
        ticket = None
        if not self.preview and not spared:
            ticket = self._begin("deleting", state)
            request = self._request(
                state, "delete", id=state.id, inputs=state.inputs, old_outputs=state.outputs
            )

            def act() -> None:
                self.provider(state.provider).delete(request)

            try:
                self.hooks.attempt("delete", state, state, act)
            except AstroError as error:
                self._record(ticket)
                raise self.fail(state, error, "delete") from error
        if pending_replacement:
            gone = replace(state, pending_replacement=True)
            self._record(ticket, amend=(state, gone))
            with self._lock:
                self._olds[state.urn] = gone
        else:
            self._record(ticket, done=[state], lazily=spared)
        if hooks:
            self._run_after("AfterDelete", state, state)
        if visible:
            self._finish("delete", state, state, replacing=replacing)

    def _import(self, wanted: ResourceState, old: ResourceState | None) -> ResourceState:
        """Takes an object that exists under management, as it is; an old one makes room for it."""
        self._emit(Step("started", "import", wanted))
        found = self._must_find(wanted, id=wanted.import_id)
        stamp = now()
        state = replace(
            wanted,
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
        self._check_running()
        self._emit(Step("started", "refresh", old, old))
        if not old.custom or old.is_provider:  # it exists in state only
            self._finish("same", old, old)
            return
        provider = self.provider(old.provider)
        found = provider.read(
            self._request(old, id=old.id, inputs=old.inputs, old_outputs=old.outputs)
        )
        if found is None:
            self._record(done=[old])
            self._finish("delete", old, old)
            return
        inputs = plan.mark_secrets(found.inputs, old.inputs, ())
        outputs = plan.mark_secrets(found.outputs, old.inputs, old.additional_secret_outputs)
        new = replace(old, id=found.id, inputs=inputs, outputs=outputs)
        # As if `up` ran now, seen from the other side: what reality has and the program does not.
        diff = self._diff(provider, new, old.inputs, old.ignore_changes)
        if reveal([inputs, outputs]) != reveal([old.inputs, old.outputs]):
            new = replace(new, init_errors=(), modified=now())
            self._record(amend=(old, new))
        shown = DiffResult(diff.changes, detailed=plan.invert(diff.detailed))
        self._finish("update" if diff.changes else "same", new, old, shown)

    # -- helpers

    def _find_old(self, goal: Goal) -> ResourceState | None:
        urn = goal.wanted.urn
        if urn in self._registered:
            raise EngineError(f"Duplicate resource URN '{urn}'; try giving it a unique name")
        taken = {known: by for by, known in self._aliases.items()}
        if urn in taken:
            raise EngineError(
                f"Duplicate resource URN '{urn}' conflicting with alias on resource with URN '{taken[urn]}'"
            )
        for candidate in (urn, *plan.alias_urns(goal, self._aliases)):
            old = self._olds.get(candidate)
            if old and candidate != urn:
                if candidate in taken or candidate in self._registered:
                    raise EngineError(
                        f"Duplicate resource alias '{candidate}' applied to resource with URN '{urn}' "
                        f"conflicting with resource with URN '{taken.get(candidate, candidate)}'"
                    )
                self._aliases[urn] = candidate
            if old:
                return old
        return None

    def _find_made(self, state: ResourceState) -> ReadResult | None:
        """What a create made of which the end was not seen, if the provider can tell."""
        return self.provider(state.provider).recover(self._request(state, inputs=state.inputs))

    def _must_find(
        self, wanted: ResourceState, *, id: str, given: Properties | None = None
    ) -> ReadResult:
        given = given or {}
        request = self._request(wanted, id=id, inputs=given, old_outputs=given)
        found = self.provider(wanted.provider).read(request)
        if found is None:
            raise ResourceError(f"resource '{id}' does not exist")
        return found

    def _request(self, state: ResourceState, operation: str = "", **given: Any) -> Request:
        return Request(
            resource=Resource(state.urn, state.type, state.name),
            timeout=state.custom_timeouts.get(operation, 0),
            preview=self.preview,
            log=self._log(state.urn),
            **given,
        )

    def _check(
        self, provider: Provider, wanted: ResourceState, olds: Properties, news: Properties
    ) -> ResourceState:
        """`wanted` with its inputs completed by the provider."""
        result = provider.check(
            self._request(wanted, old_inputs=olds, inputs=news, random_seed=os.urandom(32))
        )
        if result.failures:
            who = f"{wanted.type} resource '{wanted.name}'"
            problems = [
                f"{who}: property {failure.property}: {failure.reason}"
                if failure.property
                else f"{who} has a problem: {failure.reason}"
                for failure in result.failures
            ]
            raise ResourceError("\n".join(problems))
        return replace(wanted, inputs=result.inputs)

    def _diff(
        self, provider: Provider, old: ResourceState, news: Properties, ignore: Sequence[str]
    ) -> DiffResult:
        return provider.diff(
            self._request(
                old,
                id=old.id,
                inputs=news,
                old_inputs=old.inputs,
                old_outputs=old.outputs,
                ignore_changes=ignore,
            )
        )

    def _run_after(self, kind: HookKind, state: ResourceState, old: ResourceState | None) -> None:
        """What was done stays done when a hook fails after it; the update goes no further."""
        try:
            self.hooks.run(kind, state, old)
        except AstroError as error:
            self.failed = True
            self.stopped.set()
            self._say("error", str(error), state.urn)

    def _begin(self, kind: str, state: ResourceState) -> Ticket | None:
        return self._journal.begin(kind, state) if self._journal else None

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
        self._emit(Step("finished", op, state, old, diff, replacing))

    def _check_running(self) -> None:
        if self.stopped.is_set():
            raise Stopped("the update was stopped")

    def _log(self, urn: str) -> Log:
        def log(severity: Severity, text: str) -> None:
            self._emit(Message(severity, text, urn, passing=severity == "info"))

        return log

    def _say(self, severity: Severity, text: str, urn: str = "") -> None:
        self._emit(Message(severity, text, urn))


_PROTECTED: Final = (
    "resource {}\nbecause it is protected. To unprotect the resource, remove the `protect` flag from the "
    "resource in your Pulumi program and run `up`"
)


_ELSEWHERE: Final = (
    "the provider's cluster is another one than in the last update. The Pulumi CLI makes everything anew "
    "there, and deletes it here; the embedded engine does not. Run `destroy` with the old configuration "
    "first, or, if it is the same cluster under another address, set the provider's clusterIdentifier "
    "before its kubeconfig changes"
)


def _configuration(inputs: Properties) -> Properties:
    """A provider's own settings, without what the engine keeps beside them."""
    return {key: value for key, value in inputs.items() if key not in ("version", "__internal")}


def _is_default(state: ResourceState) -> bool:
    """Whether it is a default provider, which the user never sees."""
    return state.is_provider and state.name.startswith("default")
