"""A bad project changes nothing that runs: what lint cannot see fails in the build or in the release Job.

All on the quickstart's Deployment. After each refusal the same pods run the same images, and at the end the
repaired project just works.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.naming import PYTEST
from local.stack import StackError
from tests.cluster.conftest import Deployed
from tests.cluster.kube import JOBS, component_of, identities, images

DAG = """\
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG({id}, schedule=None{arguments}):
    {body}
"""


def dag(id: str = "'broken_' + __name__", arguments: str = "", body: str = "pass") -> str:
    """A DAG file."""
    return DAG.format(id=id, arguments=arguments, body=body)


# File -> (content, what Pulumi says of it). Airflow reads files with the words `airflow` and `dag`.
BROKEN_FILES = {
    "dags/missing_module.py": (
        "import a_module_nobody_has  # airflow dag",
        "dags/missing_module.py:1: ModuleNotFoundError: No module named 'a_module_nobody_has'",
    ),
    "dags/moved_module.py": (
        "from airflow.operators.bash_operator import BashOperator  # dag",
        "dags/moved_module.py:1: ModuleNotFoundError: No module named",
    ),
    "include/breaks.py": ("RATE = 1 / 0\n", ""),
    "dags/broken_include.py": (
        f"from include import breaks\n{dag()}",
        "dags/broken_include.py (include/breaks.py:1): ZeroDivisionError: division by zero",
    ),
    "include/circle.py": ("from include import circle_back\nA = circle_back.B\n", ""),
    "include/circle_back.py": ("from include.circle import A\nB = A\n", ""),
    "dags/circular_import.py": (
        f"from include import circle\n{dag()}",
        "dags/circular_import.py (include/circle_back.py:1): ImportError: cannot import name 'A'",
    ),
    "dags/undefined_name.py": (
        dag(body="print(tabel)"),
        "dags/undefined_name.py:6: NameError: name 'tabel' is not defined",
    ),
    "dags/unset_variable.py": (
        f"import os\nTOKEN = os.environ['NOT_SET_ANYWHERE']\n{dag()}",
        "dags/unset_variable.py:2: KeyError: 'NOT_SET_ANYWHERE'",
    ),
    "dags/missing_variable.py": (
        f"from airflow.sdk import Variable\nV = Variable.get('no_such_variable')\n{dag()}",
        "dags/missing_variable.py:2: airflow.sdk.exceptions.AirflowRuntimeError: VARIABLE_NOT_FOUND",
    ),
    "dags/missing_connection.py": (
        f"from airflow.sdk import Connection\nC = Connection.get('no_such_connection')\n{dag()}",
        "dags/missing_connection.py:2: airflow.sdk.exceptions.AirflowNotFoundException: The conn_id",
    ),
    "dags/wrong_argument.py": (
        dag(body="BashOperator(task_id='a', bash_cmd='true')"),
        "dags/wrong_argument.py:6: TypeError",
    ),
    "dags/bad_schedule.py": (
        dag().replace("schedule=None", "schedule='every day at noon'"),
        "dags/bad_schedule.py: AirflowTimetableInvalid: Exactly 5, 6 or 7 columns",
    ),
    "dags/same_task_twice.py": (
        dag(body="EmptyOperator(task_id='a')\n    EmptyOperator(task_id='a')"),
        "dags/same_task_twice.py:7: airflow.sdk.exceptions.DuplicateTaskIdFound",
    ),
    "dags/cycle.py": (
        dag("'a_cycle'", body="a, b = EmptyOperator(task_id='a'), EmptyOperator(task_id='b')")
        + "    a >> b >> a\n",
        "dags/cycle.py: AirflowDagCycleException: Cycle detected",
    ),
    "dags/twin_a.py": (dag("'tw' + 'in'"), ""),
    "dags/twin_b.py": (dag("'twi' + 'n'"), "dags/twin_b.py: AirflowDagDuplicatedIdException"),
    "dags/unregistered_timetable.py": (
        "from airflow.timetables.simple import NullTimetable\n\n\n"
        "class Own(NullTimetable):\n    pass\n\n\n"
        + dag("'own_timetable'").replace("schedule=None", "schedule=Own()"),
        "dags/unregistered_timetable.py: the DAG own_timetable cannot be serialized",
    ),
    "dags/newer_python.py": (
        f"def first[T](items: list[T]) -> T:\n    return items[0]\n\n\n{dag()}",
        "dags/newer_python.py:1: SyntaxError",
    ),
    "dags/endless_recursion.py": (
        f"def again() -> None:\n    again()\n\n\nagain()\n{dag()}",
        "dags/endless_recursion.py:2: RecursionError: maximum recursion depth exceeded",
    ),
    "dags/calls_exit.py": (
        f"import sys\n\nsys.exit('no work today')\n{dag()}",
        "dags/calls_exit.py:3: SystemExit: no work today",
    ),
    "dags/ends_the_process.py": (
        f"import os\n\nos._exit(0)\n{dag()}",
        "dags/ends_the_process.py: it ends the process with exit code 0",
    ),
    "dags/crashes.py": (
        f"import os\nimport signal\n\nos.kill(os.getpid(), signal.SIGSEGV)\n{dag()}",
        "dags/crashes.py: Received SIGSEGV signal",
    ),
    "dags/takes_all_memory.py": (
        f"hoard = []\nwhile True:\n    hoard.append(b'x' * (64 << 20))\n{dag()}",
        "dags/takes_all_memory.py: it was killed, most likely because it exceeded the memory limit",
    ),
    "dags/never_ends.py": (
        f"import time\n\ntime.sleep(10_000)\n{dag()}",
        "dags/never_ends.py:3: airflow.sdk.exceptions.AirflowTaskTimeout: DagBag import timeout",
    ),
    "dags/talks_a_lot.py": (
        f"for _ in range(2_000):\n    print('z' * 1000)\nraise ValueError('and then fails')\n{dag()}",
        "dags/talks_a_lot.py:3: ValueError: and then fails",
    ),
    "plugins/broken_plugin.py": (
        "from airflow.plugins_manager import AirflowPlugin\n\n\n"
        "class Broken(AirflowPlugin):\n    name = 'broken'\n    macros = [not_defined]\n",
        "plugins/broken_plugin.py: name 'not_defined' is not defined",
    ),
}


@pytest.fixture
def project(deployed: Deployed, tmp_path: Path) -> Iterator[Path]:
    """The deployed project, to be broken: as it was again afterwards."""
    shutil.copytree(deployed.project, tmp_path / "before")
    yield deployed.project
    shutil.rmtree(deployed.project)
    shutil.copytree(tmp_path / "before", deployed.project)


@contextmanager
def nothing_changes(deployed: Deployed) -> Iterator[None]:
    """The pods that run, databases included, are the same ones before and after, with the same images."""

    def running() -> tuple[dict[str, Any], dict[str, set[str]]]:
        pods = [
            pod
            for pod in deployed.kube.all_pods(deployed.namespace)
            if component_of(pod) not in {*JOBS, PYTEST}
            # A deploy of before may still drain its pods.
            and "deletionTimestamp" not in pod["metadata"]
        ]
        return identities(pods), {pod["metadata"]["name"]: images(pod) for pod in pods}

    before = running()
    assert before[0], "nothing runs"
    yield
    assert running() == before


def refusal(deployed: Deployed) -> str:
    """What Pulumi says of a deploy that fails and changes nothing."""
    with nothing_changes(deployed), pytest.raises(StackError):
        deployed.up()
    said = deployed.logs[-1]
    assert "astro_pulumi/" not in said, "a stack trace of ours"
    return said


def add_requirement(project: Path, line: str) -> None:
    with (project / "requirements.txt").open("a") as file:
        file.write(f"{line}\n")


def add_to_dockerfile(project: Path, line: str) -> None:
    with (project / "Dockerfile").open("a") as file:
        file.write(f"{line}\n")


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        pytest.param(
            lambda project: add_requirement(project, "a-package-nobody-has==1.0"),
            "a-package-nobody-has was not found in the package registry",
            id="package that does not exist",
        ),
        pytest.param(
            lambda project: add_requirement(project, "celery==3.1.26"),
            "celery==3.1.26",
            id="package that Airflow does not work with",
        ),
        pytest.param(
            lambda project: (project / "packages.txt").write_text("no-such-debian-package\n"),
            "Unable to locate package no-such-debian-package",
            id="Debian package that does not exist",
        ),
        pytest.param(
            lambda project: add_to_dockerfile(project, "RUN echo 'cannot go on' >&2 && exit 7"),
            "cannot go on",
            id="failing RUN",
        ),
        pytest.param(
            lambda project: (project / "Dockerfile").write_text(
                "FROM localhost:5000/runtime:3.3-99\n"
            ),
            "localhost:5000/runtime:3.3-99",
            id="base image that does not exist",
        ),
    ],
)
def test_a_build_that_fails(
    deployed: Deployed, project: Path, breaks: Callable[[Path], None], says: str
) -> None:
    breaks(project)
    assert says in refusal(deployed)


def test_everything_that_is_wrong_with_dags_is_said_at_once(
    deployed: Deployed, project: Path
) -> None:
    for name, (content, _) in BROKEN_FILES.items():
        (project / name).write_text(content)

    said = refusal(deployed)

    silent = [name for name, (_, says) in BROKEN_FILES.items() if says not in said]
    assert silent == []
    assert "cannot be imported by the new image; no running workload was changed" in said
    # The full text is in the log, which is kept.
    log = release_job_log(deployed)
    assert "Traceback (most recent call last)" in log
    assert "and then fails" in log


def test_a_project_whose_dags_are_none_at_run_time(deployed: Deployed, project: Path) -> None:
    shutil.rmtree(project / "dags")
    (project / "dags").mkdir()
    (project / "dags" / "none.py").write_text("if False:  # an airflow dag\n    pass\n")
    assert "There is no DAG in /usr/local/airflow/dags" in refusal(deployed)


def test_a_project_without_any_dag_of_before(deployed: Deployed, project: Path) -> None:
    before = sorted(path.stem for path in (project / "dags").glob("*.py"))
    shutil.rmtree(project / "dags")
    (project / "dags").mkdir()
    (project / "dags" / "other.py").write_text(dag("'other'"))
    said = refusal(deployed)
    assert "No DAG of the last release is in this one; no running workload was changed." in said
    assert f"astro-pulumi deploy --max-removed-dags {len(before)}`" in said
    assert ", ".join(before) in said


def test_a_repaired_project_just_works(deployed: Deployed) -> None:
    """First it lacks a DAG, without confirmation; then it is whole."""
    number = release_number(deployed)
    deployed.stack.configure({"astro:maxRemovedDags": f"{number + 1}:0"})
    removed = deployed.project / "dags" / "workday_summary.py"
    text = removed.read_text()
    removed.unlink()
    assert "DAG files: 1 removed (dags/workday_summary.py)" in preview(deployed)
    said = refusal(deployed)
    assert "One DAG of the last release is not in this one" in said
    assert f"={number + 1}:1` and `pulumi up`. Gone: workday_summary" in said

    removed.write_text(text)
    (deployed.project / "dags" / "repaired.py").write_text(dag("'repaired'"))
    told = preview(deployed)
    assert "DAG files: 1 added (dags/repaired.py)" in told
    assert "removed" not in told  # against the last release, not against the last attempt
    deployed.up()
    assert release_number(deployed) == number + 1
    assert "DAG files: 1 added (dags/repaired.py)" in deployed.logs[-1]
    deployed.airflow.wait_for_dag("repaired", seconds=180)


def test_tests_that_fail_stop_a_deploy(deployed: Deployed, project: Path) -> None:
    (project / "tests" / "test_stock.py").write_text("def test_it() -> None:\n    assert 3 == 4\n")
    with nothing_changes(deployed):
        done = astro_pulumi(deployed, "deploy", "--pytest", "--yes")
    assert done.returncode == 1
    assert "Tests of the project have failed; no running workload was changed" in done.stdout
    assert "FAILED tests/test_stock.py::test_it - assert 3 == 4" in done.stdout
    assert ">       assert 3 == 4" in astro_pulumi(deployed, "logs", "pytest").stdout


@pytest.fixture
def deployed_dag(deployed: Deployed) -> Path:
    """A DAG that is deployed and that no other test needs."""
    file = deployed.project / "dags" / "repaired.py"
    if not file.exists():  # when a test runs alone
        file.write_text(dag("'repaired'"))
        deployed.up()
    return file


def test_a_flag_allows_what_the_configuration_refuses(
    deployed: Deployed, deployed_dag: Path
) -> None:
    """For one deploy, whose tests pass."""
    number = release_number(deployed)
    deployed.stack.configure({"astro:maxRemovedDags": f"{number + 1}:0"})
    config = deployed.stack.config_file.read_text()
    deployed_dag.unlink()

    done = astro_pulumi(deployed, "deploy", "--max-removed-dags", "1", "--pytest", "--yes")

    assert done.returncode == 0
    deployed.outputs = deployed.stack.outputs()
    assert release_number(deployed) == number + 1
    assert deployed.stack.config_file.read_text() == config
    assert "4 passed" in astro_pulumi(deployed, "logs", "pytest").stdout


def astro_pulumi(deployed: Deployed, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a user does."""
    program = str(Path(sys.executable).with_name("astro-pulumi"))
    started = time.monotonic()
    done = deployed.stack.capture([program, *arguments, "--stack", deployed.stack.name])
    seconds = time.monotonic() - started
    sys.stdout.write(f"$ {' '.join(arguments)}\n{done.stdout}{done.stderr}{seconds:.0f} s\n")
    return done


def release_number(deployed: Deployed) -> int:
    return int(deployed.outputs["release"].rpartition("-")[2])


def preview(deployed: Deployed) -> str:
    """What `preview` says of the project as it is now."""
    process = deployed.stack.start("preview")
    said, _ = process.communicate()
    assert process.returncode == 0, said
    sys.stdout.write(said)
    return said


def release_job_log(deployed: Deployed) -> str:
    """The log of the newest release Job. Older ones stay until a deploy goes well."""
    pods = [
        pod
        for pod in deployed.kube.all_pods(deployed.namespace)
        if component_of(pod) == "release-job"
    ]
    return deployed.kube.log(max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"])))
