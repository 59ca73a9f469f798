"""What an update does to a stack's resources, seen from a program and a cloud."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.embedded.deployment import Deployment, Stopped
from astro_pulumi.embedded.events import Event, Message, Step
from astro_pulumi.embedded.hooks import Hook, HookCall
from astro_pulumi.embedded.journal import Journal
from astro_pulumi.embedded.plan import Goal
from astro_pulumi.embedded.secrets import Crypter
from astro_pulumi.embedded.state import Operation, ResourceState, Snapshot
from astro_pulumi.embedded.urns import make_urn
from astro_pulumi.embedded.values import UNKNOWN, Secret
from astro_pulumi.errors import EngineError, ResourceError
from tests.unit.embedded.cloud import Cloud

TYPE = "cloud:index:Thing"
STACK = make_urn("dev", "proj", "", "pulumi:pulumi:Stack", "proj-dev")


@dataclass
class Program:
    """Registers resources, as a program would through the SDK."""

    deployment: Deployment
    events: list[Event]

    def thing(
        self,
        name: str,
        /,
        *,
        parent: str = STACK,
        before: Any = None,
        aliases: Any = (),
        **options: Any,
    ) -> ResourceState:
        """Registers a resource; `inputs` are what is not an option."""
        names = ResourceState.__slots__
        inputs = {key: value for key, value in options.items() if key not in names}
        given = {key: value for key, value in options.items() if key in names}
        wanted = ResourceState(
            urn=make_urn("dev", "proj", parent, TYPE, name),
            type=TYPE,
            custom=True,
            inputs=inputs,
            parent=parent,
            provider=self.deployment.default_provider("cloud", "1.0.0"),
            **given,
        )
        return self.deployment.register(Goal(wanted, before, tuple(aliases)))

    def component(self, name: str, parent: str = STACK, aliases: Any = ()) -> str:
        """Registers a component. -> its URN."""
        urn = make_urn("dev", "proj", parent, "my:index:Component", name)
        wanted = ResourceState(urn=urn, type="my:index:Component", custom=False, parent=parent)
        return self.deployment.register(Goal(wanted, None, tuple(aliases))).urn


@dataclass
class Stack:
    """A stack between updates."""

    cloud: Cloud
    snapshot: Snapshot = field(default_factory=Snapshot)
    writes: int = 0
    written: dict[str, Any] = field(default_factory=dict)  # the checkpoint's resources by URN

    def up(self, body: Callable[[Program], object], *, recover: bool = True) -> Deployment:
        """Runs `body` as the program, then deletes the rest."""
        journal = Journal(self.snapshot, Crypter(bytes(32)), self._write)
        deployment, program = self._prepare(journal)
        try:
            if recover:
                deployment.recover(self.snapshot)
            self._run(deployment, program, body)
        finally:
            journal.close()
            self.snapshot = journal.current()
        self.events = program.events
        return deployment

    def preview(self, body: Callable[[Program], object]) -> Deployment:
        """As `up`, without doing it."""
        deployment, program = self._prepare(None)
        self._run(deployment, program, body)
        self.events = program.events
        return deployment

    def names(self) -> list[str]:
        """Names of the resources in state, without providers and the stack."""
        hidden = ("pulumi:pulumi:Stack", "pulumi:providers:cloud")
        return sorted(s.name for s in self.snapshot.resources if s.type not in hidden)

    def state(self, name: str) -> ResourceState:
        """One resource in state."""
        return next(s for s in self.snapshot.resources if s.name == name)

    def steps(self) -> list[str]:
        """What the last run did: `create a`."""
        return [
            f"{e.op} {e.resource.name}"
            for e in self.events
            if isinstance(e, Step) and e.phase == "finished" and e.op != "same"
        ]

    def errors(self) -> list[str]:
        """What the last run complained of."""
        return [e.text for e in self.events if isinstance(e, Message) and e.severity == "error"]

    def _prepare(self, journal: Journal | None) -> tuple[Deployment, Program]:
        events: list[Event] = []
        deployment = Deployment("proj", "dev", self.snapshot, journal, lambda _: {}, events.append)
        self.events = events
        return deployment, Program(deployment, events)

    def _run(
        self, deployment: Deployment, program: Program, body: Callable[[Program], object]
    ) -> None:
        if deployment.stopped.is_set():
            return
        stack = ResourceState(urn=STACK, type="pulumi:pulumi:Stack", custom=False)
        deployment.register(Goal(stack))
        try:
            body(program)
        except Stopped:
            return
        if not deployment.stopped.is_set():
            deployment.delete_rest()
        deployment.finish_stack()

    def _write(self, resources: list[str], pending: list[tuple[str, str]]) -> None:
        self.writes += 1
        self.written = {item["urn"]: item for item in map(json.loads, resources)}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    cloud = Cloud(tmp_path / "cloud")
    monkeypatch.setattr("astro_pulumi.embedded.deployment.make_provider", cloud.configured)
    return Stack(cloud)


def things(*names: str, **inputs: Any) -> Callable[[Program], None]:
    """A program of independent things."""

    def body(program: Program) -> None:
        for name in names:
            program.thing(name, **inputs)

    return body


def test_creates_updates_leaves_and_deletes(stack: Stack) -> None:
    stack.up(things("a", "b", size=1))
    assert stack.steps() == ["create proj-dev", "create a", "create b"]
    stack.up(things("a", size=1))
    assert stack.steps() == ["delete b"]
    stack.up(things("a", size=2))
    assert stack.steps() == ["update a"]
    assert [thing["size"] for thing in stack.cloud.objects().values()] == [2]


def test_nothing_to_do_writes_nothing(stack: Stack) -> None:
    def body(program: Program) -> None:
        thing = program.thing("a", size=1, password=Secret("s"))
        program.deployment.register_outputs(STACK, {"id": thing.id, "s": Secret("x")})

    stack.up(body)
    stack.writes = 0
    deployment = stack.up(body)
    assert stack.writes == 0
    assert dict(deployment.counts) == {"same": 2}


def test_deletes_dependents_first(stack: Stack) -> None:
    def body(program: Program) -> None:
        a = program.thing("a", sleep=0.05)
        b = program.thing("b", dependencies=(a.urn,), sleep=0.05)
        program.thing("c", dependencies=(b.urn,))

    stack.up(body)
    stack.cloud.calls.clear()
    stack.up(lambda _: None)
    assert stack.cloud.calls == ["delete c", "delete b", "delete a"]
    assert stack.names() == []


def test_independent_deletes_run_at_the_same_time(stack: Stack) -> None:
    stack.up(things(*"abcdefgh"))
    barrier = threading.Barrier(8, timeout=60)
    stack.cloud.delete = lambda *_: barrier.wait()  # type: ignore[method-assign,assignment]
    assert not stack.up(lambda _: None).failed


def test_replacement_is_made_before_the_old_one_is_deleted(stack: Stack) -> None:
    stack.up(things("a", fixed=1))
    stack.cloud.calls.clear()
    stack.up(things("a", fixed=2))
    assert stack.cloud.calls == ["create a", "delete a"]
    assert stack.steps() == ["replace a", "delete a"]
    assert len(stack.cloud.objects()) == 1
    assert stack.names() == ["a"]


def test_an_old_one_that_could_not_be_deleted_is_deleted_next_time(stack: Stack) -> None:
    stack.up(things("a", fixed=1))

    def crash(program: Program) -> None:
        program.thing("a", fixed=2)
        raise Stopped("killed before the deletes")

    stack.up(crash)
    assert [s.delete for s in stack.snapshot.resources if s.name == "a"] == [False, True]
    assert len(stack.cloud.objects()) == 2
    stack.up(things("a", fixed=2))
    assert stack.names() == ["a"]
    assert len(stack.cloud.objects()) == 1


def chain(fixed: int) -> Callable[[Program], None]:
    """c depends on b through a value that replaces it, b on a likewise; d only waits for a."""

    def body(program: Program) -> None:
        a = program.thing("a", fixed=fixed, exclusive=1)
        program.thing("d", dependencies=(a.urn,))
        b = program.thing("b", fixed=a.outputs["name"], **on(a))
        program.thing("c", fixed=b.outputs["name"], **on(b))

    def on(state: ResourceState) -> dict[str, Any]:
        return {"dependencies": (state.urn,), "property_dependencies": {"fixed": [state.urn]}}

    return body


def test_delete_before_replace_takes_those_along_that_would_be_replaced(stack: Stack) -> None:
    stack.up(chain(1))
    stack.cloud.calls.clear()
    stack.up(chain(2))
    assert stack.cloud.calls == [
        *("delete c", "delete b", "delete a"),
        *("create a", "create b", "create c"),
    ]
    assert stack.names() == ["a", "b", "c", "d"]


def test_dependents_deleted_early_and_not_wanted_any_more_are_forgotten(stack: Stack) -> None:
    stack.up(chain(1))
    stack.up(lambda program: program.thing("a", fixed=2, exclusive=1))
    assert stack.names() == ["a"]
    assert len(stack.cloud.objects()) == 1


def test_delete_before_replace_interrupted_in_the_middle(stack: Stack) -> None:
    stack.up(chain(1))

    def crash(program: Program) -> None:
        program.thing("a", fixed=2, exclusive=1)
        raise Stopped("killed")

    stack.up(crash)
    assert stack.state("b").pending_replacement
    stack.up(chain(2))
    assert not any(s.pending_replacement for s in stack.snapshot.resources)
    assert len(stack.cloud.objects()) == 4


@pytest.mark.parametrize("first", [True, False])
def test_the_program_may_choose_the_order_of_replacing(stack: Stack, first: bool) -> None:
    exclusive: Any = {} if first else {"exclusive": 1}
    stack.up(lambda program: program.thing("a", fixed=1, **exclusive))
    stack.cloud.calls.clear()
    stack.up(lambda program: program.thing("a", before=first, fixed=2, **exclusive))
    expected = ["delete a", "create a"] if first else ["create a", "delete a"]
    assert stack.cloud.calls == expected


def test_a_provider_that_leads_elsewhere_is_refused(stack: Stack) -> None:
    """Else everything would count as there."""

    def with_provider(**config: Any) -> Callable[[Program], None]:
        def body(program: Program) -> None:
            type_ = "pulumi:providers:cloud"
            urn = make_urn("dev", "proj", "", type_, "mine")
            program.deployment.register(
                Goal(ResourceState(urn=urn, type=type_, custom=True, inputs=config))
            )

        return body

    stack.up(with_provider(region="one", colour="red"))
    stack.up(with_provider(region="one", colour="blue"))
    assert stack.steps() == ["update mine"]
    stack.preview(with_provider(region="two", colour="blue"))
    assert "the provider's cluster is another one" in stack.errors()[0]


def test_protected_resources_are_not_deleted(stack: Stack) -> None:
    stack.up(things("a", protect=True))
    deployment = stack.up(things("b"))
    assert deployment.failed
    assert "protected" in stack.errors()[0]
    assert stack.names() == ["a", "b"]
    assert len(stack.cloud.objects()) == 2


def test_protected_resources_are_not_replaced(stack: Stack) -> None:
    stack.up(things("a", protect=True, fixed=1))
    assert stack.up(things("a", protect=True, fixed=2)).failed
    assert [thing["fixed"] for thing in stack.cloud.objects().values()] == [1]


def test_protection_may_be_lifted_with_the_replacement(stack: Stack) -> None:
    stack.up(things("a", protect=True, fixed=1))
    assert not stack.up(things("a", fixed=2)).failed


def test_retained_resources_stay_in_the_cloud(stack: Stack) -> None:
    stack.up(things("a", retain_on_delete=True, fixed=1))
    stack.up(things("a", retain_on_delete=True, fixed=2))
    assert len(stack.cloud.objects()) == 2
    stack.up(lambda _: None)
    assert len(stack.cloud.objects()) == 2
    assert stack.names() == []


def test_ignored_changes(stack: Stack) -> None:
    stack.up(things("a", size=1, color="red"))
    stack.up(things("a", size=2, color="blue", ignore_changes=("size",)))
    assert stack.state("a").inputs["size"] == 1
    assert stack.state("a").inputs["color"] == "blue"


def test_replace_on_changes(stack: Stack) -> None:
    stack.up(things("a", size=1))
    stack.up(things("a", size=2, replace_on_changes=("size",)))
    assert stack.steps() == ["replace a", "delete a"]


def test_replacement_trigger(stack: Stack) -> None:
    stack.up(things("a", replacement_trigger="x"))
    stack.up(things("a", replacement_trigger="x"))
    assert stack.steps() == []
    stack.up(things("a", replacement_trigger="y"))
    assert stack.steps() == ["replace a", "delete a"]
    stack.up(things("a"))
    assert stack.steps() == []


def test_an_alias_renames(stack: Stack) -> None:
    stack.up(things("a"))
    stack.up(lambda program: program.thing("b", aliases=[{"name": "a"}]))
    assert stack.steps() == []
    assert stack.names() == ["b"]
    state = stack.written[make_urn("dev", "proj", "", TYPE, "b")]
    assert "aliases" not in state  # as Pulumi leaves it


def test_what_an_alias_names_is_taken(stack: Stack) -> None:
    """Else two resources would share one object."""

    def both(program: Program) -> None:
        program.thing("b", aliases=[{"name": "a"}])
        program.thing("a")

    def twice(program: Program) -> None:
        program.thing("b", aliases=[{"name": "a"}])
        program.thing("c", aliases=[{"name": "a"}])

    stack.up(things("a"))
    stack.preview(both)
    a, b = (make_urn("dev", "proj", "", TYPE, name) for name in "ab")
    assert f"'{a}' conflicting with alias on resource with URN '{b}'" in stack.errors()[0]
    stack.preview(twice)
    assert f"conflicting with resource with URN '{b}'" in stack.errors()[0]


def test_children_follow_their_parents_alias(stack: Stack) -> None:
    def old(program: Program) -> None:
        program.thing("one-child", parent=program.component("one"))

    def new(program: Program) -> None:
        program.thing("two-child", parent=program.component("two", aliases=[{"name": "one"}]))

    stack.up(old)
    stack.up(new)
    assert stack.steps() == []
    assert stack.names() == ["two", "two-child"]


def test_children_that_were_not_reached_follow_a_renamed_parent(stack: Stack) -> None:
    """Else the state would name a parent that is not there, and the next run not know the child."""

    def old(program: Program) -> None:
        child = program.thing("child", parent=program.component("c"))
        program.thing("other", dependencies=(child.urn,))

    def fails(program: Program) -> None:
        outer = program.component("outer")
        program.component("c", parent=outer, aliases=[{"noParent": "true"}])
        program.thing("bad", fail="no")

    stack.up(old)
    stack.up(fails)

    outer = make_urn("dev", "proj", "", "my:index:Component", "outer")
    component = make_urn("dev", "proj", outer, "my:index:Component", "c")
    child = make_urn("dev", "proj", component, TYPE, "child")
    assert stack.written[child]["parent"] == component
    assert stack.written[make_urn("dev", "proj", "", TYPE, "other")]["dependencies"] == [child]


def test_an_alias_may_name_a_parent_that_has_one(stack: Stack) -> None:
    def old(program: Program) -> None:
        program.thing("child", parent=program.component("one"))

    def new(program: Program) -> None:
        two = program.component("two", aliases=[{"name": "one"}])
        program.thing("moved", aliases=[{"parentUrn": two, "name": "child"}])

    stack.up(old)
    stack.up(new)
    assert stack.steps() == []
    assert stack.names() == ["moved", "two"]


def test_a_resource_moves_into_a_component(stack: Stack) -> None:
    stack.up(things("a"))
    stack.up(
        lambda program: program.thing(
            "a", parent=program.component("c"), aliases=[{"noParent": "true"}]
        )
    )
    assert stack.steps() == ["create c"]


def test_additional_secret_outputs_and_secret_inputs_are_secret(stack: Stack) -> None:
    stack.up(
        lambda program: program.thing(
            "a", color="red", deep={"x": Secret("y"), "z": 1}, additional_secret_outputs=("color",)
        )
    )
    outputs = stack.state("a").outputs
    assert outputs["color"] == Secret("red")
    assert outputs["deep"] == {"x": Secret("y"), "z": 1}


def test_custom_timeouts_reach_the_provider(stack: Stack) -> None:
    stack.up(things("a", custom_timeouts={"create": 90}))
    assert stack.cloud.timeouts == {"a": 90}


def test_deleted_with(stack: Stack) -> None:
    def body(program: Program) -> None:
        a = program.thing("a")
        program.thing("b", deleted_with=a.urn, dependencies=(a.urn,))

    stack.up(body)
    stack.cloud.calls.clear()
    stack.up(lambda _: None)
    assert stack.cloud.calls == ["delete a"]
    assert stack.names() == []


def test_replaced_with(stack: Stack) -> None:
    def body(fixed: int) -> Callable[[Program], None]:
        def run(program: Program) -> None:
            a = program.thing("a", fixed=fixed)
            program.thing("b", replace_with=(a.urn,), dependencies=(a.urn,))

        return run

    stack.up(body(1))
    stack.up(body(2))
    assert [s for s in stack.steps() if s.startswith("replace")] == ["replace a", "replace b"]


def test_import_takes_over_what_exists(stack: Stack) -> None:
    (stack.cloud.directory / "there").write_text('{"name": "there", "size": 1}')
    stack.up(things("a", import_id="there", name="there", size=1))
    assert stack.steps() == ["create proj-dev", "import a"]
    assert stack.state("a").id == "there"
    stack.up(things("a", import_id="there", name="there", size=1))
    assert stack.steps() == []
    stack.up(things("a", name="there", size=2))
    assert stack.steps() == ["update a"]


def test_what_was_read_may_be_imported(stack: Stack) -> None:
    stack.cloud.directory.joinpath("there").write_text(json.dumps({"name": "there", "size": 1}))
    stack.up(
        lambda program: program.deployment.read(
            ResourceState(
                urn=make_urn("dev", "proj", STACK, TYPE, "a"),
                type=TYPE,
                custom=True,
                id="there",
                provider=program.deployment.default_provider("cloud", "1.0.0"),
            )
        )
    )
    stack.up(lambda program: program.thing("a", name="there", size=1, import_id="there"))
    assert [state.external for state in stack.snapshot.resources if state.name == "a"] == [False]
    assert stack.cloud.calls == []


def test_import_of_what_does_not_exist(stack: Stack) -> None:
    assert stack.up(things("a", import_id="nowhere")).failed
    assert stack.errors() == ["resource 'nowhere' does not exist"]


def test_get_reads_and_does_not_manage(stack: Stack) -> None:
    (stack.cloud.directory / "there").write_text('{"name": "there", "size": 1}')

    def body(program: Program) -> None:
        deployment = program.deployment
        wanted = ResourceState(
            urn=deployment.urn(TYPE, "r", STACK),
            type=TYPE,
            custom=True,
            id="there",
            parent=STACK,
            provider=deployment.default_provider("cloud", "1.0.0"),
        )
        assert deployment.read(wanted).outputs["size"] == 1

    stack.up(body)
    stack.up(lambda _: None)
    assert stack.names() == []
    assert list(stack.cloud.objects()) == ["there"]


def test_a_failure_lets_others_finish_and_deletes_nothing(stack: Stack) -> None:
    stack.up(things("old"))

    def body(program: Program) -> None:
        slow = threading.Thread(target=program.thing, args=("slow",), kwargs={"sleep": 0.2})
        slow.start()
        while "create slow" not in stack.cloud.calls:
            pass
        with pytest.raises(Stopped):
            program.thing("broken", fail="no room")
        with pytest.raises(Stopped):
            program.thing("later")
        slow.join()

    deployment = stack.up(body)
    assert deployment.failed
    assert stack.errors() == ["no room"]
    assert stack.names() == ["old", "slow"]
    assert len(stack.cloud.objects()) == 2
    assert stack.snapshot.pending == ()


def test_what_did_not_become_ready_is_kept_and_taken_up_again(stack: Stack) -> None:
    assert stack.up(things("a", unready="image cannot be pulled")).failed
    assert stack.errors() == ["image cannot be pulled"]
    assert stack.state("a").init_errors == ("image cannot be pulled",)
    stack.cloud.calls.clear()
    assert stack.up(things("a", unready="image cannot be pulled")).failed
    assert stack.cloud.calls == ["update a"]
    assert not stack.up(things("a")).failed
    assert stack.state("a").init_errors == ()


def test_refused_arguments_name_resource_and_property(stack: Stack) -> None:
    assert stack.up(things("a", bad=1)).failed
    assert stack.errors() == [f"{TYPE} resource 'a': property bad: is bad"]


def test_two_resources_of_the_same_name(stack: Stack) -> None:
    assert stack.up(things("a", "a")).failed
    assert "Duplicate resource URN" in stack.errors()[0]


def test_an_undeletable_resource_stays_in_state(stack: Stack) -> None:
    stack.up(things("a", undeletable=True))
    assert stack.up(lambda _: None).failed
    assert stack.names() == ["a"]


def test_preview_changes_nothing_and_knows_what_it_cannot_know(stack: Stack) -> None:
    stack.up(things("a", fixed=1))
    writes, objects = stack.writes, stack.cloud.objects()

    def body(program: Program) -> None:
        a = program.thing("a", fixed=2)
        assert a.outputs["serial"] is UNKNOWN
        b = program.thing("b", serial=a.outputs["serial"])
        assert (b.id, b.outputs["serial"]) == ("", UNKNOWN)

    deployment = stack.preview(body)
    assert dict(deployment.counts) == {"same": 1, "replace": 1, "create": 1}
    assert stack.steps() == ["replace a", "create b", "delete a"]
    assert (stack.writes, stack.cloud.objects()) == (writes, objects)


def test_a_create_of_which_the_end_was_not_seen_is_found_again(stack: Stack) -> None:
    seen: list[Snapshot] = []

    def body(program: Program) -> None:
        program.thing("a", size=1)

    journal_begin = Journal.begin

    def remember(journal: Journal, kind: str, state: ResourceState) -> Any:
        ticket = journal_begin(journal, kind, state)
        seen.append(journal.current())
        return ticket

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "begin", remember)
        stack.up(body)
    killed = seen[-1]
    assert [operation.kind for operation in killed.pending] == ["creating"]
    stack.snapshot = killed
    assert not stack.up(body).failed
    assert stack.names() == ["a"]
    assert len(stack.cloud.objects()) == 1
    assert stack.snapshot.pending == ()
    stack.snapshot = killed
    stack.up(lambda _: None)
    assert stack.cloud.objects() == {}


def test_a_create_that_never_happened_is_forgotten(stack: Stack) -> None:
    def body(program: Program) -> None:
        program.thing("a", fail="killed")

    stack.up(things("b"))
    stack.up(body)
    assert stack.snapshot.pending == ()
    assert stack.names() == ["b"]


def test_cancel_reaches_the_provider(stack: Stack) -> None:
    def body(program: Program) -> None:
        threading.Timer(0.1, program.deployment.cancel).start()
        program.thing("a", sleep=30)

    assert stack.up(body).failed
    assert stack.errors() == ["it was cancelled"]


def test_refresh_takes_over_changes_and_losses(stack: Stack) -> None:
    def body(program: Program) -> None:
        b = program.thing("b", size=1)
        deps = {"size": [b.urn]}
        program.thing("a", size=1, dependencies=(b.urn,), property_dependencies=deps)

    stack.up(body)
    (stack.cloud.directory / stack.state("a").id).write_text(
        f'{{"name": "{stack.state("a").id}", "size": 5}}'
    )
    (stack.cloud.directory / stack.state("b").id).unlink()
    journal = Journal(stack.snapshot, Crypter(bytes(32)), lambda *_: None)
    deployment = Deployment("proj", "dev", stack.snapshot, journal, lambda _: {}, lambda _: None)
    deployment.refresh()
    journal.close()
    stack.snapshot = journal.current()
    assert dict(deployment.counts) == {"update": 1, "delete": 1, "same": 1}  # the stack itself
    assert stack.state("a").inputs["size"] == 5
    assert stack.names() == ["a"]
    assert stack.state("a").needs() <= {s.urn for s in stack.snapshot.resources}


def test_outputs_of_components_are_recorded(stack: Stack) -> None:
    def body(program: Program) -> None:
        urn = program.component("c")
        program.deployment.register_outputs(urn, {"x": 1})

    stack.up(body)
    assert stack.state("c").outputs == {"x": 1}


def test_what_fails_many_resources_is_said_once(stack: Stack) -> None:
    def body(program: Program) -> None:
        threads = [
            threading.Thread(target=fails, args=(program, name), daemon=True) for name in "abc"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def fails(program: Program, name: str) -> None:
        with pytest.raises(Stopped):
            program.thing(name, sleep=0.1, fail="the cluster cannot be reached")

    assert stack.up(body).failed
    assert stack.errors() == ["the cluster cannot be reached"]


def test_recovery_that_fails_keeps_what_is_pending(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.up(things("a"))
    stack.snapshot = Snapshot(stack.snapshot.resources, (Operation("creating", stack.state("a")),))

    def unreachable(*_: object) -> None:
        raise ResourceError("the cluster cannot be reached")

    monkeypatch.setattr(stack.cloud, "recover", unreachable)
    assert stack.up(things("a")).failed
    assert len(stack.snapshot.pending) == 1


def test_what_was_made_before_an_error_is_not_lost(stack: Stack) -> None:
    assert stack.up(things("a", broken="connection lost")).failed
    assert stack.errors() == ["connection lost"]
    assert stack.state("a").init_errors == ("connection lost",)
    assert not stack.up(things("a")).failed
    assert len(stack.cloud.objects()) == 1


def test_when_nobody_knows_what_was_made_it_stays_pending(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise ResourceError("the cluster cannot be reached")

    with monkeypatch.context() as patch:
        patch.setattr(stack.cloud, "recover", unreachable)
        assert stack.up(things("a", broken="connection lost")).failed
    assert [operation.kind for operation in stack.snapshot.pending] == ["creating"]
    assert not stack.up(things("a")).failed
    assert (len(stack.cloud.objects()), stack.snapshot.pending) == (1, ())


class TestHooks:
    """What hooks are told, and what they may do."""

    @pytest.fixture
    def heard(self) -> list[HookCall]:
        """What hooks were called with."""
        return []

    @staticmethod
    def body(heard: list[HookCall], size: int, *failing: str, **options: Any) -> Any:
        """A program with one thing and one hook of each kind, named after it."""

        def body(program: Program) -> None:
            for name in ("before", "after", "deleting", "deleted"):

                def call(told: HookCall, name: str = name) -> bool:
                    heard.append(told)
                    if name in failing:
                        raise EngineError(f"{name} says no")
                    return False

                program.deployment.hooks.register(Hook(name, call, **options))
            hooks = {
                "BeforeCreate": ["before"],
                "AfterCreate": ["after"],
                "BeforeUpdate": ["before"],
                "AfterUpdate": ["after"],
                "BeforeDelete": ["deleting"],
                "AfterDelete": ["deleted"],
            }
            if size:
                program.thing("a", size=size, resource_hooks=hooks)

        return body

    def test_each_is_told_what_applies(self, stack: Stack, heard: list[HookCall]) -> None:
        for size in (1, 2, 2, 0):
            assert not stack.up(self.body(heard, size)).failed
        names = ("new_inputs", "new_outputs", "old_inputs", "old_outputs")
        told = [
            (bool(call.id), *((getattr(call, name) or {}).get("size") for name in names))
            for call in heard
        ]
        assert told == [
            (False, 1, None, None, None),
            (True, 1, 1, None, None),
            (True, 2, None, 1, 1),
            (True, 2, 2, 1, 1),
            (True, None, None, 2, 2),
            (True, None, None, 2, 2),
        ]
        assert {(call.name, call.type) for call in heard} == {("a", TYPE)}

    def test_in_a_preview_only_those_that_want_to(
        self, stack: Stack, heard: list[HookCall]
    ) -> None:
        stack.preview(self.body(heard, 1))
        assert heard == []
        stack.preview(self.body(heard, 1, on_dry_run=True))
        assert len(heard) == 2
        assert heard[1].new_outputs and heard[1].new_outputs["serial"] is UNKNOWN

    def test_one_that_fails_before_prevents_the_step(
        self, stack: Stack, heard: list[HookCall]
    ) -> None:
        assert stack.up(self.body(heard, 1, "before")).failed
        assert stack.errors() == ['before hook "before" failed: before says no']
        assert stack.names() == [] and stack.cloud.objects() == {}
        assert stack.snapshot.pending == ()
        stack.up(self.body(heard, 1))
        assert stack.up(self.body(heard, 0, "deleting")).failed
        assert stack.names() == ["a"]

    def test_one_that_fails_after_fails_the_update_and_undoes_nothing(
        self, stack: Stack, heard: list[HookCall]
    ) -> None:
        def body(program: Program) -> None:
            self.body(heard, 1, "after")(program)
            program.thing("b")

        assert stack.up(body).failed
        assert stack.errors() == ['after hook "after" failed: after says no']
        assert stack.names() == ["a"]
        assert stack.state("a").init_errors == ()
        assert stack.up(self.body(heard, 0, "deleted")).failed
        assert stack.names() == []

    def test_failures_may_be_warnings(self, stack: Stack, heard: list[HookCall]) -> None:
        deployment = stack.up(self.body(heard, 1, "before", "after", ignore_errors=True))
        assert not deployment.failed
        said = [e.text for e in stack.events if isinstance(e, Message)]
        assert 'BeforeCreate hook "before" failed: before says no' in said

    def test_of_a_component_run_when_its_outputs_are_known(
        self, stack: Stack, heard: list[HookCall]
    ) -> None:
        counts: list[int] = []

        def body(program: Program) -> None:
            def call(told: HookCall) -> bool:
                heard.append(told)
                return False

            program.deployment.hooks.register(Hook("h", call))
            urn = make_urn("dev", "proj", STACK, "my:index:Component", "c")
            hooks = {"BeforeCreate": ["h"], "AfterCreate": ["h"]}
            wanted = ResourceState(
                urn=urn, type="my:index:Component", custom=False, resource_hooks=hooks
            )
            program.deployment.register(Goal(wanted))
            program.thing("a", parent=urn)
            counts.append(len(heard))
            program.deployment.register_outputs(urn, {"url": "u"})

        stack.up(body)
        assert [call.new_outputs for call in heard] == [None, {"url": "u"}]
        stack.up(body)
        assert counts == [1, 2]
        assert len(heard) == 2

    def test_a_step_is_tried_again_while_an_error_hook_wants_it(self, stack: Stack) -> None:
        answers = [True, True, False]
        heard: list[HookCall] = []

        def call(told: HookCall) -> bool:
            heard.append(told)
            return answers.pop(0)

        def body(program: Program) -> None:
            program.deployment.hooks.register(Hook("again", call, is_error_hook=True))
            program.thing("a", fail="no room", resource_hooks={"OnError": ["again"]})

        assert stack.up(body).failed
        assert stack.cloud.calls == ["create a"] * 3
        assert [(told.failed_operation, len(told.errors)) for told in heard] == [
            ("create", 1),
            ("create", 2),
            ("create", 3),
        ]
        assert stack.errors() == ["no room"]

    def test_names_are_unique_and_known(self, stack: Stack) -> None:
        def twice(program: Program) -> None:
            hook = Hook("h", lambda _: False)
            program.deployment.hooks.register(hook)
            with pytest.raises(EngineError, match="already registered"):
                program.deployment.hooks.register(hook)
            program.thing("a", resource_hooks={"BeforeCreate": ["g"]})

        assert stack.up(twice).failed
        assert stack.errors() == ['hook "g" was not registered']
