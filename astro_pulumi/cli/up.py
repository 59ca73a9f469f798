"""`astro-pulumi up`."""

from pathlib import Path

import typer

from astro_pulumi.cli.options import (
    ConfigValues,
    Cwd,
    EngineChoice,
    Json,
    StackName,
    Yes,
    find_project,
    make_pulumi_stack,
    open_stack,
    pulumi_flags,
    run_pulumi,
    save_config,
    use_pulumi,
)


def up(
    context: typer.Context,
    cwd: Cwd = Path(),
    stack: StackName = None,
    config: ConfigValues = None,
    yes: Yes = False,
    json: Json = False,
    engine: EngineChoice = None,
) -> None:
    """Create or update the stack's resources. Makes the stack named by --stack if it is missing."""
    pulumi = use_pulumi(engine)
    more = pulumi_flags(context, pulumi)
    if pulumi:
        settings = [word for item in config or () for word in ("--config", item)]
        flags = ["--yes"] * yes + ["--json"] * json
        make_pulumi_stack(cwd, stack)
        run_pulumi("up", cwd, stack, *settings, *flags, *more)
    from astro_pulumi.cli import session
    from astro_pulumi.embedded.program import Program

    project = find_project(cwd)
    session.require_consent(yes, json)
    program = Program(project)  # loads the SDK while the stack is opened
    opened = open_stack(project, stack, create=True)
    save_config(opened, config)
    session.run(
        opened,
        "update",
        json,
        preview=None if yes else lambda emit: opened.preview(emit, program),
        act=lambda emit: opened.up(emit, program if yes else None),
    )
