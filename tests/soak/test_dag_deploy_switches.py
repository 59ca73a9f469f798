"""DAG deploys are switched on for a Deployment that runs, and rollbacks lead to other images and settings.

One Airflow for the whole module. Each deploy continues where the one before has ended.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.platform import Platform
from tests.cluster.kube import Kube
from tests.cluster.test_dag_deploys import WithDags, all_of, deployed_with, import_errors

pytestmark = pytest.mark.usefixtures("seconds_of_deploys")
# Next to the DAG that waits: one with a schedule that stays paused.
YEARLY = """\
from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule="0 0 1 1 *", start_date=datetime(2020, 1, 1), catchup=False)
def yearly():
    @task
    def nothing():
        return None

    nothing()


yearly()
"""
# What an Airflow keeps of a DAG.
KEPT = (
    "dag_id",
    "is_paused",
    "is_stale",
    "timetable_summary",
    "next_dagrun_logical_date",
    "next_dagrun_run_after",
)


@pytest.fixture(scope="module")
def deployed(
    platform: Platform, kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WithDags]:
    """The quickstart without DAG deploys."""
    directory = tmp_path_factory.mktemp("dags")
    more = {"yearly.py": YEARLY}
    with deployed_with(platform, kube, directory, dag_deploys=False, more_dags=more) as made:
        yield made


def kept(deployed: WithDags) -> list[dict[str, Any]]:
    """What Airflow knows of each DAG, and of its runs."""
    airflow = deployed.airflow
    return [
        {name: dag[name] for name in KEPT}
        | {"runs": airflow.get(f"dags/{dag['dag_id']}/dagRuns")["total_entries"]}
        for dag in airflow.get("dags", exclude_stale="false", order_by="dag_id")["dags"]
    ]


def finished_tasks(deployed: WithDags) -> list[tuple[Any, ...]]:
    """What Airflow knows of the tasks of the run `finished`."""
    tasks = deployed.airflow.task_instances("versions", "finished")
    names = ("id", "task_id", "map_index", "state", "try_number", "start_date", "end_date")
    return [tuple(task[name] for name in names) for task in tasks]


def number(deployed: WithDags) -> str:
    """Number of the current release."""
    return deployed.record()["number"]


def test_switching_on_keeps_everything(deployed: WithDags) -> None:
    deployed.start("finished")
    assert deployed.finish("finished") == all_of("one")
    deployed.start("running")
    before, tasks = kept(deployed), finished_tasks(deployed)
    assert [dag["is_paused"] for dag in before] == [False, True]
    pods = deployed.pods()
    deployed.stack.configure({"quickstart:dagDeploys": True})

    with import_errors(deployed) as found:
        record = deployed.deploy("two")
        time.sleep(5)

    assert found == []
    assert record["deploy"] == "image"
    assert not set(pods) & set(deployed.pods())
    assert kept(deployed) == before
    assert finished_tasks(deployed) == tasks
    # Its first task has run to its end in a worker of before.
    assert deployed.finish("running") == all_of("two") | {"first -1": all_of("one")["first -1"]}
    deployed.start("new")
    assert deployed.finish("new") == all_of("two")


def test_a_rollback_to_another_image_brings_its_dags(deployed: WithDags) -> None:
    target, version = number(deployed), deployed.record()["dagVersion"]
    deployed.start("of_two")
    (deployed.project / "include" / "newest.py").write_text("ANSWER = 42\n")
    record = deployed.deploy("three")
    assert record["deploy"] == "image"
    assert deployed.deploy("four")["deploy"] == "dags"
    deployed.start("of_four")

    with import_errors(deployed) as found:
        record = deployed.roll_back(target)

    assert found == []
    assert (record["deploy"], record["dagVersion"]) == ("image", version)
    assert deployed.finish("of_two") == all_of("two")
    assert deployed.finish("of_four") == all_of("four")
    deployed.start("of_two_again")
    assert deployed.finish("of_two_again") == all_of("two")


def test_a_rollback_to_before_dag_deploys_and_back(deployed: WithDags) -> None:
    back, version = number(deployed), deployed.record()["dagVersion"]
    deployed.start("without")
    before = kept(deployed)

    with import_errors(deployed) as found:
        record = deployed.roll_back("1")

    assert found == []
    assert "dagVersion" not in record
    assert kept(deployed) == before
    # Its later tasks have the DAGs of the image.
    assert deployed.finish("without") == all_of("one") | {"first -1": all_of("two")["first -1"]}
    deployed.start("back")

    with import_errors(deployed) as found:
        record = deployed.roll_back(back)

    assert found == []
    assert (record["deploy"], record["dagVersion"]) == ("image", version)
    assert deployed.finish("back") == all_of("two") | {"first -1": all_of("one")["first -1"]}
    assert deployed.deploy("five")["deploy"] == "image", "include/ has changed since"
    pods = deployed.pods()
    assert deployed.deploy("six")["deploy"] == "dags"
    assert deployed.pods() == pods
    deployed.start("six")
    assert deployed.finish("six") == all_of("six")
