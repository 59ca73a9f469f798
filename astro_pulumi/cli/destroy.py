"""`astro-pulumi destroy`."""

from pathlib import Path

from astro_pulumi.cli.options import (
    Cwd,
    EngineChoice,
    Json,
    StackName,
    Yes,
    find_project,
    open_stack,
    run_pulumi,
    use_pulumi,
)


def destroy(
    cwd: Cwd = Path(),
    stack: StackName = None,
    yes: Yes = False,
    json: Json = False,
    engine: EngineChoice = None,
) -> None:
    """Delete all resources of the stack. The stack itself and its history stay."""
    if use_pulumi(engine):
        run_pulumi("destroy", cwd, stack, *(["--yes"] * yes), *(["--json"] * json))
    from astro_pulumi.cli import session

    session.require_consent(yes, json)
    opened = open_stack(find_project(cwd), stack)
    session.run(
        opened,
        "destroy",
        json,
        preview=None if yes else lambda emit: opened.preview_of("destroy", emit),
        act=opened.destroy,
    )
