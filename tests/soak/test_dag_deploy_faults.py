"""DAG deploys of a large Deployment, and what may go wrong meanwhile.

Two of each process, two worker queues, a path in the URL, and PostgreSQL of the user's behind PgBouncer. One
Airflow for the whole module; each deploy continues where the one before has ended.
"""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local.platform import Platform
from local.stack import StackError
from tests.cluster.component import modules, services
from tests.cluster.component.services import ExternalServices, pod
from tests.cluster.conftest import copy_program, free_node_port, remove_namespaces
from tests.cluster.kube import Kube, Object, wait_until
from tests.cluster.test_dag_deploys import DAG, WithDags, all_of

pytestmark = pytest.mark.usefixtures("seconds_of_deploys")
ROLLOUT_TIMEOUT = 600
UNVERSIONED = DAG.replace(
    "@dag(schedule=None)\ndef versions",
    "@dag(schedule=None, disable_bundle_versioning=True)\ndef free",
).replace("\nversions()", "\nfree()")
# A write lock of a table, which does not keep anybody from reading it.
LOCK = "BEGIN; LOCK TABLE {} IN EXCLUSIVE MODE; SELECT pg_sleep(300)"
IS_LOCKED = """
SELECT count(*) FROM pg_locks WHERE granted AND mode = 'ExclusiveLock' AND relation = '{}'::regclass
"""
END_LOCK = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE query LIKE 'BEGIN; LOCK%' AND pid <> pg_backend_pid()
"""
WAITING_FOR_LOCK = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ '{}'"
)


@dataclass
class Replicas(WithDags):
    """The Deployment of `replicas/`."""

    external: ExternalServices = field(kw_only=True)

    @property
    def project(self) -> Path:
        return self.stack.directory / "project"

    @property
    def pointers(self) -> set[str]:
        """The versions that pods follow."""
        return set(self.external.sql("SELECT version FROM astro_dag_pointer").split())

    def versions_on_disk(self) -> set[str]:
        """What the dag-processors have unpacked for parsing."""
        file = "/tmp/airflow/dag_bundles/dags-folder/current/dags/version.txt"  # noqa: S108 in the pod
        return {
            self.kube.execute(one, "cat", file, container="airflow")
            for one in self.kube.pods(self.namespace, "dag-processor")
        }

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Hold up everything that writes to a table, for the body of a `with`."""
        holder = threading.Thread(target=self.external.sql, args=(LOCK.format(table),), daemon=True)
        holder.start()
        wait_until(
            f"{table} is locked", lambda: self.count(IS_LOCKED.format(table)) > 0, seconds=10
        )
        try:
            yield
        finally:
            self.external.sql(END_LOCK)
            holder.join(30)

    def count(self, statement: str) -> int:
        return int(self.external.sql(statement))

    def deploy_and(self, version: str, meanwhile: Callable[[], object]) -> Future[dict[str, str]]:
        """Deploys while something else is done; -> the deploy, which has ended."""
        with ThreadPoolExecutor(1) as pool:
            deploy = pool.submit(self.deploy, version)
            meanwhile()
        return deploy

    def assert_same_pods(self, before: dict[str, tuple[str, int]]) -> None:
        """Nothing was restarted. Shows why a container has ended."""
        after = self.pods()
        for name in after:
            if name in before and after[name] != before[name]:
                command = [
                    "kubectl",
                    "-n",
                    self.namespace,
                    "logs",
                    name,
                    "--previous",
                    "--tail=100",
                ]
                print(self.stack.capture(command).stdout)
        assert after == before

    def kill(self, found: Object) -> None:
        """SIGKILL for every process of a container but its init process, which ends with them."""
        self.kube.execute(found, "sh", "-c", "kill -9 -1")

    def wait_for_pointer(self, before: set[str]) -> None:
        wait_until("the pointer has moved", lambda: self.pointers != before, seconds=90)


@pytest.fixture(scope="module")
def external(kube: Kube, platform: Platform) -> Iterator[ExternalServices]:
    with kube.temporary_namespace("replicas-services") as name:
        yield services.start(kube, platform, name)


@pytest.fixture(scope="module")
def deployed(
    platform: Platform,
    kube: Kube,
    external: ExternalServices,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Replicas]:
    directory = tmp_path_factory.mktemp("replicas") / "program"
    stack = copy_program(Path(__file__).parent / "replicas", directory, platform)
    settings: dict[str, str | int] = {
        "repository": f"{platform.registry}/replicas",
        "authority": external.authority,
        "databaseHost": external.database_host,
        "databasePassword": external.database_password,
        "pgbouncerImage": modules.pgbouncer_image(platform),
        "brokerImage": platform.redis_image,
        "nodePort": free_node_port(kube),
        "rolloutTimeout": ROLLOUT_TIMEOUT,
    }
    stack.configure(
        {
            "kubernetes:context": platform.context,
            **{f"replicas:{key}": value for key, value in settings.items()},
        }
    )
    made = Replicas(stack, platform, kube, external=external)
    (made.project / "Dockerfile").write_text(f"FROM {platform.runtime_image}\n")
    (made.dags / "versions.py").write_text(DAG)
    (made.dags / "free.py").write_text(UNVERSIONED)
    made.write("one")
    try:
        made.up()
        print(f"first up: {made.seconds:.0f} s", flush=True)
        made.airflow.wait_until_healthy(120)
        yield made
    finally:
        remove_namespaces(stack, platform)


def of_all_workers(deployed: Replicas, values: dict[str, Any]) -> set[str]:
    """The versions that the tasks of `placed` ran, if every worker has run at least one of them."""
    workers = {pod["metadata"]["name"] for pod in deployed.kube.pods(deployed.namespace, "worker")}
    assert {value.split()[1] for value in values.values()} == workers
    assert len(values) == 8
    return {value.split()[0] for value in values.values()}


def test_every_dag_processor_and_worker_has_the_new_version_and_nothing_restarts(
    deployed: Replicas,
) -> None:
    """An autoscaler adds a worker after the deploy, which runs a DAG run from before."""
    deployed.start("old", "placed", 6)
    before = deployed.pods()
    assert len(before) == 10

    record = deployed.deploy("two")

    assert record["deploy"] == "dags"
    deployed.assert_same_pods(before)
    wait_until(
        "all dag-processors have it", lambda: deployed.versions_on_disk() == {"two"}, seconds=5
    )
    airflow = deployed.airflow
    for _ in range(20):
        dag = airflow.get("dags/placed")
        assert (dag["bundle_version"], dag["tags"][0]["name"]) == (record["dagVersion"], "two")
        time.sleep(0.5)
    change = {"spec": {"replicas": 2}}
    deployed.kube.change("Deployment", "replicas-worker-heavy", deployed.namespace, change)
    deployed.wait_for_running("old", 8, "placed")
    assert of_all_workers(deployed, deployed.finish("old", "placed")) == {"one"}
    deployed.start("new", "placed", 8)
    assert of_all_workers(deployed, deployed.finish("new", "placed")) == {"two"}


def test_the_page_of_a_version_is_below_the_path(deployed: Replicas) -> None:
    version = deployed.record()["dagVersion"]
    url = deployed.outputs["webserver_url"]
    assert url.endswith("/team")
    answer = urllib3.request("GET", f"{url}/astro-pulumi/versions/{version}")
    assert (answer.status, answer.data) == (
        404,
        f"No git remote is known for version {version}.".encode(),
    )


def test_a_dag_without_bundle_versions_runs_the_newest_code(deployed: Replicas) -> None:
    """A task that runs already keeps its own."""
    deployed.start("free", "free")
    deployed.start("bound")

    assert deployed.deploy("three")["deploy"] == "dags"

    values = deployed.finish("free", "free")
    assert values == all_of("three") | {"first -1": all_of("two")["first -1"]}
    assert deployed.finish("bound") == all_of("two")


def test_dags_that_no_dag_processor_takes_in_time_are_taken_back(deployed: Replicas) -> None:
    before, pods = deployed.pointers, deployed.pods()
    deployed.stack.configure({"replicas:rolloutTimeout": 20})

    with deployed.locked("dag_bundle"), pytest.raises(StackError):
        deployed.deploy("four")

    assert (
        "The dag-processor has not taken the new DAGs within 20 s; the old ones are restored"
        in deployed.logs[-1]
    )
    assert deployed.pointers == before
    wait_until(
        "all dag-processors have the old one",
        lambda: deployed.versions_on_disk() == {"three"},
        seconds=10,
    )
    deployed.assert_same_pods(pods)
    deployed.stack.configure({"replicas:rolloutTimeout": ROLLOUT_TIMEOUT})


def test_tasks_of_a_worker_that_is_killed_run_again_in_their_own_version(
    deployed: Replicas,
) -> None:
    deployed.start("killed", "placed", 8)
    before = deployed.pods()
    worker = deployed.kube.pods(deployed.namespace, "worker")[0]

    def kill_worker() -> None:
        deployed.running_job()
        deployed.kill(worker)

    record = deployed.deploy_and("four", kill_worker).result()

    assert record["deploy"] == "dags"
    after = deployed.pods()
    name = worker["metadata"]["name"]
    assert after == before | {name: (before[name][0], before[name][1] + 1)}
    values = deployed.finish("killed", "placed")
    assert {value.split()[0] for value in values.values()} == {"three"}
    tries = [task["try_number"] for task in deployed.airflow.task_instances("placed", "killed")]
    assert sorted(tries) == [1] * 6 + [2] * 2


def test_a_database_that_crashes_after_the_switch(deployed: Replicas) -> None:
    deployed.start("crash")
    before = deployed.pointers

    def crash() -> None:
        with deployed.locked("dag_bundle"):
            deployed.wait_for_pointer(before)
            deployed.kill(pod(deployed.kube, deployed.external.namespace, "postgres"))

    record = deployed.deploy_and("five", crash).result()

    assert record["deploy"] == "dags"
    assert deployed.pointers == {record["dagVersion"]}
    assert deployed.finish("crash") == all_of("four")


def test_a_database_that_crashes_before_the_switch(deployed: Replicas) -> None:
    """The deploy fails or completes. The next one is good."""
    before = deployed.record()["dagVersion"]

    def crash() -> None:
        deployed.running_job()
        time.sleep(2)  # Airflow's import, or the check of the database
        deployed.kill(pod(deployed.kube, deployed.external.namespace, "postgres"))

    failed = deployed.deploy_and("six", crash).exception()

    print(f"a database that crashes before the switch: {failed!r}")
    if failed:
        wait_until("nothing has changed", lambda: deployed.pointers == {before}, seconds=30)
        assert deployed.deploy("six")["deploy"] == "dags"
    assert deployed.pointers == {deployed.record()["dagVersion"]}


def test_a_release_job_that_is_killed_before_the_switch_changes_nothing(
    deployed: Replicas,
) -> None:
    before, pods, versions = deployed.pointers, deployed.pods(), deployed.versions_on_disk()

    def kill_job() -> None:
        with deployed.locked("astro_dag_pointer"):
            waiting = WAITING_FOR_LOCK.format("INSERT INTO astro_dag_pointer")
            wait_until("the Job is at the pointer", lambda: deployed.count(waiting) > 0, 90)
            deployed.kill(deployed.running_job())

    failed = deployed.deploy_and("seven", kill_job).exception()

    assert isinstance(failed, StackError)
    assert "The release Job was killed at: switch DAGs" in deployed.logs[-1]
    assert deployed.pointers == before
    assert deployed.versions_on_disk() == versions
    deployed.assert_same_pods(pods)


def test_a_release_job_that_is_killed_after_the_switch_is_completed_by_the_next(
    deployed: Replicas,
) -> None:
    before, pods = deployed.pointers, deployed.pods()
    (old,) = deployed.versions_on_disk()
    deployed.start("seven")

    def kill_job() -> None:
        with deployed.locked("dag_bundle"):
            deployed.wait_for_pointer(before)
            deployed.kill(deployed.running_job())

    failed = deployed.deploy_and("seven", kill_job).exception()

    assert isinstance(failed, StackError)
    assert "The release Job was killed after the switch to version" in deployed.logs[-1]
    wait_until(
        "the dag-processors take it", lambda: deployed.versions_on_disk() == {"seven"}, seconds=20
    )
    record = deployed.deploy("seven")
    assert record["deploy"] == "dags"
    assert deployed.pointers == {record["dagVersion"]}
    deployed.assert_same_pods(pods)
    assert deployed.finish("seven") == all_of(old)


def test_a_second_deploy_of_the_stack_is_refused(deployed: Replicas) -> None:
    deployed.write("eight")
    locks = deployed.stack.directory / "backend" / ".pulumi" / "locks"
    first = deployed.stack.start("up")
    wait_until("the first has the lock", lambda: any(locks.rglob("*.json")), seconds=30)

    with pytest.raises(StackError):
        deployed.up()

    assert "the stack is currently locked" in deployed.logs[-1]
    said, _ = first.communicate()
    assert first.returncode == 0, said
    deployed.outputs = deployed.stack.outputs()
    assert deployed.record()["deploy"] == "dags"


def test_two_states_of_one_stack_take_turns(deployed: Replicas) -> None:
    """The second deploy comes from a copy of the state, with other DAGs: nothing of Pulumi's keeps it off."""
    directory = deployed.stack.directory.with_name("second")
    shutil.copytree(deployed.stack.directory, directory, symlinks=True)
    environment = {
        **deployed.stack.environment,
        "PULUMI_BACKEND_URL": f"file://{directory / 'backend'}",
    }
    stack = replace(deployed.stack, directory=directory, environment=environment)
    second = replace(deployed, stack=stack, logs=[], outputs=dict(deployed.outputs))
    before = deployed.pods()

    with ThreadPoolExecutor(2) as pool:
        deploys = [pool.submit(deployed.deploy, "nine"), pool.submit(second.deploy, "ten")]
    failed = [deploy.exception() for deploy in deploys]

    print(f"two states of one stack: {failed}")
    jobs = [deployed.kube.log(one) for one in deployed.release_job_pods()]
    assert sum("another release Job of this Deployment" in log for log in jobs) == 1
    assert failed.count(None) >= 1
    assert len(deployed.pointers) == 1
    deployed.assert_same_pods(before)
    record = deployed.deploy("eleven")
    assert record["deploy"] == "dags"
    assert re.fullmatch(r"\d+-[0-9a-f]{12}", record["dagVersion"])
    assert deployed.pointers == {record["dagVersion"]}
    deployed.start("eleven")
    assert deployed.finish("eleven") == all_of("eleven")
