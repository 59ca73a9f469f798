"""Runs last: see `pytest_collection_modifyitems`."""

import subprocess
import time

from tests.cluster.conftest import Deployed
from tests.cluster.kills import frozen_processes, has_whole_checkpoint
from tests.cluster.kube import Kube, component_of, wait_until

LASTING = """\
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("a_minute", schedule=None):
    BashOperator(task_id="sleep", bash_command="sleep 60")
"""


def test_an_interrupted_destroy_is_followed_by_a_good_up(deployed: Deployed) -> None:
    """Pulumi's state still has what Kubernetes goes on deleting."""
    deployed.up()
    kube, namespace, stack = deployed.kube, deployed.namespace, deployed.stack

    def is_being_deleted() -> bool:
        workloads = kube.objects("Deployment", namespace)
        return any("deletionTimestamp" in one["metadata"] for one in workloads)

    destroy = stack.start("destroy", stdout=subprocess.DEVNULL)
    wait_until("a workload is being deleted", is_being_deleted, seconds=180)
    with frozen_processes(destroy, lambda: has_whole_checkpoint(stack)):
        pass
    assert stack.capture(stack.command("cancel", "--yes")).returncode == 0
    assert "quickstart-scheduler" in deployed.state_file()

    deployed.up()

    assert deployed.namespace == namespace
    deployed.airflow.wait_until_healthy(180)


def test_the_database_outlives_the_last_worker_and_nothing_is_left(deployed: Deployed) -> None:
    """A worker has 600 s to end its task of one; destroy waits for that, and not longer."""
    (deployed.project / "dags" / "a_minute.py").write_text(LASTING)
    deployed.up()
    airflow, kube, namespace = deployed.airflow, deployed.kube, deployed.namespace
    airflow.wait_for_dag("a_minute", seconds=180)
    run_id = airflow.start_run("a_minute")
    wait_until(
        "the task runs",
        lambda: [t["state"] for t in airflow.task_instances("a_minute", run_id)] == ["running"],
        seconds=180,
    )
    assert any(name.startswith("PersistentVolume/") for name in objects_of(kube, namespace))
    began = time.monotonic()
    last_worker = began
    destroy = deployed.stack.start("destroy", stdout=subprocess.DEVNULL)
    while destroy.poll() is None:
        pods = [
            (component_of(pod), "deletionTimestamp" in pod["metadata"])
            for pod in kube.all_pods(namespace)
        ]
        if "worker" in dict(pods):
            last_worker = time.monotonic()
            assert ("postgresql", False) in pods, f"a worker has lost its database: {pods}"
        time.sleep(0.5)
    assert destroy.returncode == 0
    assert 40 < last_worker - began < 300, "the task was cut off, or the worker waited for nothing"
    # A volume is removed by its provisioner, after the claim is gone.
    wait_until("nothing is left", lambda: not objects_of(kube, namespace), seconds=180)
    assert namespace not in deployed.state_file()


def objects_of(kube: Kube, namespace: str) -> list[str]:
    """Objects in a namespace, the namespace, and volumes that were claimed from it."""
    return [
        f"{item['kind']}/{item['metadata']['name']}"
        for item in kube.everything()
        if namespace
        in (
            item["metadata"].get("namespace"),
            item["metadata"]["name"],
            ((item.get("spec") or {}).get("claimRef") or {}).get("namespace"),
        )
    ]
