"""Releases on a real cluster and database: what ran is recorded, and one command goes back to it.

One small Deployment of its own; the tests build on each other in the order of this file.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local import platform as local_platform
from local.airflow_api import Airflow
from local.platform import Platform
from local.progress import Progress
from tests.cluster.conftest import ENGINES, free_node_port
from tests.cluster.kube import Kube

STACK = "releases"
OLDER_AIRFLOW = "3.2.2"


@dataclass
class Released:
    """The stack of the tests, driven by the command line as a user would."""

    directory: Path
    environment: dict[str, str]
    engine: str
    base_image: str
    older_image: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One `astro-pulumi` command."""
        program = Path(sys.executable).with_name("astro-pulumi")
        done = subprocess.run(
            [str(program), *arguments, "--stack", STACK],
            cwd=self.directory,
            env={**os.environ, **self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        sys.stdout.write(f"$ astro-pulumi {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return done

    def kubectl(self, *arguments: str) -> str:
        """For what a person does to a cluster by hand."""
        return subprocess.run(
            ["kubectl", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def change(self, *arguments: str, **environment: str) -> str:
        """A command that must succeed; -> what it said."""
        started = time.monotonic()
        done = self.run(*arguments, "--yes", "--engine", self.engine, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        self.seconds[" ".join(arguments)] = time.monotonic() - started
        return done.stdout + done.stderr

    def history(self) -> list[dict[str, Any]]:
        """The newest first."""
        listed: list[dict[str, Any]] = json.loads(self.run("history", "--json").stdout)
        return listed

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("outputs", "--json", "--show-secrets").stdout)
        return found

    @property
    def airflow(self) -> Airflow:
        outputs = self.outputs()
        return Airflow(
            outputs["webserver_url"], outputs["admin_username"], outputs["admin_password"]
        )

    def use_base_image(self, image: str) -> None:
        (self.directory / "project" / "Dockerfile").write_text(f"FROM {image}\n")

    def assert_healthy(self) -> None:
        """What runs is what the current release says."""
        status = self.status()
        assert status["healthy"], status


@pytest.fixture(scope="module", params=[engine.value for engine in ENGINES])
def released(
    request: pytest.FixtureRequest,
    platform: Platform,
    kube: Kube,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Released]:
    """The first release."""
    directory = tmp_path_factory.mktemp("releases") / "program"
    shutil.copytree(Path(__file__).parent / "releases", directory)
    (directory / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    backend = directory.parent / "backend"
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
    released = Released(
        directory,
        {
            **platform.environment(),
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONFIG_PASSPHRASE": "the passphrase of a test",
        },
        request.param,
        platform.runtime_image,
    )
    released.use_base_image(platform.runtime_image)
    try:
        released.change("deploy", "--description", "the first")
        yield released
    finally:
        released.run("destroy", "--yes", "--engine", request.param)
        sys.stderr.write(f"seconds: {json.dumps(released.seconds)}\n")


def numbers(history: list[dict[str, Any]]) -> list[int]:
    return [release["number"] for release in history]


def test_a_release_says_what_ran(released: Released) -> None:
    (first,) = released.history()
    assert first["number"] == 1
    assert first["current"] is True
    assert first["image"] == released.outputs()["image"]
    assert first["airflow_version"].startswith("3.")
    assert first["dags"] == ["greeter"]
    assert set(first["heads"]) == {"core", "fab"}
    assert first["description"] == "the first"
    assert first["configuration"]["environment"] == {
        "GREETING": "hello",
        "OPEN_SECRET": {"secret": True},
    }


def test_nothing_to_do_adds_no_release(released: Released) -> None:
    said = released.change("up")
    assert numbers(released.history()) == [1]
    assert "created" not in said
    assert "replaced" not in said


def test_a_rollback_brings_back_image_and_configuration_without_docker(released: Released) -> None:
    dags = released.directory / "project" / "dags"
    (dags / "second.py").write_text((dags / "greeter.py").read_text().replace("greeter", "second"))
    released.change("up", "--config", "releases:greeting=good evening")
    assert released.history()[0]["dags"] == ["greeter", "second"]

    said = released.change("rollback", DOCKER_HOST="unix:///no/docker.sock")

    newest, second, first = released.history()
    assert (newest["number"], newest["restores"], newest["rolled_back_from"]) == (3, 1, 2)
    assert newest["image"] == first["image"] != second["image"]
    assert newest["configuration"] == first["configuration"]
    assert "pinned" in said
    released.assert_healthy()
    airflow = released.airflow
    airflow.wait_for_dag("greeter", seconds=60)
    run = airflow.start_run("greeter")
    assert airflow.wait_for_run("greeter", run, seconds=120) == "success"
    entry = airflow.get(f"dags/greeter/dagRuns/{run}/taskInstances/greet/xcomEntries/return_value")
    assert "hello" in entry["value"]


def test_a_pinned_stack_says_so_and_stays(released: Released) -> None:
    said = released.change("up")
    assert "pinned to release 1" in said
    assert numbers(released.history()) == [3, 2, 1]


def test_deploy_goes_forward_again_while_a_task_runs(released: Released) -> None:
    airflow = released.airflow
    run = airflow.start_run("greeter", conf={"seconds": 40})
    wait_for_running_task(airflow, run)

    released.change("deploy")

    newest, *_, second, _ = released.history()
    assert newest["number"] == 4
    assert newest["image"] == second["image"]
    assert released.airflow.wait_for_run("greeter", run, seconds=120) == "success"
    (task,) = released.airflow.task_instances("greeter", run)
    assert task["try_number"] == 1


def test_a_record_that_was_deleted_by_hand_is_missed_before_anything_changes(
    released: Released,
) -> None:
    namespace = released.outputs()["namespace"]
    released.kubectl("-n", namespace, "delete", "configmap", "releases-release-2")
    done = released.run("rollback", "2", "--yes", "--engine", released.engine)
    assert done.returncode != 0
    assert "There is no release 2. There are: 1, 3, 4; 4 is current." in done.stderr
    assert numbers(released.history()) == [4, 3, 1]


@pytest.fixture(scope="module")
def with_history(released: Released) -> tuple[str, str]:
    """A finished run, and a Variable that is encrypted in the database. -> run, value"""
    airflow = released.airflow
    run = airflow.start_run("greeter")
    assert airflow.wait_for_run("greeter", run, seconds=120) == "success"
    airflow.set_variable("kept", "still readable")
    return run, "still readable"


def assert_history_is_kept(released: Released, with_history: tuple[str, str]) -> None:
    run, value = with_history
    airflow = released.airflow
    assert airflow.run_state("greeter", run) == "success"
    assert airflow.get("variables/kept")["value"] == value
    path = f"dags/greeter/dagRuns/{run}/taskInstances/greet/xcomEntries/return_value"
    assert airflow.get(path)["value"]


@pytest.fixture(scope="module")
def older_image(released: Released) -> str:
    """The runtime of the Airflow before; built on demand."""
    with Progress(Console(stderr=True, highlight=False)) as progress:
        return local_platform.runtime(OLDER_AIRFLOW, progress)


def test_an_older_airflow_takes_the_database_back(
    released: Released, with_history: tuple[str, str], older_image: str
) -> None:
    """The engine is killed while the database is being downgraded; the next `up` carries on."""
    released.use_base_image(older_image)
    namespace = released.outputs()["namespace"]
    kill_when_a_downgrade_runs(released, namespace)

    released.change("deploy")

    newest, before = released.history()[:2]
    assert newest["airflow_version"] == OLDER_AIRFLOW
    assert newest["heads"]["core"] != before["heads"]["core"]
    released.assert_healthy()
    assert_history_is_kept(released, with_history)
    airflow = released.airflow
    run = airflow.start_run("greeter")
    assert airflow.wait_for_run("greeter", run, seconds=120) == "success"


def test_a_rollback_to_the_newer_airflow_migrates_again(
    released: Released, with_history: tuple[str, str]
) -> None:
    released.change("rollback")
    newest = released.history()[0]
    assert newest["airflow_version"] != OLDER_AIRFLOW
    assert newest["restores"] == 4
    released.assert_healthy()
    assert_history_is_kept(released, with_history)


def test_a_rollback_across_versions_is_one_command(
    released: Released, with_history: tuple[str, str]
) -> None:
    older = next(r for r in released.history() if r["airflow_version"] == OLDER_AIRFLOW)
    said = released.change("rollback", str(older["number"]))
    assert "downgrades the database" in said
    released.assert_healthy()
    assert_history_is_kept(released, with_history)


def test_the_history_limit_is_kept(released: Released) -> None:
    assert len(released.history()) <= 5


def wait_for_running_task(airflow: Airflow, run: str) -> None:
    deadline = time.monotonic() + 60
    while not any(t["state"] == "running" for t in airflow.task_instances("greeter", run)):
        assert time.monotonic() < deadline, airflow.describe_tasks("greeter", run)
        time.sleep(0.5)


def kill_when_a_downgrade_runs(released: Released, namespace: str) -> None:
    """`deploy`, killed without a warning as soon as there is a Job that downgrades."""
    program = Path(sys.executable).with_name("astro-pulumi")
    process = subprocess.Popen(
        [str(program), "deploy", "--yes", "--engine", released.engine, "--stack", STACK],
        cwd=released.directory,
        env={**os.environ, **released.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 180
    while True:
        assert process.poll() is None, "the deploy ended before it downgraded anything"
        assert time.monotonic() < deadline, "no downgrade within 180 s"
        if "downgrade" in released.kubectl("-n", namespace, "get", "jobs", "-o", "name"):
            break
        time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
