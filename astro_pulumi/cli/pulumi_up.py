"""Run updates of a stack with the Pulumi CLI, and edit the stack's configuration for them."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from astro_pulumi.cli import pulumi_cli, stack_repair
from astro_pulumi.cli.options import is_terminal
from astro_pulumi.cli.phase_durations import Phases
from astro_pulumi.cli.pulumi_cli import Project
from astro_pulumi.errors import PulumiError
from astro_pulumi.stack_config import DESCRIPTION, NAMESPACE, ROLLBACK_TO, as_text

# A program that is pinned to a release has no docker.Image. Without this option the CLI would start the
# Docker provider to forget the image, which fails without a daemon.
WITHOUT_IMAGES: Final = ("--exclude", "**docker:index/image:Image**")
# Since 4.29 the Kubernetes provider refuses to create an existing object. With this variable it adopts the
# object, as earlier versions do.
_ADOPT: Final = {"PULUMI_K8S_UPSERT_EXISTING_OBJECTS": "true"}
_POLL_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 1.0


def require_confirmation(yes: bool, json: bool) -> None:
    """Raise a `PulumiError` if nobody can be asked and `--yes` was not given."""
    if not yes and (json or not is_terminal()):
        raise PulumiError("--yes must be passed in to proceed when running in non-interactive mode")


def prepare(project: Project, stack: str, *, yes: bool) -> bool:
    """Create the stack if it does not exist, and repair it after an interrupted update.

    Returns:
        Whether the following update has to adopt existing objects.
    """
    state = pulumi_cli.read_state(stack)
    if state is None:
        pulumi_cli.run("stack", "init", stack)
        return False
    return stack_repair.repair(project, stack, state, yes=yes)


def up(
    stack: str,
    phases: Phases,
    *,
    yes: bool,
    json: bool,
    adopt: bool = False,
    flags: Sequence[str] = (),
) -> None:
    """Run `pulumi up` in front of the user. Exit with its exit code if it fails.

    Args:
        stack: The stack to update.
        phases: Follows the events.
        yes: Do not ask.
        json: Print Pulumi's events, one per line.
        adopt: Adopt existing objects that are not in the state.
        flags: More arguments for `pulumi up`.
    """
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "events"
        # A preview would print another JSON document before the events.
        given = ["--yes"] * yes + ["--json", "--skip-preview"] * json
        arguments = ["up", "--stack", stack, "--event-log", str(log), *given, *flags]
        _run(arguments, phases, log, _ADOPT if adopt else {})


def preview(stack: str, *, json: bool) -> None:
    """Run `pulumi preview` in front of the user. Exit with its exit code if it fails."""
    arguments = ["preview", "--stack", stack, *(["--json"] * json)]
    with tempfile.TemporaryDirectory() as directory:
        _run(arguments, Phases(), Path(directory) / "events")


def _run(
    arguments: Sequence[str],
    phases: Phases,
    log: Path,
    more: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Run `pulumi` and follow its events. Exit with its exit code if it fails.

    The terminal sends Ctrl-C to the child directly. SIGTERM is forwarded, unless its sender has signalled the
    whole process group: a second signal would make Pulumi terminate at once.
    """
    signals: dict[int, float] = {}

    def remember(number: int, _: object) -> None:
        signals[number] = time.monotonic()

    # The CLI accepts --event-log only with this variable.
    environment = {**os.environ, **more, "PULUMI_DEBUG_COMMANDS": "true"}
    with _handling(dict.fromkeys((signal.SIGINT, signal.SIGTERM), remember)):
        child = subprocess.Popen([pulumi_cli.command().command, *arguments], env=environment)
        while True:
            try:
                code = child.wait(_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                phases.follow(log)
            terminated = signals.get(signal.SIGTERM)
            if terminated and time.monotonic() - terminated > _PATIENCE_SECONDS:
                del signals[signal.SIGTERM]
                if not phases.is_cancelling:
                    child.terminate()
    phases.follow(log)
    if code != 0:
        sys.exit(code if code > 0 else 128 - code)


@contextmanager
def _handling(handlers: Mapping[signal.Signals, Callable[[int, object], None]]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def pin(project: Project, stack: str) -> str | None:
    """Return the release that the stack's configuration pins; None if there is no pin."""
    value = project.config(stack).get(f"{NAMESPACE}:{ROLLBACK_TO}")
    return None if value is None else str(value)


def set_config(project: Project, stack: str, values: Mapping[str, str | None]) -> None:
    """Set `astro:<key>` in the stack's file where the value differs. None removes a key."""
    before = {key: as_text(value) for key, value in project.config(stack).items()}
    wanted = {f"{NAMESPACE}:{key}": value for key, value in values.items()}
    changed = {key: value for key, value in wanted.items() if before.get(key) != value}
    if changed:
        pulumi_cli.set_config(stack, changed)


@contextmanager
def pinned_to(project: Project, stack: str, value: str | None, phases: Phases) -> Iterator[None]:
    """Pin the stack to a release during the update, or remove its pin if `value` is None.

    An update without changes, because it was refused or not confirmed, restores the pin. An update that
    stopped half-way keeps the new pin: the next `up` continues.
    """
    before = pin(project, stack)
    set_config(project, stack, {ROLLBACK_TO: value})
    try:
        yield
    except BaseException:  # Ctrl-C at the question, too
        if not phases.changes:
            set_config(project, stack, {ROLLBACK_TO: before})
        raise


@contextmanager
def for_this_update(
    project: Project, stack: str, values: Mapping[str, str | None]
) -> Iterator[None]:
    """Set configuration for one update, such as its description, and restore what it was afterwards.

    A description is removed: it is of this update, or of an earlier one that was killed.
    """
    config = project.config(stack)
    before = {key: config.get(f"{NAMESPACE}:{key}") for key in values if key != DESCRIPTION}
    set_config(project, stack, values)
    try:
        yield
    finally:
        restored = {key: None if one is None else as_text(one) for key, one in before.items()}
        set_config(project, stack, {**dict.fromkeys(values), **restored})
