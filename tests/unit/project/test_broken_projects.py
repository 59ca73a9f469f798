"""Every broken project gives one finding with the right code, place and message, and no others."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from astro_pulumi.errors import ProjectError
from astro_pulumi.project import read_project
from astro_pulumi.project.lint import RULES, lint
from astro_pulumi.project.lint.findings import Severity
from tests.unit.project.broken_projects import BROKEN, SECRETS, Broken
from tests.unit.project.projects import write_project

# These have tests of their own below.
ELSEWHERE = {"AP101", "AP108"}


@pytest.fixture(params=BROKEN, ids=lambda broken: f"{broken.code} {broken.name}")
def broken(request: pytest.FixtureRequest) -> Broken:
    found: Broken = request.param
    return found


def test_it_is_found(broken: Broken, tmp_path: Path) -> None:
    write_project(tmp_path, broken.changes)
    before = snapshot(tmp_path)
    findings = lint(tmp_path)
    (finding,) = [
        each for each in findings if each.code == broken.code and broken.says in each.message
    ]
    assert ":".join(str(part) for part in (finding.file, finding.line) if part) == broken.place
    assert {each.code for each in findings} <= {broken.code, *broken.others}, findings
    assert all(not each.message.endswith(".") and len(each.remedy) > 10 for each in findings)
    # The linter writes nothing and shows no secret.
    assert snapshot(tmp_path) == before
    shown = json.dumps([asdict(finding) for finding in findings])
    assert not [secret for secret in SECRETS if secret in shown]


def test_an_error_stops_the_deploy_and_a_warning_does_not(broken: Broken, tmp_path: Path) -> None:
    write_project(tmp_path, broken.changes)
    severities = {rule.code: rule.severity for rule in RULES}
    stops = Severity.ERROR in {severities[code] for code in (broken.code, *broken.others)}
    if stops:
        with pytest.raises(ProjectError) as caught:
            read_project(tmp_path)
        assert broken.says in str(caught.value)
        assert "Traceback" not in str(caught.value)
    else:
        assert broken.code in {finding.code for finding in read_project(tmp_path).findings}


def test_every_rule_is_broken_by_some_project() -> None:
    broken = {broken.code for broken in BROKEN}
    assert broken | ELSEWHERE == {rule.code for rule in RULES}


def test_names_are_unique() -> None:
    assert [name for name, n in Counter(broken.name for broken in BROKEN).items() if n > 1] == []


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    (finding,) = lint(tmp_path / "nowhere")
    assert (finding.code, finding.file) == ("AP101", ".")
    assert "there is no such directory" in finding.message


def test_a_file_instead_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (finding,) = lint(tmp_path / "file")
    assert (finding.code, "this is a file" in finding.message) == ("AP101", True)


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root can read all files, so `os.access` is replaced."""
    write_project(tmp_path, {"include/secret.csv": "1\n"})
    monkeypatch.setattr("os.access", lambda path, _: not str(path).endswith("secret.csv"))
    (finding,) = lint(tmp_path)
    assert (finding.code, finding.file) == ("AP108", "include/secret.csv")
    assert "permission denied" in finding.message


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        {
            "packages.txt": "PANDAS\n",
            "requirements.txt": "a=1\nb=2\n",
            "dags/sales.py": "airflow dag\n",
        },
    )
    with pytest.raises(ProjectError) as caught:
        read_project(tmp_path)
    first, *lines = str(caught.value).splitlines()
    assert first == (
        f"The project {tmp_path} cannot be deployed: 4 errors. No running workload was changed."
    )
    assert [line.split(" ")[:2] for line in lines] == [
        [f"{tmp_path}/dags/sales.py:1:9:", "AP502"],
        [f"{tmp_path}/packages.txt:1:1:", "AP308"],
        [f"{tmp_path}/requirements.txt:1:", "AP303"],
        [f"{tmp_path}/requirements.txt:2:", "AP303"],
    ]


def test_an_accepted_error_is_a_warning(tmp_path: Path) -> None:
    write_project(tmp_path, {"dags/sales.py": None})
    project = read_project(tmp_path, accept={"AP501"})
    assert [finding.code for finding in project.findings] == ["AP501"]


def test_a_comment_allows_a_finding(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        {
            "include/a.py": 'password = "Sommer2026!"  # astro-pulumi: allow AP408\n',
            "include/b.yaml": "# astro-pulumi: allow AP402, AP408\npassword: Sommer2026!\n",
            "include/c.yaml": "# astro-pulumi: allow AP402\npassword: Sommer2026!\n",
        },
    )
    assert [(finding.file, finding.code) for finding in lint(tmp_path)] == [
        ("include/c.yaml", "AP408")
    ]


def test_linting_imports_neither_airflow_nor_pulumi(tmp_path: Path) -> None:
    write_project(tmp_path)
    code = (
        "import sys; from pathlib import Path; from astro_pulumi.project.lint import lint;"
        f"assert lint(Path({str(tmp_path)!r})) == [];"
        "sys.exit(bool({'airflow', 'pulumi', 'docker', 'kubernetes'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Return sizes and times of everything in `folder`."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*")
    }
