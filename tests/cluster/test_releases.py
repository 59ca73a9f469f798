"""Releases on a real cluster and database: what ran is recorded, and one command goes back to it.

One small Deployment of its own. It begins with Airflow 2.11, goes to 3.3, back to 3.2, to 3.3 again and back
to 2.11; each version change serves several tests, since starting Airflow is what takes time. Every change
that a test needs anyway is begun once more before it, by a Pulumi that is killed somewhere in the middle.
The tests build on each other in the order of this file.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import urllib3
from rich.console import Console

from astro_pulumi.errors import ClusterError
from astro_pulumi.naming import AIRFLOW_CONTAINER
from local import platform as local_platform
from local.airflow_api import Airflow
from local.platform import Platform
from local.progress import Progress
from local.stack import Stack
from tests.cluster.airflow2 import Airflow2
from tests.cluster.conftest import free_node_port, remove_namespaces
from tests.cluster.kills import frozen_processes
from tests.cluster.kube import (
    AIRFLOW_COMPONENTS,
    Kube,
    component_of,
    identities,
    is_ready,
    wait_until,
)

STACK = "releases"
ASTRO_PULUMI = ("deploy", "history", "rollback", "status", "logs")
AIRFLOW_2, OLDER_AIRFLOW = "2.11.2", "3.2.2"
VARIABLE = ("kept", "still readable")
CONNECTION = {"connection_id": "kept", "conn_type": "http", "extra": '{"still": "readable"}'}


@dataclass
class Released:
    """The stack of the tests, driven by the command line as a user would."""

    directory: Path
    environment: dict[str, str]
    kube: Kube
    platform: Platform
    seconds: dict[str, float] = field(default_factory=dict)
    # Runs of `greeter` that have ended well: each Airflow after it has to know them.
    runs: list[str] = field(default_factory=list)

    @property
    def stack(self) -> Stack:
        return Stack(self.directory, STACK, self.environment)

    def command(self, *arguments: str) -> list[str]:
        program = "pulumi"
        if arguments[0] in ASTRO_PULUMI:
            program = str(Path(sys.executable).with_name("astro-pulumi"))
        return [program, *arguments, "--stack", STACK]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One command of `astro-pulumi` or `pulumi`."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env={**os.environ, **self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        shown = done.stdout if "--show-secrets" not in arguments else "(with a password)\n"
        sys.stdout.write(f"$ {' '.join(arguments)}\n{shown}{done.stderr}")
        return done

    def change(self, *arguments: str, **environment: str) -> str:
        """A command that must succeed; -> what it said."""
        started = time.monotonic()
        done = self.run(*arguments, "--yes", **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        self.seconds[f"{len(self.seconds) + 1}. {' '.join(arguments)}"] = round(
            time.monotonic() - started, 1
        )
        return done.stdout + done.stderr

    def refused(self, *arguments: str) -> str:
        """A command that must fail without a trace in what runs; -> what it said."""
        before, releases = identities(self.kube.pods(self.namespace)), numbers(self.history())
        done = self.run(*arguments, "--yes")
        assert done.returncode == 1, done.stdout + done.stderr
        assert identities(self.kube.pods(self.namespace)) == before
        assert numbers(self.history()) == releases
        return done.stdout + done.stderr

    def kill(
        self,
        *arguments: str,
        when: Callable[[str], bool],
        frozen: Callable[[], None] = lambda: None,
    ) -> None:
        """Start a command, and kill it with all its processes when `when` is true for its output.

        `frozen` is called just before, while Pulumi cannot do anything any more.
        """
        log = self.directory.parent / "killed.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                self.command(*arguments, "--yes"),
                cwd=self.directory,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 900
        while not when(log.read_text()):
            assert process.poll() is None, f"it ended before it was killed: {log.read_text()}"
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        with frozen_processes(process):
            frozen()
        sys.stdout.write(f"$ {' '.join(arguments)}\n{log.read_text()}killed\n")

    def end_task(self, worker: dict[str, Any]) -> None:
        """Lets the task that a worker's pod runs come to its end; it may have done so already."""
        with contextlib.suppress(ClusterError):
            command = ("touch", "/tmp/enough")  # noqa: S108
            self.kube.execute(worker, *command, container=AIRFLOW_CONTAINER)

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """For what a person does to a cluster by hand."""
        return subprocess.run(
            ["kubectl", "-n", self.namespace, *arguments],
            env={**os.environ, **self.environment},
            input=given,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def history(self) -> list[dict[str, Any]]:
        """The newest first."""
        listed: list[dict[str, Any]] = json.loads(self.run("history", "--json").stdout)
        return listed

    def assert_healthy(self) -> None:
        """What runs is what the current release says."""
        status = json.loads(self.run("status", "--json").stdout)
        assert status["healthy"], status
        assert status["queues"] == {"default": 0}, status

    def outputs(self) -> dict[str, Any]:
        done = self.run("stack", "output", "--json", "--show-secrets")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    @cached_property
    def namespace(self) -> str:
        return str(self.outputs()["namespace"])

    @cached_property
    def _login(self) -> tuple[str, str, str]:
        outputs = self.outputs()
        return (outputs["webserver_url"], outputs["admin_username"], outputs["admin_password"])

    @property
    def airflow(self) -> Airflow:
        """A new client: one of before may hold connections to pods that are gone."""
        return Airflow(*self._login)

    @property
    def airflow_2(self) -> Airflow2:
        return Airflow2(*self._login)

    def use_runtime(self, airflow: str | None) -> None:
        """Makes the project one of another version; None is the platform's own."""
        image = self.platform.runtime_image
        if airflow:
            with Progress(Console(stderr=True, highlight=False)) as progress:
                image = local_platform.runtime(airflow, progress)
        (self.directory / "project" / "Dockerfile").write_text(f"FROM {image}\n")


@pytest.fixture(scope="module")
def released(
    platform: Platform,
    kube: Kube,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Released]:
    """The first release, after a Pulumi that was killed while it built the image."""
    released = new_released(tmp_path_factory.mktemp("releases"), platform, kube)
    released.use_runtime(AIRFLOW_2)
    try:
        released.kill("deploy", when=lambda said: "releases-image creating" in said)
        released.change("deploy", "--description", "the first")
        yield released
    finally:
        remove_namespaces(released.stack, platform)
        sys.stderr.write(f"seconds: {json.dumps(released.seconds)}\n")


def new_released(parent: Path, platform: Platform, kube: Kube) -> Released:
    """The stack, with the settings of this platform. Nothing is deployed."""
    directory = parent / "program"
    shutil.copytree(Path(__file__).parent / "releases", directory)
    (directory / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    backend = parent / "backend"
    backend.mkdir()
    settings = {
        "kubernetes:context": platform.context,
        "releases:repository": f"{platform.registry}/releases-test",
        "releases:databaseImage": platform.postgres_image,
        "releases:brokerImage": platform.redis_image,
        "releases:nodePort": str(free_node_port(kube)),
    }
    lines = [f"  {key}: {json.dumps(value)}" for key, value in settings.items()]
    (directory / f"Pulumi.{STACK}.yaml").write_text("\n".join(["config:", *lines, ""]))
    return Released(
        directory,
        {
            **platform.environment(),
            # Without files of metadata, which a killed CLI may leave half written.
            "PULUMI_BACKEND_URL": f"file://{backend}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE": "the passphrase of a test",
        },
        kube,
        platform,
    )


def numbers(history: list[dict[str, Any]]) -> list[int]:
    return [release["number"] for release in history]


def test_a_release_says_what_ran(released: Released) -> None:
    (first,) = released.history()
    assert first["number"] == 1
    assert first["current"] is True
    assert first["image"] == released.outputs()["image"]
    assert first["airflow_version"] == AIRFLOW_2
    assert first["dags"] == ["greeter"]
    assert set(first["heads"]) == {"core"}
    assert first["description"] == "the first"
    assert first["configuration"]["environment"]["OPEN_SECRET"] == {"secret": True}
    released.assert_healthy()


@pytest.fixture(scope="module")
def kept(released: Released) -> None:
    """A finished run of Airflow 2, and what is encrypted in the database."""
    airflow = released.airflow_2
    airflow.wait_for_dag("greeter", seconds=300)
    run = airflow.start_run("greeter", conf={"seconds": 0})
    assert airflow.wait_for_run("greeter", run, seconds=300) == "success"
    airflow.set_variable(*VARIABLE)
    airflow._call("POST", "connections", CONNECTION)
    released.runs.append(run)


def assert_history_is_kept(released: Released, airflow: Airflow) -> None:
    for run in released.runs:
        assert_done_at_the_first_try(airflow, run)
        assert xcom(airflow, run)
    assert airflow.get(f"variables/{VARIABLE[0]}")["value"] == VARIABLE[1]
    found = airflow.get(f"connections/{CONNECTION['connection_id']}")
    assert json.loads(found["extra"]) == json.loads(CONNECTION["extra"])


def xcom(airflow: Airflow, run: str) -> str:
    path = f"dags/greeter/dagRuns/{run}/taskInstances/greet/xcomEntries/return_value"
    return str(airflow.get(path)["value"])


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def names_of_jobs(released: Released) -> set[str]:
    jobs = released.kube.objects("Job", released.namespace)
    return {job["metadata"]["name"] for job in jobs}


def roll_out_times(released: Released) -> dict[str, tuple[datetime, datetime]]:
    """Return for each component when its pod was created, and when it was ready."""
    found = {}
    for pod in released.kube.pods(released.namespace):
        ready = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready")
        found[component_of(pod)] = (
            time_of(pod["metadata"]["creationTimestamp"]),
            time_of(ready["lastTransitionTime"]),
        )
    return found


def assert_rolled_out_in_turn(released: Released) -> None:
    """Kubernetes' times are in whole seconds."""
    times = roll_out_times(released)
    middle = [times[one] for one in ("scheduler", "triggerer", "dag-processor") if one in times]
    assert all(times["webserver"][1] <= made for made, _ in middle), times
    assert all(ready <= times["worker"][0] for _, ready in middle), times


def test_to_airflow_3_processes_roll_out_in_turn_and_history_is_kept(
    released: Released, kept: None
) -> None:
    """Pulumi is killed while the release Job migrates; the next one carries on."""
    released.use_runtime(None)
    released.kill("deploy", when=lambda said: runs(released, "release-job"))

    released.change("deploy")

    newest = released.history()[0]
    assert newest["airflow_version"].startswith("3.")
    assert set(newest["heads"]) == {"core", "fab"}
    released.assert_healthy()
    assert_rolled_out_in_turn(released)
    assert_history_is_kept(released, released.airflow)


def runs(released: Released, component: str) -> bool:
    return any(
        pod["status"].get("phase") == "Running"
        for pod in released.kube.all_pods(released.namespace)
        if component_of(pod) == component
    )


def test_nothing_to_do_adds_no_release(released: Released) -> None:
    before = numbers(released.history())
    said = released.change("up")
    assert numbers(released.history()) == before
    assert "created" not in said
    assert "replaced" not in said


def test_a_rollback_brings_back_image_and_configuration_and_loses_no_task(
    released: Released,
) -> None:
    """Without Docker. Before it a deploy is killed while workloads roll out."""
    dags = released.directory / "project" / "dags"
    (dags / "second.py").write_text((dags / "greeter.py").read_text().replace("greeter", "second"))
    arguments = ("up", "--config", "releases:greeting=good evening")
    released.kill(*arguments, when=lambda said: "releases-worker-default updating" in said)
    released.run("cancel", "--yes")  # plain `pulumi up` leaves the lock to its user
    began = datetime.now(UTC)
    released.change(*arguments)
    assert released.history()[0]["dags"] == ["greeter", "second"]
    times = roll_out_times(released)
    if times["webserver"][0] >= began:  # else it is of the deploy that was killed
        assert times["worker"][0] <= times["webserver"][1], "all at once within a version"
    run = released.airflow.start_run("greeter", conf={"seconds": 60})
    wait_for_running_task(released, run)
    (worker,) = released.kube.pods(released.namespace, "worker")

    said = released.change("rollback", DOCKER_HOST="unix:///no/docker.sock")
    released.end_task(worker)

    newest, changed, before = released.history()[:3]
    assert (newest["restores"], newest["rolled_back_from"]) == (
        before["number"],
        changed["number"],
    )
    assert newest["image"] == before["image"] != changed["image"]
    assert newest["configuration"] == before["configuration"]
    assert "pinned" in said
    released.assert_healthy()
    airflow = released.airflow
    assert_done_at_the_first_try(airflow, run)
    assert xcom(airflow, run) == "good evening"  # its worker was the old one
    released.runs.append(run)
    run = airflow.start_run("greeter")
    assert airflow.wait_for_run("greeter", run, seconds=300) == "success"
    assert xcom(airflow, run) == "hello"


def test_a_pinned_stack_says_so_and_stays(released: Released) -> None:
    newest = released.history()[0]
    said = released.change("up")
    assert f"pinned to release {newest['restores']}" in said
    assert released.history()[0] == newest


def test_deploy_goes_forward_again(released: Released) -> None:
    """Pulumi is killed when every workload is ready and the record is not written."""
    before = released.history()
    old = identities(released.kube.pods(released.namespace))

    def new() -> list[dict[str, Any]]:
        pods = released.kube.pods(released.namespace)
        return [pod for pod in pods if pod["metadata"]["name"] not in old]

    released.kill(
        "deploy",
        when=lambda said: set(map(component_of, new())) == AIRFLOW_COMPONENTS,
        frozen=lambda: wait_until("all are ready", lambda: all(map(is_ready, new())), 300),
    )
    assert released.history() == before

    released.change("deploy")

    newest, _, changed = released.history()[:3]
    assert newest["image"] == changed["image"]
    assert "restores" not in newest
    released.assert_healthy()


def test_a_record_that_was_deleted_by_hand_is_missed_before_anything_changes(
    released: Released,
) -> None:
    gone = released.history()[1]["number"]
    released.kubectl("delete", "configmap", f"releases-release-{gone}")
    said = released.refused("rollback", str(gone))
    assert f"There is no release {gone}. Releases: 1, " in said


def test_an_image_that_is_gone_is_missed_before_anything_changes(released: Released) -> None:
    target = next(one for one in released.history() if one["dags"] == ["greeter"])
    kept, jobs = delete_from_registry(target["image"]), names_of_jobs(released)
    try:
        said = released.refused("rollback", str(target["number"]))
    finally:
        kept()
    assert names_of_jobs(released) == jobs, "a release Job waited for the image"
    assert f"The image of release {target['number']}, {target['image']}, is not in" in said
    assert "Nothing was changed" in said


def delete_from_registry(image: str) -> Callable[[], None]:
    """Deletes the manifest of an image; -> what brings it back."""
    repository, _, digest = image.partition("@")
    server, _, name = repository.partition("/")
    url = f"http://{server}/v2/{name}/manifests/{digest}"
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    answer = urllib3.request("GET", url, headers={"Accept": kind})
    assert answer.status == 200, answer.data
    assert urllib3.request("DELETE", url).status == 202

    def bring_back() -> None:
        put = urllib3.request("PUT", url, body=answer.data, headers={"Content-Type": kind})
        assert put.status == 201, put.data

    return bring_back


def test_a_downgrade_can_be_refused(released: Released) -> None:
    released.use_runtime(OLDER_AIRFLOW)
    released.run("config", "set", "releases:databaseDowngrade", "refuse")
    said = released.refused("deploy")
    assert 'database_downgrade is "refuse"; nothing was changed' in said
    released.run("config", "set", "releases:databaseDowngrade", "allow")


def test_an_older_airflow_takes_the_database_back(released: Released, kept: None) -> None:
    """Pulumi is killed while the clients of the database stop, one of which runs a task.

    The task ends in the grace period of its worker, and the next `up` continues.
    """
    airflow = released.airflow
    run = airflow.start_run("greeter", conf={"seconds": 600})
    wait_for_running_task(released, run)
    (worker,) = released.kube.pods(released.namespace, "worker")
    released.kill("deploy", when=lambda said: not released.kube.pods(released.namespace, "worker"))
    assert [task["state"] for task in airflow.task_instances("greeter", run)] == ["running"]
    released.end_task(worker)
    released.runs.append(run)

    released.change("deploy")

    newest, before = released.history()[:2]
    assert newest["airflow_version"] == OLDER_AIRFLOW
    assert newest["heads"]["core"] != before["heads"]["core"]
    released.assert_healthy()
    assert_rolled_out_in_turn(released)
    airflow = released.airflow
    assert_history_is_kept(released, airflow)
    run = airflow.start_run("greeter")
    assert airflow.wait_for_run("greeter", run, seconds=300) == "success"
    released.runs.append(run)


def test_a_rollback_to_the_newer_airflow_migrates_again(released: Released, kept: None) -> None:
    released.change("rollback")
    newest = released.history()[0]
    assert newest["airflow_version"] not in (OLDER_AIRFLOW, AIRFLOW_2)
    released.assert_healthy()
    assert_history_is_kept(released, released.airflow)


def test_back_to_airflow_2_in_one_command_from_far_too_many_records(
    released: Released, kept: None
) -> None:
    """With a dump of the database on the way."""
    before = released.history()[0]["number"]
    make_records_by_hand(released, range(100, 160))
    assert len(released.history()) > 60

    said = released.change("rollback", "1")

    assert "downgrades the database" in said
    assert "DAG runs without a logical date" in said
    del released.runs[1:]  # they are such: Airflow's downgrade takes them out
    history = released.history()
    assert numbers(history) == list(range(160, 110, -1))
    assert history[0]["airflow_version"] == AIRFLOW_2
    assert_dump_is_whole(released, before)
    released.assert_healthy()
    airflow = released.airflow_2
    assert_history_is_kept(released, airflow)
    run = airflow.start_run("greeter", conf={"seconds": 0})
    assert airflow.wait_for_run("greeter", run, seconds=300) == "success"


def assert_dump_is_whole(released: Released, before: int) -> None:
    """The dump was made while `before` was the current release. Read in a pod like the database's own."""
    kind, name = "statefulset", "releases-postgresql"
    server = json.loads(released.kubectl("get", kind, name, "-o", "json"))
    pod = server["spec"]["template"]["spec"]
    container = pod["containers"][0]
    script = f"pg_restore --list /backups/release-{before}-*.dump"
    mounts = [m for m in container["volumeMounts"] if m["name"] != "data"]
    keys = ("name", "image", "securityContext")
    reader = {
        **{key: container[key] for key in keys},
        "args": ["sh", "-c", script],
        "volumeMounts": [*mounts, {"name": "backups", "mountPath": "/backups"}],
    }
    claim = {"name": "backups", "persistentVolumeClaim": {"claimName": "releases-backups"}}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "dump-reader"},
        "spec": {
            **pod,
            "containers": [reader],
            "volumes": [*pod["volumes"], claim],
            "restartPolicy": "Never",
        },
    }
    released.kubectl("create", "-f", "-", given=json.dumps(manifest))
    released.kubectl(
        "wait", "pod/dump-reader", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=300s"
    )
    contents = released.kubectl("logs", "dump-reader")
    released.kubectl("delete", "pod", "dump-reader")  # or the claim could not be deleted
    assert "TABLE DATA public dag_run airflow" in contents


def make_records_by_hand(released: Released, numbers: range) -> None:
    """Copies of the newest record, of before some arguments existed."""
    newest = released.history()[0]["number"]
    name = f"releases-release-{newest}"
    record = json.loads(released.kubectl("get", "configmap", name, "-o", "json"))
    metadata = record["metadata"]
    items = []
    for number in numbers:
        labels = {**metadata["labels"], "astro-pulumi/release": str(number)}
        data = {**record["data"], "number": str(number)}
        data.pop("restores", None)
        items.append(
            {
                **{key: record[key] for key in ("apiVersion", "kind", "immutable")},
                "metadata": {"name": f"releases-release-{number}", "labels": labels},
                "data": data,
            }
        )
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    released.kubectl("create", "-f", "-", given=everything)


def assert_done_at_the_first_try(airflow: Airflow, run: str) -> None:
    assert airflow.wait_for_run("greeter", run, seconds=300) == "success"
    (task,) = airflow.task_instances("greeter", run)
    assert task["try_number"] == 1


def wait_for_running_task(released: Released, run: str) -> None:
    airflow = released.airflow

    def runs_now() -> bool:
        states = [task["state"] for task in airflow.task_instances("greeter", run)]
        print(f"{run}: {airflow.run_state('greeter', run)}, tasks {states}")
        return "running" in states

    try:
        wait_until("the task runs", runs_now, 300)
    except AssertionError:
        for component in ("scheduler", "worker"):
            released.run("logs", component, "--tail", "200")
        raise
