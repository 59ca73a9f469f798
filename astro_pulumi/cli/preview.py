"""`astro-pulumi preview`."""

from pathlib import Path

import typer

from astro_pulumi.cli.options import (
    ConfigValues,
    Cwd,
    EngineChoice,
    Json,
    StackName,
    find_project,
    open_stack,
    pulumi_flags,
    run_pulumi,
    save_config,
    use_pulumi,
)


def preview(
    context: typer.Context,
    cwd: Cwd = Path(),
    stack: StackName = None,
    config: ConfigValues = None,
    json: Json = False,
    engine: EngineChoice = None,
) -> None:
    """Show what `up` would do, with the properties that change. Changes nothing."""
    pulumi = use_pulumi(engine)
    more = pulumi_flags(context, pulumi)
    if pulumi:
        settings = [word for item in config or () for word in ("--config", item)]
        run_pulumi("preview", cwd, stack, "--diff", *settings, *(["--json"] * json), *more)
    from astro_pulumi.cli import session
    from astro_pulumi.embedded.program import Program

    project = find_project(cwd)
    program = Program(project)
    opened = open_stack(project, stack, create=True)
    save_config(opened, config)
    session.run(opened, "preview", json, act=lambda emit: opened.preview(emit, program))
