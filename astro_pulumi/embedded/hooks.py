"""Resource hooks: functions of the program that run before and after the steps of its resources.

The rules are those of Pulumi's engine (`pkg/resource/deploy/step.go`). Error hooks are asked whether to
try a failed step again.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from astro_pulumi.embedded.state import ResourceState
from astro_pulumi.embedded.values import Properties
from astro_pulumi.errors import AstroError, EngineError

HookKind = Literal[
    "BeforeCreate", "AfterCreate", "BeforeUpdate", "AfterUpdate", "BeforeDelete", "AfterDelete"
]
T = TypeVar("T")
RETRIES: Final = 100  # how often error hooks may have a step tried again


@dataclass(frozen=True, slots=True)
class HookCall:
    """What a hook is told: the resource, and its properties, `None` where they do not apply."""

    urn: str
    id: str
    name: str
    type: str
    new_inputs: Properties | None = None
    new_outputs: Properties | None = None
    old_inputs: Properties | None = None
    old_outputs: Properties | None = None
    failed_operation: str = ""  # error hooks: "create", "update" or "delete"
    errors: tuple[str, ...] = ()  # error hooks: newest first


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook of the program. `call` raises `EngineError` with what the program says is wrong; an
    error hook returns whether to try again."""

    name: str
    call: Callable[[HookCall], bool]
    is_error_hook: bool = False
    on_dry_run: bool = False
    ignore_errors: bool = False


class Hooks:
    """The hooks that the program registered in one run."""

    def __init__(self, preview: bool, warn: Callable[[str, str], None]) -> None:
        """`warn` takes (text, URN)."""
        self._preview = preview
        self._warn = warn
        self._lock = threading.Lock()
        self._hooks: dict[str, Hook] = {}

    def register(self, hook: Hook) -> None:
        """Makes a hook known by its name, which must be new."""
        with self._lock:
            if not hook.name:
                raise EngineError("resource hook name cannot be empty")
            if hook.name in self._hooks:
                raise EngineError(f'resource hook already registered for name "{hook.name}"')
            self._hooks[hook.name] = hook

    def run(self, kind: HookKind, state: ResourceState, old: ResourceState | None = None) -> None:
        """Runs a resource's hooks of a kind in their order; ends with the first that fails."""
        for name in state.resource_hooks.get(kind, ()):
            hook = self._find(name, error_hook=False)
            if self._preview and not hook.on_dry_run:
                continue
            try:
                hook.call(_tell(kind, state, old))
            except AstroError as error:
                if not hook.ignore_errors:
                    when = "before" if kind.startswith("Before") else "after"
                    raise EngineError(f'{when} hook "{name}" failed: {error}') from error
                self._warn(f'{kind} hook "{name}" failed: {error}', state.urn)

    def attempt(
        self,
        operation: Literal["create", "update", "delete"],
        state: ResourceState,
        old: ResourceState | None,
        act: Callable[[], T],
    ) -> T:
        """Does `act`; when it fails, does it again as often as the resource's error hooks want."""
        names = state.resource_hooks.get("OnError", ())
        errors: tuple[str, ...] = ()
        while True:
            try:
                return act()
            except AstroError as error:
                errors = (str(error), *errors)
                if names and len(errors) >= RETRIES:
                    self._warn(
                        f"maximum number of error hook retries ({RETRIES}) reached", state.urn
                    )
                    raise
                call = _tell(operation, state, old, errors)
                answers = [self._ask(name, call) for name in names]  # all are asked
                if not any(answers):
                    raise
            self._warn(
                f"retrying {operation} due to on-error hook request ({len(errors)}/{RETRIES})",
                state.urn,
            )

    def _ask(self, name: str, call: HookCall) -> bool:
        try:
            return self._find(name, error_hook=True).call(call)
        except AstroError as error:
            text = f'error hooks execution failed: error hook "{name}" failed: {error}'
            raise EngineError(text) from error

    def _find(self, name: str, error_hook: bool) -> Hook:
        with self._lock:
            hook = self._hooks.get(name)
        if hook is None or hook.is_error_hook != error_hook:
            raise EngineError(
                f'{"error hook" if error_hook else "hook"} "{name}" was not registered'
            )
        return hook


def _tell(
    kind: str, state: ResourceState, old: ResourceState | None, errors: tuple[str, ...] = ()
) -> HookCall:
    operation = kind.removeprefix("Before").removeprefix("After").lower()
    new = state if operation != "delete" else None
    old = old if operation != "create" else None  # not even of a replacement
    return HookCall(
        state.urn,
        state.id,
        state.name,
        state.type,
        new_inputs=new.inputs if new else None,
        new_outputs=new.outputs if new and kind.startswith("After") else None,
        old_inputs=old.inputs if old else None,
        old_outputs=old.outputs if old else None,
        failed_operation=kind if errors else "",
        errors=errors,
    )
