"""What to do with a resource, decided: pure functions from old and new state to a step.

The rules are those of Pulumi's step generator (`pkg/resource/deploy/step_generator.go`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from astro_pulumi.embedded import paths, urns
from astro_pulumi.embedded.provider import DiffKind, DiffResult
from astro_pulumi.embedded.state import ResourceState
from astro_pulumi.embedded.values import UNKNOWN, Properties, Secret, Value, has_secret, reveal

Op = Literal["same", "create", "update", "replace", "delete", "read", "refresh", "import"]

_INIT_ERROR_PATH = paths.parse("#initerror")


@dataclass(frozen=True, slots=True)
class Goal:
    """What the program asks for: a registration with its options resolved."""

    type: str
    name: str
    custom: bool
    inputs: Properties
    parent: str = ""
    protect: bool = False
    dependencies: tuple[str, ...] = ()
    provider: str = ""  # reference <urn>::<id>
    property_dependencies: Mapping[str, list[str]] = field(default_factory=dict)
    delete_before_replace: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()  # URNs
    import_id: str = ""
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)
    replace_on_changes: tuple[str, ...] = ()
    replacement_trigger: Value = None
    retain_on_delete: bool = False
    deleted_with: str = ""
    replace_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """A step and why it is taken."""

    op: Op
    diff: DiffResult
    delete_first: bool = False


def new_state(goal: Goal, urn: str, inputs: Properties, old: ResourceState | None) -> ResourceState:
    """The state that the goal leads to, before anything was done: without id and outputs."""
    alias = old.urn if old and old.urn != urn else ""
    return ResourceState(
        urn=urn,
        type=goal.type,
        custom=goal.custom,
        inputs=inputs,
        parent=goal.parent,
        protect=goal.protect,
        dependencies=goal.dependencies,
        provider=goal.provider,
        property_dependencies=goal.property_dependencies,
        additional_secret_outputs=goal.additional_secret_outputs,
        aliases=(alias,) if alias else (),
        custom_timeouts=goal.custom_timeouts,
        import_id=goal.import_id,
        retain_on_delete=goal.retain_on_delete,
        deleted_with=goal.deleted_with,
        replace_with=goal.replace_with,
        created=old.created if old else "",
        modified=old.modified if old else "",
        ignore_changes=goal.ignore_changes,
        replace_on_changes=goal.replace_on_changes,
        replacement_trigger=goal.replacement_trigger,
    )


def decide(
    goal: Goal, old: ResourceState, diff: DiffResult, replaced: Collection[str] = ()
) -> Decision:
    """What to do with a resource that exists. `replaced`: URNs that are replaced in this update."""
    diff = _with_replace_on_changes(diff, goal.replace_on_changes, bool(old.init_errors))
    reasons = list(diff.replaces)
    if _trigger_changed(old.replacement_trigger, goal.replacement_trigger):
        reasons.append("replacementTrigger")
    cascade = (*goal.replace_with, goal.deleted_with)
    reasons += [urns.name_of(urn) for urn in cascade if urn in replaced]
    if reasons or old.pending_replacement:
        first = diff.delete_before_replace
        if goal.delete_before_replace is not None:
            first = goal.delete_before_replace
        return Decision("replace", replace(diff, changes=True, replaces=tuple(reasons)), first)
    if diff.changes or old.init_errors:
        return Decision("update", diff)
    return Decision("same", diff)


def alias_urns(
    stack: str,
    project: str,
    goal_type: str,
    name: str,
    parent: str,
    aliases: Iterable[Mapping[str, str] | str],
    parent_alias: str,
) -> tuple[str, ...]:
    """URNs under which the resource may be known: its own aliases, and those it has since its parent
    was known as `parent_alias`."""
    own = [_alias_urn(stack, project, goal_type, name, parent, alias) for alias in aliases]
    inherited: list[str] = []
    if parent_alias:
        for urn in [urns.make_urn(stack, project, parent, goal_type, name), *own]:
            child = urns.name_of(urn)
            parent_name = urns.name_of(parent)
            if child.startswith(parent_name):
                child = urns.name_of(parent_alias) + child.removeprefix(parent_name)
            inherited.append(urns.make_urn(stack, project, parent_alias, urns.type_of(urn), child))
    return tuple(dict.fromkeys([*own, *inherited]))


def _alias_urn(
    stack: str, project: str, type: str, name: str, parent: str, alias: Mapping[str, str] | str
) -> str:
    if isinstance(alias, str):
        return alias
    parent = "" if alias.get("noParent") else alias.get("parentUrn") or parent
    return urns.make_urn(
        alias.get("stack") or stack,
        alias.get("project") or project,
        parent,
        alias.get("type") or type,
        alias.get("name") or name,
    )


def replaced_with(
    root: ResourceState,
    resources: Sequence[ResourceState],
    registered: Collection[str],
    would_replace: Callable[[ResourceState, Properties], bool],
) -> list[ResourceState]:
    """Resources that must be deleted before `root` is, since its replacement replaces them too: in
    dependency order. `resources` are those of the last run, in order; `registered` ones of this run
    cannot depend on the root. `would_replace` asks the provider about inputs that become unknown."""
    doomed = {root.urn}
    found: list[ResourceState] = []
    for state in resources:
        if state is root or state.delete or not state.custom or state.external:
            continue
        if state.urn in registered or not (state.needs() & doomed):
            continue
        by_provider = state.provider and urns.split_reference(state.provider)[0] in doomed
        if (
            not by_provider
            and state.deleted_with not in doomed
            and not {*state.replace_with} & doomed
        ):
            inputs = {
                key: UNKNOWN if doomed & {*state.property_dependencies.get(key, ())} else value
                for key, value in state.inputs.items()
            }
            if UNKNOWN not in inputs.values() or not would_replace(state, inputs):
                continue
        doomed.add(state.urn)
        found.append(state)
    return found


def delete_order(condemned: Sequence[ResourceState]) -> dict[int, set[int]]:
    """For each condemned resource (by position), those that must be gone before it is deleted: what
    depends on it."""
    by_urn: dict[str, list[int]] = {}
    for i, state in enumerate(condemned):
        by_urn.setdefault(state.urn, []).append(i)
    blockers: dict[int, set[int]] = {i: set() for i in range(len(condemned))}
    for i, state in enumerate(condemned):
        for urn in state.needs():
            for j in by_urn.get(urn, ()):
                # Two generations of a resource may name each other's URN: the later one goes first.
                if j != i and i not in _reachable(blockers, i, j):
                    blockers[j].add(i)
    return blockers


def _reachable(blockers: Mapping[int, set[int]], start: int, goal: int) -> set[int]:
    """{start} if `goal` must already be gone before `start`: the edge would close a circle."""
    seen: set[int] = set()
    todo = [start]
    while todo:
        i = todo.pop()
        if i == goal:
            return {start}
        if i not in seen:
            seen.add(i)
            todo += blockers[i]
    return set()


def mark_secrets(outputs: Properties, inputs: Properties, additional: Iterable[str]) -> Properties:
    """Outputs in which is secret what was secret as an input of the same name, or is declared so."""
    declared = {*additional}
    return {
        key: Secret(reveal(value))
        if not isinstance(value, Secret)
        and (key in declared or isinstance(inputs.get(key), Secret))
        else value
        if has_secret(value)
        else _like(value, inputs.get(key))
        for key, value in outputs.items()
    }


def _like(value: Value, model: Value) -> Value:
    """`value` with the secrets that `model` has at the same places."""
    if isinstance(model, Secret):
        return Secret(value)
    if isinstance(value, dict) and isinstance(model, dict) and has_secret(model):
        return {key: _like(item, model.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(model, list) and has_secret(model):
        return [_like(v, m) for v, m in zip(value, model, strict=False)] + value[len(model) :]
    return value


def invert(kinds: Mapping[str, DiffKind]) -> dict[str, DiffKind]:
    """A diff seen from the other side: what a refresh shows."""
    opposite: dict[str, DiffKind] = {"ADD": "DELETE", "DELETE": "ADD"}
    return {
        path: opposite.get(kind.removesuffix("_REPLACE"), "UPDATE") for path, kind in kinds.items()
    }


def _with_replace_on_changes(
    diff: DiffResult, wanted: Sequence[str], has_init_errors: bool
) -> DiffResult:
    if not wanted or not (diff.changes or has_init_errors):
        return diff
    outer = [paths.parse(path) for path in wanted]
    detailed: dict[str, DiffKind] = {}
    replaces = list(diff.replaces)
    for path, kind in diff.detailed.items():
        detailed[path] = kind
        if any(paths.contains(each, paths.parse(path)) for each in outer):
            if not kind.endswith("_REPLACE"):
                detailed[path] = f"{kind}_REPLACE"  # type: ignore[assignment]
            replaces.append(path)
    if has_init_errors and any(paths.contains(each, _INIT_ERROR_PATH) for each in outer):
        replaces.append("#initerror")
    return replace(diff, detailed=detailed, replaces=tuple(dict.fromkeys(replaces)))


def _trigger_changed(old: Value, new: Value) -> bool:
    if new is None or (old is None and new is None):
        return False
    if old is None:
        return False  # first time that a trigger is given: Pulumi records it
    return new is UNKNOWN or reveal(old) != reveal(new)
