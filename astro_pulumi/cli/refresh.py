"""`astro-pulumi refresh`."""

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


def refresh(
    cwd: Cwd = Path(),
    stack: StackName = None,
    yes: Yes = False,
    json: Json = False,
    engine: EngineChoice = None,
) -> None:
    """Take over into the stack's state what its resources really are."""
    if use_pulumi(engine):
        run_pulumi("refresh", cwd, stack, *(["--yes"] * yes), *(["--json"] * json))
    from astro_pulumi.cli import session

    session.require_consent(yes, json)
    opened = open_stack(find_project(cwd), stack)
    session.run(
        opened,
        "refresh",
        json,
        preview=None if yes else lambda emit: opened.preview_of("refresh", emit),
        act=opened.refresh,
    )
