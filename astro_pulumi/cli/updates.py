"""Runs an update of a stack with the engine at hand, and edits the stack's configuration for it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from astro_pulumi.errors import EngineError

if TYPE_CHECKING:
    from astro_pulumi.cli.phases import Phases
    from astro_pulumi.embedded.project import Project

NAMESPACE: Final = "astro"
ROLLBACK: Final = "rollbackTo"
_IMAGES: Final = ("**docker:index/image:Image**",)


def up(
    project: "Project", stack: str, phases: "Phases", *, yes: bool, json: bool, pulumi: bool
) -> None:
    """Deploys what the program says. Ends the process when that does not go well.

    :param phases: hears what happens.
    """
    from astro_pulumi.cli import session

    session.require_consent(yes, json)
    if pulumi:
        from astro_pulumi.cli.automation import PulumiStack

        driven = PulumiStack(project, stack)
        # A program that is pinned to a release has no docker.Image. Without this the engine would load
        # the Docker provider to forget the image, and that does not start without a daemon.
        exclude = _IMAGES if _is_pinned(project, stack) else ()
        session.run(
            driven,
            "update",
            json,
            preview=None if yes else driven.preview,
            act=lambda emit: driven.up(phases.listening(emit), exclude),
        )
        return
    from astro_pulumi.cli.options import open_stack
    from astro_pulumi.embedded.program import Program

    program = Program(project)  # loads the SDK while the stack is opened
    opened = open_stack(project, stack, create=True)
    session.run(
        opened,
        "update",
        json,
        preview=None if yes else lambda emit: opened.preview(emit, program),
        act=lambda emit: opened.up(phases.listening(emit), program if yes else None),
    )


def preview(project: "Project", stack: str, *, json: bool, pulumi: bool) -> None:
    """Shows what `up` would do."""
    from astro_pulumi.cli import session

    if pulumi:
        from astro_pulumi.cli.automation import PulumiStack

        driven = PulumiStack(project, stack)
        session.run(driven, "preview", json, act=driven.preview)
        return
    from astro_pulumi.cli.options import open_stack

    opened = open_stack(project, stack, create=True)
    session.run(opened, "preview", json, act=opened.preview)


def pins(project: "Project", stack: str) -> str | None:
    """What the stack's configuration is pinned to."""
    from astro_pulumi.embedded.project import read_yaml

    config = read_yaml(project.stack_file(stack)).get("config") or {}
    value = config.get(f"{NAMESPACE}:{ROLLBACK}")
    return None if value is None else str(value)


def _is_pinned(project: "Project", stack: str) -> bool:
    return pins(project, stack) is not None


def set_config(project: "Project", stack: str, key: str, value: str | None) -> None:
    """Sets `astro:<key>` in the stack's file, or removes it; the rest of the file stays as it is."""
    from astro_pulumi.embedded.project import write_config

    write_config(project, stack, f"{NAMESPACE}:{key}", value, None)


@contextmanager
def pinned_to(
    project: "Project", stack: str, value: str | None, phases: "Phases"
) -> Iterator[None]:
    """Pins the stack, or ends its pin when `value` is None.

    An update that changed nothing, because it was refused or not confirmed, leaves the pin as it was. One
    that stopped half-way keeps the new one: the next `up` carries on.
    """
    before = pins(project, stack)
    set_config(project, stack, ROLLBACK, value)
    try:
        yield
    except BaseException:  # Ctrl-C at the question, too
        if not phases.changes:
            set_config(project, stack, ROLLBACK, before)
        raise


@contextmanager
def for_this_update(
    project: "Project", stack: str, values: Mapping[str, str | None]
) -> Iterator[None]:
    """Configuration that holds for one update only: a description is of this deploy, not of the next.

    What an earlier one has left there, since it was killed, goes too.
    """
    for key, value in values.items():
        set_config(project, stack, key, value)
    try:
        yield
    finally:
        for key in values:
            set_config(project, stack, key, None)


def go_to_project(cwd: Path) -> "Project":
    """The project that `cwd` is in.

    :raises EngineError: outside of one.
    """
    from astro_pulumi.cli.options import find_project

    try:
        return find_project(cwd)
    except EngineError as error:
        raise EngineError(f"{error}. It is a Pulumi program that deploys") from error
