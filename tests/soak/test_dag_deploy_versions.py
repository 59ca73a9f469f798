"""DAG deploys and the database through Airflow 2.11, 3.2 and 3.3, forth and back.

One small Deployment for the whole module. Each deploy continues where the one before has ended.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.airflow_api import Airflow
from local.platform import Platform
from tests.cluster.conftest import remove_namespaces
from tests.cluster.kube import Kube, identities
from tests.cluster.test_releases import (
    AIRFLOW_2,
    OLDER_AIRFLOW,
    Released,
    new_released,
    wait_for_running_task,
)

# For Airflow 2 and 3. Its first task waits for `seconds`, or until a file is in its pod.
DAG = """\
import os
import time
from pathlib import Path

try:
    from airflow.sdk import dag, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.operators.python import get_current_context

VERSION = Path(__file__).with_name("version.txt").read_text()


@dag(schedule=None)
def greeter():
    @task
    def greet():
        seconds = (get_current_context()["dag_run"].conf or {}).get("seconds", 0)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not os.path.exists("/tmp/enough"):
            time.sleep(0.2)
        return VERSION

    @task
    def later(before):
        return f"{before} {VERSION}"

    later(greet())


greeter()
"""


@pytest.fixture(scope="module")
def released(
    platform: Platform, kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Released]:
    """Airflow 2."""
    released = new_released(tmp_path_factory.mktemp("versions"), platform, kube)
    released.use_runtime(AIRFLOW_2)
    write(released, "one", DAG)
    try:
        released.change("deploy")
        yield released
    finally:
        remove_namespaces(released.stack, platform)
        print(f"seconds: {released.seconds}", flush=True)


def write(released: Released, version: str, dag: str | None = None) -> None:
    """Writes the version that the DAG reads, and the DAG if it is given."""
    dags = released.directory / "project" / "dags"
    (dags / "version.txt").write_text(version)
    if dag:
        (dags / "greeter.py").write_text(dag)


def deploy(released: Released, version: str) -> dict[str, Any]:
    """Deploys a version of the DAGs; -> the release, as `history` shows it."""
    write(released, version)
    released.change("deploy")
    return released.history()[0]


def roll_back(released: Released, number: int) -> dict[str, Any]:
    released.change("rollback", str(number))
    released.assert_healthy()
    return released.history()[0]


def value(airflow: Airflow, run: str) -> str:
    """What the last task of a run has returned, once the run has succeeded."""
    state = airflow.wait_for_run("greeter", run, 300)
    assert state == "success", airflow.describe_failure("greeter", run)
    path = f"dags/greeter/dagRuns/{run}/taskInstances/later/xcomEntries/return_value"
    return str(airflow.get(path)["value"])


def value_of_new_run(airflow: Airflow) -> str:
    airflow.wait_for_dag("greeter", 180)
    return value(airflow, airflow.start_run("greeter"))


def test_from_airflow_2_to_an_older_airflow_3(released: Released) -> None:
    assert value_of_new_run(released.airflow_2) == "one one"
    released.use_runtime(OLDER_AIRFLOW)
    released.run("config", "set", "releases:dagDeploys", "true")

    release = deploy(released, "two")

    assert (release["airflow_version"], release["deploy"]) == (OLDER_AIRFLOW, "image")
    assert value_of_new_run(released.airflow) == "two two"


def test_a_dag_deploy_of_the_older_airflow_3(released: Released) -> None:
    before = identities(released.kube.pods(released.namespace))

    release = deploy(released, "three")

    assert release["deploy"] == "dags"
    assert identities(released.kube.pods(released.namespace)) == before
    assert value_of_new_run(released.airflow) == "three three"


def test_a_run_keeps_its_code_through_an_upgrade_of_airflow(released: Released) -> None:
    run = released.airflow.start_run("greeter", conf={"seconds": 600})
    wait_for_running_task(released, run)
    (worker,) = released.kube.pods(released.namespace, "worker")
    released.use_runtime(None)

    release = deploy(released, "four")
    released.end_task(worker)

    assert release["deploy"] == "image"
    assert release["airflow_version"] not in (OLDER_AIRFLOW, AIRFLOW_2)
    assert value(released.airflow, run) == "three three"
    assert value_of_new_run(released.airflow) == "four four"


def test_rollbacks_between_versions_of_airflow_bring_their_dags(released: Released) -> None:
    newer, older = released.history()[:2]

    release = roll_back(released, older["number"])

    assert release["airflow_version"] == OLDER_AIRFLOW
    assert (release["deploy"], release["dag_version"]) == ("image", older["dag_version"])
    assert value_of_new_run(released.airflow) == "three three"

    release = roll_back(released, newer["number"])

    assert release["airflow_version"] == newer["airflow_version"]
    assert (release["deploy"], release["dag_version"]) == ("image", newer["dag_version"])
    assert value_of_new_run(released.airflow) == "four four"


def test_back_to_airflow_2_and_to_dag_deploys_again(released: Released) -> None:
    """The tables with the archives are in the database of Airflow 2."""
    newer = released.history()[0]

    release = roll_back(released, 1)

    assert release["airflow_version"] == AIRFLOW_2
    assert value_of_new_run(released.airflow_2) == "one one"

    release = roll_back(released, newer["number"])

    assert (release["deploy"], release["dag_version"]) == ("image", newer["dag_version"])
    assert value_of_new_run(released.airflow) == "four four"
    before = identities(released.kube.pods(released.namespace))
    started = time.monotonic()
    assert deploy(released, "five")["deploy"] == "dags"
    print(f"DAG deploy after all: {time.monotonic() - started:.1f} s", flush=True)
    assert identities(released.kube.pods(released.namespace)) == before
    assert value_of_new_run(released.airflow) == "five five"
