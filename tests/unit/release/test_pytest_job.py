"""The Job that runs the project's tests. pytest is the real one; there is no Airflow."""

import io
import json
import os
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

from astro_pulumi.errors import ProjectError
from astro_pulumi.project.astro_project import read_project
from astro_pulumi.project.tests_archive import missing_tests
from tests.mock_engine import Program, deploy, write_project
from tests.specs import arguments
from tests.unit.release.pod_file import load

pytest_job = load("pytest_job")
ASKED = {"astro:pytest": "analytics=true"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """`AIRFLOW_HOME` of an image, with a module that the tests import."""
    home = tmp_path / "airflow"
    (home / "include").mkdir(parents=True)
    (home / "include" / "__init__.py").touch()
    (home / "include" / "sums.py").write_text("def add(a, b):\n    return a + b\n")
    return home


def write_test(home: Path, body: str) -> None:
    (home / "tests").mkdir(exist_ok=True)
    text = f"import os\nfrom include.sums import add\n\n\ndef test_it():\n    {body}\n"
    (home / "tests" / "test_sums.py").write_text(text)


def run(home: Path, archive: Path = Path("nowhere")) -> str:
    message: str = pytest_job.run(home, archive)
    return message


def test_tests_that_pass_let_the_deploy_go_on(home: Path) -> None:
    write_test(home, "assert add(1, 2) == 3")
    assert run(home) == ""


def test_a_test_that_fails_stops_the_deploy_with_the_end_of_its_output(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_test(home, "assert add(1, 2) == 4")
    first, *rest = run(home).splitlines()
    assert first == (
        "Tests of the project have failed; no running workload was changed. The end of the output:"
    )
    assert "FAILED tests/test_sums.py::test_it - assert 3 == 4" in rest
    assert rest[-1].startswith("=")
    assert "test session starts" in capfd.readouterr().out  # all of it is in the log


def test_the_message_fits_into_what_kubernetes_passes_on(home: Path) -> None:
    write_test(home, "print('x' * 99 + os.linesep * 400)\n    assert add(1, 2) == 4")
    message = run(home)
    assert len(message.encode()) <= 4096
    assert "FAILED tests/test_sums.py::test_it" in message


def test_tests_cannot_reach_the_database_or_the_broker(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the settings for PostgreSQL and Celery, SQLite and Airflow's own executor are right."""
    given = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://production",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "5",
        "AIRFLOW__CELERY__BROKER_URL": "redis://production",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "LEVEL": "INFO",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    sqlite = f"sqlite:///{tempfile.gettempdir()}/airflow.db"
    expected = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": sqlite, "LEVEL": "INFO"}
    seen = f"{{name: os.environ[name] for name in {list(given)} if name in os.environ}}"
    write_test(home, f"assert {seen} == {expected}")
    assert run(home) == ""


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {},
            "The image has no directory {home}/tests; no running workload was changed. An image that",
        ),
        ({"tests/notes.txt": ""}, "pytest has found no test in tests/; no running workload"),
        ({"tests/test_a.py": "import nowhere"}, "for example by a file that cannot be imported"),
    ],
)
def test_tests_that_cannot_run_stop_the_deploy(
    home: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text)
    assert message.format(home=home) in run(home)


def test_an_image_without_pytest(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_test(home, "pass")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "Add pytest to requirements.txt." in run(home)


def test_a_run_that_was_killed_says_so() -> None:
    assert pytest_job.explain(-9, ["...."]).startswith(
        "pytest was killed (SIGKILL), possibly because of"
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with tests, which the image contains."""
    monkeypatch.chdir(tmp_path)
    project = Path(write_project(tmp_path / "project"))
    (project / "tests" / "dags").mkdir(parents=True)
    (project / "tests" / "dags" / "test_a.py").write_text("def test_it():\n    pass\n")
    return project


def exclude_tests(project: Path) -> None:
    (project / ".dockerignore").write_text("tests/\n")


def deploy_project(config: dict[str, str]) -> Program:
    args = {"project": "project", "registry": {"repository": "ghcr.io/acme/analytics"}}
    return deploy(args, config=config)  # type: ignore[arg-type]


def test_tests_that_the_image_contains_are_not_sent(project: Path) -> None:
    assert missing_tests(read_project(project)) is None
    program = deploy_project(ASKED)
    assert "analytics-tests" not in [resource.name for resource in program]
    assert program.get("analytics-pytest", "Job")


def test_tests_that_dockerignore_excludes_are_sent_and_run(project: Path, home: Path) -> None:
    exclude_tests(project)
    (project / "tests" / ".env").write_text("TOKEN=secret")
    (project / "tests" / "__pycache__").mkdir()
    (project / "tests" / "__pycache__" / "test_a.pyc").touch()
    content = missing_tests(read_project(project))
    assert content is not None
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getnames() == ["tests/dags/test_a.py"]
    file = home.parent / "tests.tar.gz"
    file.write_bytes(content)
    home.chmod(0o555)
    assert run(home, file) == ""


def test_the_archive_is_the_same_on_every_machine(project: Path) -> None:
    exclude_tests(project)
    first = missing_tests(read_project(project))
    test = project / "tests" / "dags" / "test_a.py"
    os.utime(test, (1, 1))
    test.chmod(0o600)
    assert missing_tests(read_project(project)) == first


def test_tests_that_are_too_large_to_be_sent_are_refused(project: Path) -> None:
    exclude_tests(project)
    (project / "tests" / "data.bin").write_bytes(os.urandom(800 << 10))
    with pytest.raises(ProjectError, match=r"remove tests/ from \.dockerignore"):
        missing_tests(read_project(project))


def test_a_project_without_tests_is_refused_before_anything_is_made(project: Path) -> None:
    (project / "tests" / "dags" / "test_a.py").unlink()
    with pytest.raises(Exception, match=r"project/tests: there are no tests to run"):
        deploy_project(ASKED)


def test_the_tests_get_no_secret_and_no_identity() -> None:
    """Their output is shown, and they must not change production data."""
    program = deploy(
        arguments(
            secret_environment={"TOKEN": "x"},
            environment_from=[{"secret": "existing"}],
            variables_from={"key": {"secret": "existing", "key": "k"}},
            environment={"LEVEL": "INFO"},
            service_account_annotations={"role": "admin"},
            pod_template={
                "metadata": {"annotations": {"sidecar.istio.io/inject": "false"}},
                "spec": {
                    "containers": [
                        {
                            "name": "airflow",
                            "env": [
                                {"name": "B", "value": "c"},
                                {
                                    "name": "A",
                                    "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}},
                                },
                            ],
                            "envFrom": [{"secretRef": {"name": "s"}}],
                            "volumeMounts": [{"name": "keys", "mountPath": "/keys"}],
                        }
                    ],
                    "volumes": [
                        {"name": "keys", "projected": {"sources": [{"secret": {"name": "s"}}]}}
                    ],
                },
            },
        ),
        config=ASKED,
    )
    job = program.get("analytics-pytest", "Job")
    settings = program.get("analytics-settings").object_name
    assert job.container["envFrom"] == [{"configMapRef": {"name": settings}}]
    assert "secret" not in json.dumps(job.inputs["spec"]).lower()
    assert [v for v in job.pod["volumes"] if "secret" in v or "projected" in v] == []
    assert "/keys" not in [mount["mountPath"] for mount in job.container["volumeMounts"]]
    variables = {one["name"]: one for one in job.container["env"]}
    assert "A" not in variables
    assert variables["B"]["value"] == "c"
    annotations = job.inputs["spec"]["template"]["metadata"]["annotations"]
    assert annotations["sidecar.istio.io/inject"] == "false"
    assert job.pod["serviceAccountName"] == "analytics-services"
    assert job.pod["automountServiceAccountToken"] is False


def test_the_release_job_waits_for_the_tests() -> None:
    program = deploy(arguments(), config=ASKED)
    assert "analytics-pytest" in program.get("analytics-release-job", "Job").dependencies


@pytest.mark.parametrize(
    "config", [{}, {"astro:pytest": "false"}, {"astro:pytest": "reports=true"}]
)
def test_tests_run_only_if_asked_for(config: dict[str, str]) -> None:
    program = deploy(arguments(), config=config)
    assert "analytics-pytest" not in [resource.name for resource in program]


def test_running_the_tests_makes_no_new_release() -> None:
    """The release Job's own inputs are the same."""
    without, tested = deploy(arguments()), deploy(arguments(), config=ASKED)
    name = ("analytics-release-job", "Job")
    assert without.get(*name).inputs == tested.get(*name).inputs


def test_the_interpreter_of_the_image_runs_the_tests(home: Path) -> None:
    write_test(home, f"import sys; assert sys.executable == {sys.executable!r}")
    assert run(home) == ""
