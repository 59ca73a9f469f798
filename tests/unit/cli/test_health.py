"""Why a pod does not run."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from astro_pulumi.cli.health import workload_problem
from astro_pulumi.cli.status import process

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def ended(code: int, reason: str = "Error", message: str = "", minutes_ago: float = 1) -> Any:
    finished = (NOW - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"exitCode": code, "reason": reason, "message": message, "finishedAt": finished}


def container(
    state: dict[str, Any], last: Any = None, restarts: int = 0, ready: bool = False
) -> dict[str, Any]:
    return {
        "name": "scheduler",
        "image": "a:1",
        "state": state,
        "lastState": {"terminated": last} if last else {},
        "restartCount": restarts,
        "ready": ready,
    }


def waiting(reason: str, message: str | None = None) -> dict[str, Any]:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


RUNNING: dict[str, Any] = {"running": {"startedAt": "2026-11-28T11:59:00Z"}}
BACK_OFF = waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container=scheduler pod=x")


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (container(RUNNING, ready=True), None),
        (container(RUNNING), None),  # it starts
        (container(waiting("ContainerCreating")), None),
        (
            container(BACK_OFF, ended(137, "OOMKilled"), 5),
            "container scheduler crashed 6 times: exit code 137, out of memory (OOMKilled)",
        ),
        (
            container(
                BACK_OFF,
                ended(1, message="Traceback\n  File x\nModuleNotFoundError: No module x\n"),
                3,
            ),
            "container scheduler crashed 4 times: exit code 1, Traceback ... "
            "ModuleNotFoundError: No module x",
        ),
        (
            container({"terminated": ended(137, "OOMKilled")}, restarts=1),
            "container scheduler crashed 2 times: exit code 137, out of memory (OOMKilled)",
        ),
        (container({"terminated": ended(0, "Completed")}), None),
        # Between two crashes it runs, and may be ready.
        (container(RUNNING, ended(2), 3), "container scheduler crashed 3 times: exit code 2"),
        (
            container(RUNNING, ended(2), 3, ready=True),
            "container scheduler crashed 3 times: exit code 2",
        ),
        (container(RUNNING, ended(2), 1, ready=True), None),
        (container(RUNNING, ended(2, minutes_ago=60), 9, ready=True), None),
        (container(RUNNING, ended(0, "Completed"), 3, ready=True), None),
        (
            container(waiting("ImagePullBackOff", 'Back-off pulling image "a:1": not found')),
            'the image a:1 of container scheduler cannot be pulled: Back-off pulling image "a:1": not found',
        ),
        (
            container(waiting("CreateContainerConfigError", 'secret "own" not found')),
            'container scheduler cannot start: secret "own" not found',
        ),
        (
            container(waiting("InvalidImageName", "invalid reference")),
            "the image a:1 of container scheduler has an invalid name: invalid reference",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["containerStatuses", "initContainerStatuses"])
def test_the_cause_is_told(status: dict[str, Any], problem: str | None, kind: str) -> None:
    pod = {"metadata": {}, "status": {"phase": "Running", kind: [status]}}
    assert workload_problem({}, [pod], NOW) == problem


def test_a_pod_that_no_node_has_room_for() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient memory.",
    }
    pod = {"metadata": {}, "status": {"phase": "Pending", "conditions": [condition]}}
    assert (
        workload_problem({}, [pod], NOW)
        == "cannot be scheduled: 0/1 nodes are available: 1 Insufficient memory."
    )


def test_a_quota_that_is_exhausted() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: compute"}
    workload: dict[str, Any] = {"status": {"conditions": [condition]}}
    assert workload_problem(workload, []) == "cannot create pods: exceeded quota: compute"


def pod(name: str, status: dict[str, Any], **metadata: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"app": "a"}, **metadata},
        "spec": {"containers": [{"name": "airflow", "image": "a@sha256:1"}]},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


def test_pods_that_drain_or_were_evicted_are_not_held_against_a_workload() -> None:
    crashing = container(BACK_OFF, ended(1), 4)
    workload = {
        "metadata": {"name": "a", "labels": {"app.kubernetes.io/component": "worker"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}},
        "status": {"readyReplicas": 1},
    }
    evicted = pod("evicted", crashing)
    evicted["status"]["phase"] = "Failed"
    leaving = pod("leaving", crashing, deletionTimestamp="2026-11-28T12:10:00Z")
    good = pod("good", container(RUNNING, ready=True))
    assert process(workload, [evicted, leaving, good]).problem is None
    problem = process(workload, [good, pod("bad", crashing)]).problem
    assert problem == "container scheduler crashed 5 times: exit code 1"
