"""`astro-pulumi lint`: what it prints, and its exit code."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from astro_pulumi.cli.main import app
from tests.unit.project.projects import Changes, write_project

ONE_OF_EACH: Changes = {"packages.txt": "PANDAS\n", "include/client.p12": b"\0"}


def lint(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["lint", *map(str, arguments)])


def test_a_healthy_project(tmp_path: Path) -> None:
    result = lint(write_project(tmp_path))
    assert (result.exit_code, result.output) == (0, "no errors, no warnings\n")


def test_findings_are_lines_that_editors_understand(tmp_path: Path) -> None:
    result = lint(write_project(tmp_path, ONE_OF_EACH))
    warning, error, summary = result.output.splitlines()
    assert result.exit_code == 1
    assert warning.startswith(f"{tmp_path}/include/client.p12: warning: AP411 it is a key store")
    assert error.startswith(f"{tmp_path}/packages.txt:1:1: error: AP308 'PANDAS' is not the name")
    assert summary == "1 error, 1 warning"


def test_files_are_shown_relative_to_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path, ONE_OF_EACH)
    monkeypatch.chdir(tmp_path)
    assert "\npackages.txt:1:1: error: " in lint().output


def test_warnings_alone_are_no_failure(tmp_path: Path) -> None:
    result = lint(write_project(tmp_path, {"include/client.p12": b"\0"}))
    assert result.exit_code == 0
    assert result.output.endswith("no errors, 1 warning\n")


def test_json(tmp_path: Path) -> None:
    result = lint(write_project(tmp_path, ONE_OF_EACH), "--json")
    answer = json.loads(result.output)
    assert result.exit_code == 1
    assert (answer["project"], answer["errors"], answer["warnings"]) == (str(tmp_path), 1, 1)
    assert answer["findings"][1] == {
        "code": "AP308",
        "severity": "error",
        "file": "packages.txt",
        "line": 1,
        "column": 1,
        "message": "'PANDAS' is not the name of a Debian package",
        "remedy": "Names are lower-case, without underscores; perhaps pandas.",
    }


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    result = lint(tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "AP101" in result.output


def test_colours_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from astro_pulumi.cli import lint as command

    shown: list[str] = []
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(command, "_is_coloured", lambda: True)
    monkeypatch.setattr(
        "rich.console.Console.print", lambda _, *what, **__: shown.extend(map(str, what))
    )
    assert lint(write_project(tmp_path, ONE_OF_EACH)).exit_code == 1
    assert f"{tmp_path}/packages.txt:1:1  error AP308" in shown
    assert shown[-1] == "1 error, 1 warning"
