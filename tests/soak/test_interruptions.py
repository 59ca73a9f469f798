"""Kill Pulumi and its plugins at many moments: the next `pulumi up` succeeds, and nothing is lost or left.

In turn, so that every command meets what the kill before it left: a first deploy, an update and a destroy,
each killed at one of `MOMENTS` moments that are spread evenly over its duration, then rollbacks. The
namespace was there before, so Kubernetes does not clean up after us.

    make soak        an hour and more; prints a table
"""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from local.airflow_api import Airflow
from local.platform import Platform
from local.stack import Stack
from tests.cluster.conftest import copy_program, free_node_port
from tests.cluster.kills import frozen_processes, has_whole_checkpoint
from tests.cluster.kube import Kube

MOMENTS: Final = int(os.environ.get("ASTRO_SOAK_MOMENTS", "20"))
# To do the table in parts: the moments from the first to before the last, and the commands.
FIRST: Final = int(os.environ.get("ASTRO_SOAK_FIRST", "0"))
LAST: Final = int(os.environ.get("ASTRO_SOAK_LAST", str(MOMENTS)))
COMMANDS: Final = os.environ.get("ASTRO_SOAK_COMMANDS", "first deploy,update,destroy").split(",")
ROLLBACKS: Final = int(os.environ.get("ASTRO_SOAK_ROLLBACKS", "5"))
UP: Final = ("up", "--yes", "--skip-preview")
DESTROY: Final = ("destroy", "--yes", "--skip-preview")
# Kinds that a Deployment consists of. Release records and volume claims stay on purpose.
KINDS: Final = (
    "ConfigMap",
    "Deployment",
    "Ingress",
    "Job",
    "NetworkPolicy",
    "Pod",
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
)
MANAGED: Final = {"app.kubernetes.io/instance": "soak"}


@dataclass
class Soak:
    """The stack that is interrupted, and what was seen."""

    stack: Stack
    kube: Kube
    namespace: str
    rows: list[str] = field(default_factory=list)
    # Airflow Variables that were set, as a sample of what is in the database.
    variables: list[str] = field(default_factory=list)
    # Seconds of each command when nothing interrupts it.
    durations: dict[str, float] = field(default_factory=dict)

    @property
    def airflow(self) -> Airflow:
        outputs = self.stack.outputs()
        login = (outputs["admin_username"], outputs["admin_password"])
        return Airflow(outputs["webserver_url"], *login)

    def kill(self, command: list[str], seconds: float) -> float | None:
        """Begin a command and kill it after `seconds`; return its duration if it has ended before."""
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=self.stack.directory,
            env=self.stack.full_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return time.monotonic() - started
        with frozen_processes(process, lambda: has_whole_checkpoint(self.stack)):
            pass
        return None

    def run(self, *arguments: str) -> tuple[bool, str]:
        """Run a `pulumi` command to its end; return whether it succeeded, and its words."""
        done = self.stack.capture(self.stack.command(*arguments))
        return done.returncode == 0, done.stdout + done.stderr

    def recover(self) -> tuple[bool, str]:
        """Do what a user does after a kill: break the lock, and deploy again."""
        self.run("cancel", "--yes")
        return self.run(*UP)

    def change(self) -> None:
        """Change a DAG."""
        dag = self.stack.directory / "project" / "dags" / "greeter.py"
        dag.write_text(f"{dag.read_text()}\n# {secrets.token_hex(4)}\n")

    def interrupt(
        self,
        what: str,
        command: list[str],
        moment: float,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """Kill a command at a fraction of its duration, recover, and add a row to the table.

        If the command has ended before, do it once more at the same fraction of the shorter duration.
        """
        took: float | None = 0.0
        while took is not None:
            prepare()
            seconds = self.durations[what] * moment
            took = self.kill(command, seconds)
            if what == "destroy":
                self.variables.clear()
                if took is not None:  # the volumes have the keys of a Deployment that is gone
                    self.delete_volumes()
            self.note(what, seconds, took, self.recover())
            self.durations[what] = took or self.durations[what]

    def note(
        self, what: str, seconds: float, took: float | None, recovered: tuple[bool, str]
    ) -> None:
        """Add a row to the table."""
        ok, said = recovered
        lost = self.lost_variables() if ok else []
        verdict = "ok" if ok and not lost else f"FAILED {lost}"
        killed = "killed" if took is None else f"ended after {took:.1f} s"
        of = f"{seconds:6.1f} of {self.durations[what]:.1f} s"
        self.rows.append(f"{what:<14} {of:<16} {killed:<20} next up: {verdict}")
        print(self.rows[-1], flush=True)
        if not ok:
            print(said, flush=True)

    def delete_volumes(self) -> None:
        """Delete the claims that a destroy leaves, which hold a database with a password of before."""
        for item in self.kube.objects("PersistentVolumeClaim", self.namespace, **MANAGED):
            self.kube.delete("PersistentVolumeClaim", item["metadata"]["name"], self.namespace)

    def set_variable(self) -> None:
        """Write something into Airflow's database."""
        name = f"kept-{secrets.token_hex(4)}"
        airflow = self.airflow
        airflow.wait_until_healthy(120)
        airflow.set_variable(name, "yes")
        self.variables.append(name)

    def lost_variables(self) -> list[str]:
        """Return the Variables that should be in the database and are not."""
        found = {one["key"] for one in self.airflow.get("variables", limit=100)["variables"]}
        return [name for name in self.variables if name not in found]

    def left(self) -> list[str]:
        """Return the objects of the Deployment in the namespace, release records aside."""
        return [
            f"{kind}/{item['metadata']['name']}"
            for kind in KINDS
            for item in self.kube.objects(kind, self.namespace, **MANAGED)
            if item["metadata"]["labels"]["app.kubernetes.io/component"] != "release"
        ]


@pytest.fixture(scope="module")
def namespace(kube: Kube) -> Iterator[str]:
    with kube.temporary_namespace("soak") as name:
        yield name


@pytest.fixture(scope="module")
def soak(
    platform: Platform, kube: Kube, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Soak]:
    directory = tmp_path_factory.mktemp("soak") / "program"
    stack = copy_program(Path(__file__).parent / "program", directory, platform)
    dockerfile = directory / "project" / "Dockerfile"
    dockerfile.write_text(f"FROM {platform.runtime_image}\n")
    stack.configure(
        {
            "kubernetes:context": platform.context,
            "soak:namespace": namespace,
            "soak:repository": f"{platform.registry}/soak",
            "soak:databaseImage": platform.postgres_image,
            "soak:brokerImage": platform.redis_image,
            "soak:nodePort": free_node_port(kube),
        }
    )
    stack.create()
    soak = Soak(stack, kube, namespace)
    try:
        yield soak
    finally:
        soak.run("cancel", "--yes")
        soak.run(*DESTROY)
        sys.stderr.write("\n".join(["", *soak.rows, ""]))
        shutil.rmtree(directory)


def timed(action: Callable[[], tuple[bool, str]]) -> float:
    """Return the seconds of a command that must succeed."""
    started = time.monotonic()
    ok, said = action()
    assert ok, said
    return time.monotonic() - started


def assert_nothing_is_left(soak: Soak) -> None:
    deadline = time.monotonic() + 60
    while (left := soak.left()) and time.monotonic() < deadline:
        time.sleep(1)
    assert left == []


def test_a_kill_at_any_moment_leaves_nothing_to_mend_by_hand(soak: Soak) -> None:
    up = lambda: soak.run(*UP)  # noqa: E731
    destroy = lambda: soak.run(*DESTROY)  # noqa: E731
    soak.durations["first deploy"] = timed(up)
    soak.change()
    soak.durations["update"] = timed(up)
    soak.durations["destroy"] = timed(destroy)
    assert_nothing_is_left(soak)
    soak.delete_volumes()
    print(f"undisturbed: {json.dumps(soak.durations)}", flush=True)

    def remove() -> None:
        timed(destroy)
        assert_nothing_is_left(soak)
        soak.delete_volumes()
        soak.variables.clear()  # the database went with the volumes

    for number in range(FIRST, LAST):
        moment = (number + 0.5) / MOMENTS
        soak.change()
        if "first deploy" in COMMANDS:
            soak.interrupt("first deploy", soak.stack.command(*UP), moment, remove)
        elif number == FIRST:
            timed(up)
        soak.set_variable()
        if "update" in COMMANDS:
            soak.interrupt("update", soak.stack.command(*UP), moment, soak.change)
        if "destroy" in COMMANDS:
            soak.interrupt("destroy", soak.stack.command(*DESTROY), moment)
    remove()
    assert not [row for row in soak.rows if "FAILED" in row]


def test_a_rollback_can_be_killed_at_any_moment(soak: Soak) -> None:
    program = str(Path(sys.executable).with_name("astro-pulumi"))

    def command(name: str) -> list[str]:
        return [program, name, "--yes", "--stack", soak.stack.name]

    def run(name: str) -> tuple[bool, str]:
        done = soak.stack.capture(command(name))
        return done.returncode == 0, done.stdout + done.stderr

    def deploy_a_change() -> None:
        soak.change()
        timed(lambda: run("deploy"))

    deploy_a_change()
    soak.variables.clear()
    soak.set_variable()
    deploy_a_change()
    soak.durations["rollback"] = timed(lambda: run("rollback"))
    for number in range(ROLLBACKS):
        soak.interrupt("rollback", command("rollback"), (number + 0.5) / ROLLBACKS, deploy_a_change)
    assert not [row for row in soak.rows if "FAILED" in row]
