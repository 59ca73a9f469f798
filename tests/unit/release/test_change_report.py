"""The report of a deploy's changes against the last release."""

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.args import DeploymentArgs
from astro_pulumi.project import read_project
from astro_pulumi.project.content_summary import Summary, summarize
from astro_pulumi.release.change_report import (
    Content,
    Report,
    content_record,
    recorded_project,
    report,
    serialized,
)
from astro_pulumi.release.release_records import AIRFLOW_VERSION, parse_record
from astro_pulumi.validation import specify
from tests.mock_engine import RELEASE_JOB_FOUND, UNKNOWN, Program, deploy, run
from tests.unit.project.projects import Changes, write_project

PROJECT = "astro-pulumi/project"
PROJECT_BEFORE: Changes = {
    "dags/old.py": "# airflow dag\n",
    "dags/kept.py": "# airflow dag\n",
    "requirements.txt": "pandas==2.2.3\nnumpy>=1,<2\nrequests\n",
    "packages.txt": "jq\nlibpq-dev  # for psycopg\n",
}
PROJECT_AFTER: Changes = {
    "Dockerfile": "FROM astrocrpublic.azurecr.io/runtime:3.0-5\n",
    "dags/sales.py": "# another airflow dag\n",
    "dags/new.py": "# airflow dag\n",
    "dags/kept.py": "# airflow dag\n",
    "include/helpers.py": "ANSWER = 43\n",
    "requirements.txt": "pandas==2.3.0\nNumPy >=1, <2\ncosmos[all]; python_version > '3.10'\n",
    "packages.txt": "jq\ngit\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def current_release(
    folder: Path, name: str, changes: Changes, queues: tuple[str, ...] = ("default",)
) -> dict[str, Any]:
    """Inputs of the ConfigMap that says what the current release consists of."""

    def program() -> dict[str, Any]:
        spec = specify("analytics", with_queues(folder, name, changes, queues))
        return content_record(spec, recorded_project(spec, None), RELEASE_JOB_FOUND)

    made: dict[str, Any] = run(program).result
    return made


def with_queues(
    folder: Path, name: str, changes: Changes, queues: tuple[str, ...]
) -> DeploymentArgs:
    return {
        "project": str(write_project(folder / name, changes)),
        "registry": {"repository": "ghcr.io/acme/analytics"},
        "worker_queues": [{"name": queue} for queue in queues],
    }


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("program")
    with chdir(folder):
        return deploy(with_queues(folder, "now", {}, ("default",)))


def test_every_difference_is_reported(folder: Path) -> None:
    before = current_release(folder, "before", PROJECT_BEFORE)
    after = current_release(folder, "after", PROJECT_AFTER, ("default", "reports"))
    found = report(before, after)
    assert found.differences.splitlines() == [
        "changes against release 7:",
        "  Airflow: 3.1 -> 3.0",
        "  base image: astrocrpublic.azurecr.io/runtime:3.1-5 -> astrocrpublic.azurecr.io/runtime:3.0-5",
        "  DAG files: 1 added (dags/new.py)",
        "  DAG files: 1 changed (dags/sales.py)",
        "  DAG files: 1 removed (dags/old.py)",
        "  other files: 4 changed (Dockerfile, include/helpers.py, packages.txt, requirements.txt)",
        "  requirement added: cosmos[all] ; python_version > '3.10'",
        "  requirement changed: pandas==2.2.3 -> pandas==2.3.0",
        "  requirement removed: requests",
        "  packages added: git",
        "  packages removed: libpq-dev",
        "  worker queues: 1 added (reports)",
    ]
    assert found.warnings == ()


def test_nothing_is_reported_if_nothing_changed(folder: Path) -> None:
    before = current_release(folder, "before", PROJECT_BEFORE)
    assert report(before, current_release(folder, "same", PROJECT_BEFORE)) == Report("", ())


def test_a_removed_queue_is_a_warning(folder: Path) -> None:
    before = current_release(folder, "before", {}, ("default", "reports", "heavy"))
    after = current_release(folder, "after", {}, ("default", "exports"))
    found = report(before, after)
    assert found.warnings == (
        "worker queues are removed: heavy, reports. Tasks of such a queue stay queued, because no worker "
        "takes them. Keep the queue, or change the `queue` of the tasks.",
    )
    assert "worker queues: 1 added (exports)" in found.differences


def test_the_first_queue_still_serves_default_under_another_name(folder: Path) -> None:
    before = current_release(folder, "before", {}, ("default",))
    assert report(before, current_release(folder, "after", {}, ("main",))).warnings == ()


def with_annotations(inputs: dict[str, Any], **changes: str | None) -> dict[str, Any]:
    """`inputs` with other annotations, or without them."""
    annotations = {**inputs["metadata"]["annotations"], **changes}
    kept = {key: value for key, value in annotations.items() if value is not None}
    return {**inputs, "metadata": {**inputs["metadata"], "annotations": kept}}


def test_a_rolled_back_version_is_not_another_one_for_being_exact(folder: Path) -> None:
    before = current_release(folder, "before", {})
    exact = with_annotations(before, **{AIRFLOW_VERSION: "3.1.5"})
    assert report(before, exact) == Report("", ())
    newer = with_annotations(before, **{AIRFLOW_VERSION: "3.2.1"})
    assert "Airflow: 3.1 -> 3.2.1" in report(before, newer).differences


def test_unknown_content_is_not_compared(folder: Path) -> None:
    now = current_release(folder, "now", {})
    built_elsewhere = with_annotations(now, **{PROJECT: None})
    assert report(now, built_elsewhere) == Report("", ())
    assert report(built_elsewhere, now) == Report("", ())


def test_it_changes_in_place(deployed: Program) -> None:
    """Hooks get both sides in an update only, and other data replaces a ConfigMap."""
    now = deployed.get("analytics-content").inputs
    assert "data" not in now
    assert "name" not in now["metadata"]


def test_it_changes_after_everything_else(deployed: Program) -> None:
    """So that it is about a release that went well."""
    assert "analytics-release" in deployed.get("analytics-content").dependencies


def test_the_record_keeps_it_for_a_rollback(deployed: Program) -> None:
    record = parse_record(deployed.get("analytics-release").inputs)
    assert record
    annotations = deployed.get("analytics-content").inputs["metadata"]["annotations"]
    assert record.project == annotations[PROJECT]


@pytest.mark.parametrize(
    "line",
    [
        "acme @ git+https://bot:SECRET@git.acme.com/team/acme@v1.2",
        "acme @ https://SECRET@git.acme.com/acme-1.2.tar.gz",
        "acme @ https://dl.acme.com/SECRET/acme-1.2.tar.gz",
        "acme @ https://dl.acme.com/acme-1.2.tar.gz?token=SECRET",
        "--extra-index-url https://SECRET:@pypi.acme.com/simple",
        "--index-url=https://pypi.acme.com/SECRET/simple",
        "-e git+ssh://git:SECRET@git.acme.com/acme.git",
        "https://u:SECRET@git.acme.com/acme-1.2.tar.gz",
        "acme @ https://u:p/SECRET@git.acme.com/acme-1.2.tar.gz",
    ],
)
def test_no_login_is_kept_or_reported(line: str, tmp_path: Path) -> None:
    projects = [
        summarize(
            read_project(
                write_project(tmp_path / name, {"requirements.txt": f"{line}{end}\n"}), {"AP409"}
            )
        )
        for name, end in (("before", ""), ("after", "0"))
    ]
    before, after = (
        {"metadata": {"annotations": {PROJECT: serialized(project)}}} for project in projects
    )
    shown = report(before, after).differences
    assert "SECRET" not in json.dumps([before, after])
    assert "SECRET" not in shown
    assert "requirements.txt" in shown


def test_a_large_project_fits_into_the_record() -> None:
    files = {
        f"dags/team_{n % 100}/pipeline_{n}.py": f"{n * 2654435761 % 2**32:08x}"
        for n in range(10_000)
    }
    project = Summary("runtime:3.1-5", files, {"pandas": "==2.2.3"}, ("jq",))
    text = serialized(project)
    assert len(text) < 200 << 10
    assert Content.from_annotations({PROJECT: text}).project == project


def test_a_project_of_too_many_files_keeps_the_rest() -> None:
    files = {
        f"include/{n * 2654435761 % 2**32:08x}": f"{n * 40503 % 2**32:08x}" for n in range(40_000)
    }
    text = serialized(Summary("runtime:3.1-5", files, {"pandas": "==2.2.3"}, ("jq",)))
    kept = Content.from_annotations({PROJECT: text}).project
    assert kept == Summary("runtime:3.1-5", None, {"pandas": "==2.2.3"}, ("jq",))


def test_long_lists_are_cut(folder: Path) -> None:
    before = current_release(folder, "before", {})
    many = {f"dags/dag_{number:02}.py": "# airflow dag\n" for number in range(14)}
    found = report(before, current_release(folder, "after", many))
    assert "14 added (dags/dag_00.py, dags/dag_01.py" in found.differences
    assert "dags/dag_09.py and 4 more)" in found.differences


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, None, ""),
        ("1", "1", " (DAG deploy: no process restarts)"),
        ("1", "2", " (image deploy: processes restart)"),
        # Unknown in a preview of a build; or DAG deploys were switched on.
        ("1", UNKNOWN, " (image deploy: processes restart)"),
        (None, "1", " (image deploy: processes restart)"),
        ("1", None, ""),
    ],
)
def test_the_report_names_the_kind_of_deploy(
    folder: Path, before: str | None, after: str | None, expected: str
) -> None:
    contents = [
        current_release(folder, "before", {}),
        current_release(folder, "after", {"dags/sales.py": "# another airflow dag\n"}),
    ]
    for content, pods in zip(contents, (before, after), strict=True):
        if pods is not None:
            content["metadata"]["annotations"]["astro-pulumi/pods"] = pods
    head, line = report(*contents).differences.splitlines()
    assert head == f"changes against release 7{expected}:"
    assert line == "  DAG files: 1 changed (dags/sales.py)"
