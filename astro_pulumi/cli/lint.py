"""`astro-pulumi lint`."""

import json as json_format
import os
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astro_pulumi.cli.options import Json

if TYPE_CHECKING:
    from astro_pulumi.project.lint.findings import Finding


def lint(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The Astro project.", show_default="here")
    ] = Path(),
    json: Json = False,
) -> None:
    """Check an Astro project, without Docker or a cluster.

    The exit code is 1 if there are errors, which also stop a deploy.
    """
    from astro_pulumi.project.lint import lint as lint_project

    findings = lint_project(directory)
    if json:
        typer.echo(json_format.dumps(as_json(directory, findings), indent=2))
    elif _is_coloured():
        _print_in_colour(directory, findings)
    else:
        typer.echo("\n".join(as_lines(directory, findings)))
    raise typer.Exit(1 if any(finding.is_error for finding in findings) else 0)


def as_json(directory: Path, findings: "list[Finding]") -> dict[str, Any]:
    """Return the output of `--json`. Files are relative to the project."""
    counts = Counter(str(finding.severity) for finding in findings)
    return {
        "project": str(directory),
        "errors": counts["error"],
        "warnings": counts["warning"],
        "findings": [asdict(finding) for finding in findings],
    }


def as_lines(directory: Path, findings: "list[Finding]") -> list[str]:
    """Return a line for each finding in the format of compilers, which editors and CI systems link."""
    lines = [f"{place(directory, each)}: {each.severity}: {each.text}" for each in findings]
    return [*lines, summary(findings)]


def place(directory: Path, finding: "Finding") -> str:
    """Return the place of a finding, relative to the working directory."""
    return finding.place if directory == Path() else (directory / finding.place).as_posix()


def summary(findings: "list[Finding]") -> str:
    """Return the number of findings: `2 errors, 1 warning`."""
    counts = Counter(str(finding.severity) for finding in findings)
    return ", ".join(
        f"{counts[kind] or 'no'} {kind}{'' if counts[kind] == 1 else 's'}"
        for kind in ("error", "warning")
    )


def _is_coloured() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _print_in_colour(directory: Path, findings: "list[Finding]") -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for finding in findings:
        style = "bold red" if finding.is_error else "bold yellow"
        console.print(
            Text.assemble(
                (place(directory, finding), "bold"),
                "  ",
                (f"{finding.severity} {finding.code}", style),
            )
        )
        console.print(Padding(Text(f"{finding.message}."), (0, 0, 0, 2)))
        console.print(Padding(Text(finding.remedy, "dim"), (0, 0, 1, 2)))
    errors = any(finding.is_error for finding in findings)
    console.print(summary(findings), style="bold red" if errors else "bold green")
