"""What to do with a resource, decided: pure functions from old and new state to a step.

The rules are those of Pulumi's step generator (`pkg/resource/deploy/step_generator.go`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from astro_pulumi.embedded import paths, urns
from astro_pulumi.embedded.provider import DiffKind, DiffResult
from astro_pulumi.embedded.state import ResourceState
from astro_pulumi.embedded.values import UNKNOWN, Properties, Secret, Value, reveal

Op = Literal["same", "create", "update", "replace", "delete", "read", "refresh", "import"]

_INIT_ERROR_PATH = paths.parse("#initerror")


@dataclass(frozen=True, slots=True)
class Goal:
    """What the program asks for. `wanted` is the resource as it is to be: inputs as the program gave
    them, without id, outputs and times."""

    wanted: ResourceState
    delete_before_replace: bool | None = None
    aliases: tuple[Mapping[str, str] | str, ...] = ()  # URNs, or what differs from the resource's


@dataclass(frozen=True, slots=True)
class Decision:
    """A step and why it is taken."""

    op: Op
    diff: DiffResult
    delete_first: bool = False


def decide(
    goal: Goal, old: ResourceState, diff: DiffResult, replaced: Collection[str] = ()
) -> Decision:
    """What to do with a resource that exists. `replaced`: URNs that are replaced in this update."""
    wanted = goal.wanted
    diff = _with_replace_on_changes(diff, wanted.replace_on_changes, bool(old.init_errors))
    reasons = list(diff.replaces)
    if _trigger_changed(old.replacement_trigger, wanted.replacement_trigger):
        reasons.append("replacementTrigger")
    if any(urn in replaced for urn in wanted.replace_with):
        reasons.append("replaceWith")
    if wanted.deleted_with in replaced:
        reasons.append("deletedWith")
    if reasons or old.pending_replacement:
        first = diff.delete_before_replace
        if goal.delete_before_replace is not None:
            first = goal.delete_before_replace
        return Decision("replace", replace(diff, changes=True, replaces=tuple(reasons)), first)
    return Decision("update" if diff.changes or old.init_errors else "same", diff)


def alias_urns(goal: Goal, aliases: Mapping[str, str]) -> tuple[str, ...]:
    """URNs under which the resource may be known: its own aliases, and those it has since its parent
    was known under another one. `aliases`: URNs of this run to those of the last."""
    wanted = goal.wanted
    parent_alias = aliases.get(wanted.parent, "")
    own = [_alias_urn(wanted, alias, aliases) for alias in goal.aliases]
    inherited: list[str] = []
    for urn in [wanted.urn, *own] if parent_alias else ():
        child, parent = urns.name_of(urn), urns.name_of(wanted.parent)
        if child.startswith(parent):
            child = urns.name_of(parent_alias) + child.removeprefix(parent)
        stack, project = urns.stack_and_project(urn)
        inherited.append(urns.make_urn(stack, project, parent_alias, urns.type_of(urn), child))
    return tuple(dict.fromkeys([*own, *inherited]))


def _alias_urn(
    wanted: ResourceState, alias: Mapping[str, str] | str, aliases: Mapping[str, str]
) -> str:
    if isinstance(alias, str):
        return alias
    stack, project = urns.stack_and_project(wanted.urn)
    parent = alias.get("parentUrn", "")
    return urns.make_urn(
        alias.get("stack") or stack,
        alias.get("project") or project,
        "" if alias.get("noParent") else aliases.get(parent, parent) or wanted.parent,
        alias.get("type") or wanted.type,
        alias.get("name") or wanted.name,
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


def with_present_urns(resources: Sequence[ResourceState]) -> Sequence[ResourceState]:
    """Resources of which none is named as it was before this run: of those that were not reached yet,
    what they need, and their own URN where their parent's type is in it, follow the aliases."""
    present: dict[str, str] = {}
    for state in resources:
        present.update(dict.fromkeys(state.aliases, state.urn))
        parent = present.get(state.parent, "")
        if parent and urns.type_of(parent) != urns.STACK_TYPE:
            stack, project = urns.stack_and_project(state.urn)
            present[state.urn] = urns.make_urn(stack, project, parent, state.type, state.name)
    if not present:
        return resources

    def now(urn: str) -> str:
        return present.get(urn, urn)

    def renamed(state: ResourceState) -> ResourceState:
        if state.urn not in present and not present.keys() & {*state.needs(), *state.replace_with}:
            return state
        provider, id = urns.split_reference(state.provider)
        return replace(
            state,
            urn=now(state.urn),
            parent=now(state.parent),
            dependencies=tuple(map(now, state.dependencies)),
            property_dependencies={
                key: [*map(now, urn_list)] for key, urn_list in state.property_dependencies.items()
            },
            deleted_with=now(state.deleted_with),
            replace_with=tuple(map(now, state.replace_with)),
            provider=f"{now(provider)}::{id}" if provider else "",
        )

    return [renamed(state) for state in resources]


def forget_others(state: ResourceState, known: Collection[str]) -> ResourceState:
    """A resource that no longer names any but the `known` ones."""
    return replace(
        state,
        dependencies=tuple(urn for urn in state.dependencies if urn in known),
        property_dependencies={
            key: [urn for urn in urn_list if urn in known]
            for key, urn_list in state.property_dependencies.items()
        },
        deleted_with=state.deleted_with if state.deleted_with in known else "",
    )


def mark_secrets(outputs: Properties, inputs: Properties, additional: Iterable[str]) -> Properties:
    """Outputs in which is secret what was secret at the same place in the inputs, or is declared so."""
    marked = {key: _like(value, inputs.get(key)) for key, value in outputs.items()}
    for key in additional:
        if key in marked and not isinstance(marked[key], Secret):
            marked[key] = Secret(reveal(marked[key]))
    return marked


def _like(value: Value, model: Value) -> Value:
    """`value` with the secrets that `model` has at the same places."""
    if isinstance(value, Secret):
        return value
    if isinstance(model, Secret):
        return Secret(reveal(value))
    if isinstance(value, dict) and isinstance(model, dict):
        return {key: _like(item, model.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(model, list):
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
    # The first trigger, and the last, are recorded and cause nothing, as in Pulumi.
    return UNKNOWN in (old, new) or (None not in (old, new) and reveal(old) != reveal(new))
