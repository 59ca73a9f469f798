"""`astro-pulumi preview`."""

from pathlib import Path

from astro_pulumi.cli.options import (
    ConfigValues,
    Cwd,
    EngineChoice,
    Json,
    StackName,
    find_project,
    open_stack,
    run_pulumi,
    save_config,
    use_pulumi,
)


def preview(
    cwd: Cwd = Path(),
    stack: StackName = None,
    config: ConfigValues = None,
    json: Json = False,
    engine: EngineChoice = None,
) -> None:
    """Show what `up` would do, with the properties that change. Changes nothing."""
    if use_pulumi(engine):
        settings = [word for item in config or () for word in ("--config", item)]
        run_pulumi("preview", cwd, stack, "--diff", *settings, *(["--json"] * json))
    from astro_pulumi.cli import session
    from astro_pulumi.embedded.program import Program

    project = find_project(cwd)
    program = Program(project)
    opened = open_stack(project, stack, create=True)
    save_config(opened, config)
    session.run(opened, "preview", json, act=lambda emit: opened.preview(emit, program))
