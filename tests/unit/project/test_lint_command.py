"""The output and the exit code of `astro-pulumi lint`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from astro_pulumi.cli.main import app
from tests.unit.project.broken_projects import (
    FERNET_KEY,
    GENERATED,
    GITHUB_TOKEN,
    RUNTIME,
    SLACK_TOKEN,
)
from tests.unit.project.projects import Changes, Link, write_project

ONE_OF_EACH: Changes = {"packages.txt": "PANDAS\n", "include/old": Link("gone")}


def lint(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["lint", *map(str, arguments)])


def test_a_healthy_project(tmp_path: Path) -> None:
    result = lint(write_project(tmp_path))
    assert (result.exit_code, result.output) == (0, "no errors, no warnings\n")


def test_findings_are_lines_that_editors_understand(tmp_path: Path) -> None:
    result = lint(write_project(tmp_path, ONE_OF_EACH))
    warning, error, summary = result.output.splitlines()
    assert result.exit_code == 1
    assert warning.startswith(f"{tmp_path}/include/old: warning: AP601 the link leads to gone")
    assert error.startswith(f"{tmp_path}/packages.txt:1:1: error: AP308 'PANDAS' is not the name")
    assert summary == "1 error, 1 warning"


def test_files_are_shown_relative_to_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path, ONE_OF_EACH)
    monkeypatch.chdir(tmp_path)
    assert "\npackages.txt:1:1: error: " in lint().output


def test_warnings_alone_are_no_failure(tmp_path: Path) -> None:
    result = lint(write_project(tmp_path, {"include/old": Link("gone")}))
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
        "remedy": "Write one name per line, in lower case, as `apt-get install` takes it.",
    }


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    result = lint(tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "AP101" in result.output


def test_projects_below_the_directory_are_named(tmp_path: Path) -> None:
    for name in ("sales", "teams/finance", ".hidden", "a/b/c/deep", "node_modules/x"):
        write_project(tmp_path / "repository" / name)
    output = lint(tmp_path / "repository").output
    assert output.splitlines()[0] == (
        f"{tmp_path}/repository: error: AP102 this is not an Astro project: it has neither a Dockerfile "
        "nor dags/. Give the path of a project below it: sales, teams/finance."
    )


def test_the_project_around_the_directory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_project(tmp_path) / "include")
    assert lint().output.splitlines()[0].endswith("Give the path of the project around it: ...")


@pytest.mark.parametrize(
    ("name", "code"), [("nowhere", "AP101"), ("empty", "AP102"), ("no_dockerfile", "AP103")]
)
def test_a_path_is_printed_once(name: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "no_dockerfile" / "dags").mkdir(parents=True)
    line = lint(tmp_path / name).output.splitlines()[0]
    assert line.startswith(f"{tmp_path / name}: error: {code} ")
    assert line.count(str(tmp_path)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"include/a.yaml": f"slack_token: {SLACK_TOKEN}\n"},
        {
            "include/a.py": f'URL = "postgresql://u:{GENERATED}@db.acme.com/x"; password = "{GENERATED}"\n'
        },
        {"include/a.py": f'password = "{GENERATED}"\napi_key = "{GENERATED}"\n'},
        {"Dockerfile": f"{RUNTIME}ENV API_TOKEN={GITHUB_TOKEN}\n"},
        {"Dockerfile": f"{RUNTIME}ENV FERNET_KEY={FERNET_KEY}\n"},
        {"requirements.txt": f"acme @ git+https://ci:{GITHUB_TOKEN}@github.com/acme/acme\n"},
    ],
)
def test_a_secret_is_reported_once(changes: Changes, tmp_path: Path) -> None:
    result = lint(write_project(tmp_path, changes))
    assert len(result.output.splitlines()) == 2, result.output


def test_a_file_that_may_not_be_copied_gets_one_advice(tmp_path: Path) -> None:
    write_project(tmp_path, {"Dockerfile": f"{RUNTIME}COPY .env .env\n"})
    before = lint(tmp_path).output
    write_project(tmp_path, {".env": "A=1\n"}, {})
    assert lint(tmp_path).output == before
    assert "AP209 COPY of .env: it belongs to the local Airflow" in before


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
