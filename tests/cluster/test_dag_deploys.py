"""DAG deploys on a real cluster: nothing restarts, and every DAG run keeps the code that it began with.

One Airflow for the whole module. Each deploy continues where the one before has ended.
"""

import hashlib
import json
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from local.airflow_api import Airflow, AirflowError
from local.platform import Platform
from local.stack import StackError
from tests.cluster.conftest import Deployed, new_quickstart, remove_namespaces
from tests.cluster.kube import Kube, Object, component_of, identities, images, wait_until

# Each task says which version of the code it runs, by three ways of finding a file beside it.
DAG = """\
import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, Variable, dag, get_current_context, task

HERE = Path(__file__).with_name("version.txt").read_text()


def version():
    from dags.shared import VERSION

    home = Path(os.environ["AIRFLOW_HOME"], "dags", "version.txt").read_text()
    return f"{HERE} {VERSION} {home} {Path('dags/version.txt').read_text()}"


@dag(schedule=None)
def versions():
    @task
    def first():
        name = get_current_context()["run_id"]
        while Variable.get(f"go_{name}", default="") != "yes":
            time.sleep(0.5)
        return version()

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def retried(before):
        if get_current_context()["ti"].try_number == 1:
            raise RuntimeError("once more")
        return version()

    class Deferred(BaseOperator):
        def execute(self, context):
            self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="resume")

        def resume(self, context, event=None):
            return version()

    @task
    def mapped(number, before):
        return version()

    began = first()
    deferred = Deferred(task_id="deferred")
    command = "echo $(cat $AIRFLOW_HOME/dags/version.txt)"
    began >> deferred >> BashOperator(task_id="shell", bash_command=command)
    mapped.partial(before=retried(began)).expand(number=[1, 2])


versions()
"""


@dataclass
class WithDags(Deployed):
    """The quickstart with DAG deploys."""

    @property
    def dags(self) -> Path:
        return self.project / "dags"

    def write(self, version: str) -> None:
        """Writes the DAG and the files that it reads, all of one version."""
        (self.dags / "version.txt").write_text(version)
        (self.dags / "shared.py").write_text(f"VERSION = {version!r}\n")

    def deploy(self, version: str) -> dict[str, str]:
        """Deploys a version of the DAGs; -> the record of the release."""
        self.write(version)
        self.up()
        return self.record()

    def record(self) -> dict[str, str]:
        name = self.outputs["release"]
        records = self.kube.objects("ConfigMap", self.namespace)
        found: dict[str, str] = next(r for r in records if r["metadata"]["name"] == name)["data"]
        return found

    def pods(self) -> dict[str, tuple[str, int]]:
        return identities(self.kube.pods(self.namespace))

    def release_job_pods(self) -> list[Object]:
        return [
            pod for pod in self.kube.all_pods(self.namespace) if component_of(pod) == "release-job"
        ]

    def running_job(self) -> Object:
        """The pod of the release Job, as soon as it runs."""
        found: list[Object] = []

        def runs() -> bool:
            jobs = self.release_job_pods()
            found[:] = [job for job in jobs if job["status"].get("phase") == "Running"]
            return bool(found)

        wait_until("the release Job runs", runs, 270)
        return found[0]

    def cli(self, *arguments: str) -> Any:
        program = str(Path(sys.executable).with_name("astro-pulumi"))
        done = self.stack.capture([program, *arguments, "--json", "--stack", self.stack.name])
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def roll_back(self, release: str) -> dict[str, str]:
        """Goes back to an earlier release; -> the record of the new one. The stack does not stay pinned."""
        settings = self.stack.config_file.read_text()
        self.stack.configure({"astro:rollbackTo": release})
        try:
            self.up()
        finally:
            self.stack.config_file.write_text(settings)
        return self.record()

    def values(self, run: str, dag_id: str = "versions") -> dict[str, Any]:
        """What the tasks of a run have returned, by task and number."""
        airflow = self.airflow
        found = {}
        for task in airflow.task_instances(dag_id, run):
            where = f"dags/{dag_id}/dagRuns/{run}/taskInstances/{task['task_id']}"
            number = task["map_index"]
            entry = airflow.get(f"{where}/xcomEntries/return_value", map_index=number)
            found[f"{task['task_id']} {number}"] = entry["value"]
        return found

    def start(self, run: str, dag_id: str = "versions", running: int = 1) -> None:
        """Starts a run; returns when so many of its tasks are running."""
        self.airflow.start_run(dag_id, run)
        self.wait_for_running(run, running, dag_id)

    def wait_for_running(self, run: str, count: int, dag_id: str = "versions") -> None:
        """Returns when so many tasks of a run are running."""
        airflow = self.airflow

        def running() -> int:
            states = [task["state"] for task in airflow.task_instances(dag_id, run)]
            return states.count("running")

        wait_until(f"{count} tasks of {run} run", lambda: running() == count, 270)

    def finish(self, run: str, dag_id: str = "versions") -> dict[str, Any]:
        self.airflow.set_variable(f"go_{run}", "yes")
        airflow = self.airflow
        state = airflow.wait_for_run(dag_id, run, 300)
        assert state == "success", airflow.describe_failure(dag_id, run)
        return self.values(run, dag_id)


@pytest.fixture(scope="module")
def deployed(
    platform: Platform, kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WithDags]:
    with deployed_with(platform, kube, tmp_path_factory.mktemp("dags")) as made:
        yield made


@contextmanager
def deployed_with(
    platform: Platform,
    kube: Kube,
    directory: Path,
    dag_deploys: bool = True,
    more_dags: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[WithDags]:
    """The quickstart with the DAG of this module, for the body of a `with`."""
    stack = new_quickstart(directory, platform, kube, "dags", dagDeploys=dag_deploys)
    made = WithDags(stack, platform, kube)
    shutil.rmtree(made.dags)
    made.dags.mkdir()
    for name, text in {"versions.py": DAG, **more_dags}.items():
        (made.dags / name).write_text(text)
    made.write("one")
    try:
        made.up()
        made.airflow.wait_until_healthy(300)
        yield made
    finally:
        remove_namespaces(stack, platform)


def all_of(version: str) -> dict[str, Any]:
    four = " ".join([version] * 4)
    return {
        "first -1": four,
        "retried -1": four,
        "deferred -1": four,
        "mapped 0": four,
        "mapped 1": four,
        "shell -1": version,
    }


def test_a_run_keeps_its_code_through_two_deploys_that_restart_nothing(deployed: WithDags) -> None:
    assert deployed.record()["deploy"] == "image"
    deployed.start("old")
    before = deployed.pods()
    for version in ("two", "three"):
        record = deployed.deploy(version)
        assert record["deploy"] == "dags"
        assert "(DAG deploy: no process restarts)" in deployed.logs[-1]
        assert deployed.pods() == before
    (image,) = {image for pod in deployed.kube.pods(deployed.namespace) for image in images(pod)}
    assert image == record["podsImage"] != record["image"]
    assert deployed.cli("status")["dags"]["unfinished"] == {first_version(deployed): 1}
    deployed.start("new")
    assert deployed.finish("old") == all_of("one")
    assert deployed.finish("new") == all_of("three")


def first_version(deployed: WithDags) -> str:
    return str(deployed.cli("history")[-1]["dag_version"])


def test_every_dag_file_is_that_of_the_project(deployed: WithDags) -> None:
    (pod,) = deployed.kube.pods(deployed.namespace, "dag-processor")
    folder = "/tmp/airflow/dag_bundles/dags-folder/current/dags"  # noqa: S108 in the pod
    listed = deployed.kube.execute(
        pod, "sh", "-c", f"cd {folder} && find . -type f | xargs sha256sum", container="airflow"
    )
    found = {line.split()[1].removeprefix("./"): line.split()[0] for line in listed.splitlines()}
    own = {
        path.relative_to(deployed.dags).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in deployed.dags.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert found == own


def test_a_cleared_task_runs_its_own_version(deployed: WithDags) -> None:
    body = {"dry_run": False, "dag_run_id": "old", "task_ids": ["retried"], "only_failed": False}
    deployed.airflow._call("POST", "dags/versions/clearTaskInstances", body)
    assert deployed.airflow.wait_for_run("versions", "old", 180) == "success"
    assert deployed.values("old") == all_of("one")


def test_dags_that_cannot_be_imported_change_nothing(deployed: WithDags) -> None:
    before, version = deployed.pods(), deployed.cli("status")["dags"]["parsed"]
    bad = {
        "syntax.py": "# airflow DAG\nimport nothing_that_is_there\n",
        "fixed.py": "# airflow DAG\nFOLDER = '/usr/local/airflow/dags/sql'\n",
    }
    for name, text in bad.items():
        (deployed.dags / name).write_text(text)
        with pytest.raises(StackError):
            deployed.up()
        assert f"dags/{name}:2" in deployed.logs[-1]
        (deployed.dags / name).unlink()
    assert deployed.cli("status")["dags"]["parsed"] == version
    assert deployed.pods() == before


@contextmanager
def import_errors(deployed: WithDags) -> Iterator[list[str]]:
    """Import errors, and stale and missing DAGs, that appear at any time during the body of a `with`."""
    found: list[str] = []
    done = threading.Event()
    known = deployed.airflow.dag_ids()

    def watch() -> None:
        while not done.wait(0.5):
            try:
                airflow: Airflow = deployed.airflow
                errors = airflow.get("importErrors")["import_errors"]
                dags = airflow.get("dags", exclude_stale="false")["dags"]
            except AirflowError:  # the webserver is being replaced
                continue
            answers.append(time.monotonic())
            found.extend(error["stack_trace"] for error in errors)
            found.extend(f"{dag['dag_id']} is stale" for dag in dags if dag["is_stale"])
            found.extend(f"{name} is missing" for name in known - {dag["dag_id"] for dag in dags})

    answers: list[float] = []
    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield found
    finally:
        done.set()
        watching.join()
    assert len(answers) > 5


def test_dags_that_need_another_image_are_parsed_by_it_alone(deployed: WithDags) -> None:
    (deployed.project / "include" / "newest.py").write_text("ANSWER = 42\n")
    dag = """\
        from airflow.sdk import dag, task
        from include.newest import ANSWER

        @dag(schedule=None)
        def newest():
            @task
            def say():
                return ANSWER

            say()

        newest()
        """
    (deployed.dags / "newest.py").write_text(textwrap.dedent(dag))
    before = deployed.pods()
    with import_errors(deployed) as found:
        record = deployed.deploy("four")
        deployed.airflow.wait_for_dag("newest", 180)
    assert found == []
    assert record["deploy"] == "image"
    assert "(image deploy: processes restart)" in deployed.logs[-1]
    assert not set(before) & set(deployed.pods())


def test_a_rollback_to_dags_for_the_same_image_restarts_nothing(deployed: WithDags) -> None:
    version = deployed.record()["dagVersion"]
    deployed.deploy("five")
    before = deployed.pods()
    record = deployed.roll_back("previous")
    assert (record["deploy"], record["dagVersion"]) == ("dags", version)
    assert deployed.pods() == before


def test_a_dag_processor_and_a_webserver_that_die_meanwhile(deployed: WithDags) -> None:
    deployed.write("six")

    def kill() -> None:
        """Ends both when the release Job runs."""
        deployed.running_job()
        for component in ("dag-processor", "webserver"):
            for pod in deployed.kube.pods(deployed.namespace, component):
                deployed.kube.delete_pod(deployed.namespace, pod["metadata"]["name"])

    killing = threading.Thread(target=kill)
    killing.start()
    deployed.up()
    killing.join()
    assert deployed.record()["deploy"] == "dags"
    deployed.start("six")
    assert deployed.finish("six") == all_of("six")


def test_without_dag_deploys_everything_is_still_there(deployed: WithDags) -> None:
    deployed.start("last")
    deployed.airflow._call("PATCH", "dags/newest?update_mask=is_paused", {"is_paused": False})
    deployed.stack.configure({"quickstart:dagDeploys": False})
    with import_errors(deployed) as found:
        record = deployed.deploy("seven")
    assert found == []
    assert "dagVersion" not in record
    assert {dag["dag_id"]: dag["is_paused"] for dag in deployed.airflow.get("dags")["dags"]} == {
        "newest": False,
        "versions": False,
    }
    values = deployed.finish("last")
    assert values["first -1"] == all_of("six")["first -1"], "its worker has drained"
    assert deployed.airflow.run_state("versions", "old") == "success"
