"""`.airflowignore`, as Airflow 2 and Airflow 3 read it."""

import pytest

from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.project.lint.airflowignore import AirflowIgnore, Syntax, syntaxes


@pytest.mark.parametrize(
    ("pattern", "ignored", "kept"),
    [
        ("old.py", ["old.py", "team/old.py"], ["older.py", "bold.py"]),
        ("/old.py", ["old.py"], ["team/old.py"]),
        ("helpers/", ["helpers/a.py", "team/helpers/deep/a.py"], ["helpers.py", "helpers"]),
        ("team/helpers", ["team/helpers/a.py"], ["other/team/helpers/a.py"]),
        ("*_test.py", ["a_test.py", "team/b_test.py"], ["test_a.py"]),
        ("team/*.py", ["team/a.py"], ["team/deep/a.py"]),
        ("**/deep", ["deep/a.py", "x/y/deep/a.py"], ["deeper/a.py"]),
        ("team/**", ["team/a.py", "team/x/a.py"], ["a.py"]),
        ("a/**/b.py", ["a/b.py", "a/x/y/b.py"], ["b.py"]),
        ("dag[0-9].py", ["dag1.py"], ["daga.py"]),
        ("dag[!0-9].py", ["daga.py"], ["dag1.py"]),
        ("dag?.py", ["dag1.py"], ["dag10.py"]),
        ("# comment", [], ["# comment"]),
        ("*.py\n!keep.py", ["a.py"], ["keep.py"]),
        ("", [], ["a.py"]),
    ],
)
def test_globs(pattern: str, ignored: list[str], kept: list[str]) -> None:
    check(pattern, "glob", ignored, kept)


@pytest.mark.parametrize(
    ("pattern", "ignored", "kept"),
    [
        ("old", ["old.py", "team/bold.py", "older/a.py"], ["new.py"]),
        ("^team/.*_test\\.py$", ["team/a_test.py"], ["a_test.py"]),
        ("operators/*", ["operators/a.py"], ["a.py"]),
        ("helpers  # shared code", ["helpers/a.py"], ["a.py"]),
        ("*.py", [], ["a.py"]),  # no regular expression: Airflow logs it and goes on
    ],
)
def test_regular_expressions(pattern: str, ignored: list[str], kept: list[str]) -> None:
    check(pattern, "regexp", ignored, kept)


def check(pattern: str, syntax: Syntax, ignored: list[str], kept: list[str]) -> None:
    rules = AirflowIgnore([("", pattern)], (syntax,))
    assert [path for path in ignored if not rules.ignores(path)] == []
    assert [path for path in kept if rules.ignores(path)] == []


def test_a_file_in_a_directory_holds_for_that_directory() -> None:
    rules = AirflowIgnore([("team", "/old.py\n")], ("glob",))
    assert rules.ignores("team/old.py")
    assert not rules.ignores("old.py")
    assert not rules.ignores("team/deep/old.py")


def test_which_syntax_counts() -> None:
    assert syntaxes(AirflowVersion(3, 1), None) == ("glob",)
    assert syntaxes(AirflowVersion(2, 10), None) == ("regexp",)
    assert syntaxes(None, None) == ("glob", "regexp")
    assert syntaxes(AirflowVersion(2, 10), "glob") == ("glob",)
    assert syntaxes(AirflowVersion(3, 1), "regexp") == ("regexp",)
