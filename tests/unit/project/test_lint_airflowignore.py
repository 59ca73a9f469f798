"""`.airflowignore`: which files Airflow may ignore, as regular expressions or as globs."""

import pytest

from astro_pulumi.project.lint.airflowignore import AirflowIgnore


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        ("helpers", "helpers/a.py", True),
        ("helpers/", "helpers/a.py", True),
        ("helpers/", "team/helpers/a.py", True),
        ("team/*.py", "team/a.py", True),
        ("team/*.py", "other/a.py", False),
        ("*_old.py", "team/a_old.py", True),
        ("*_old.py", "team/a_new.py", False),
        (r"project_a|tenant_[\d]", "tenant_1/a.py", True),
        (r"project_a|tenant_[\d]", "tenant_x/a.py", False),
        ("a/**/z.py", "a/b/c/z.py", True),
        ("# a.py", "a.py", False),
        ("a.py  # not b.py", "b.py", False),
        ("!a.py", "a.py", False),
        ("(", "a.py", False),
        ("", "a.py", False),
    ],
)
def test_patterns(patterns: str, path: str, ignored: bool) -> None:
    assert AirflowIgnore([("", patterns)]).ignores(path) is ignored


def test_patterns_are_relative_to_their_file() -> None:
    ignore = AirflowIgnore([("team", "/a.py")])
    assert ignore.ignores("team/a.py")
    assert not ignore.ignores("a.py")
