"""What the watch of a roll-out makes of what the Kubernetes API says."""

from typing import Any

import pytest

from tests.unit.release.pod_file import load

rollout = load("astro_rollout_outcome")

Object = dict[str, Any]
NAME = "analytics-scheduler"
LABELS = {"app.kubernetes.io/component": "scheduler"}
NEW = f"{NAME}-7c9f"


def deployment(*conditions: Object, **status: int) -> Object:
    progressing = {"type": "Progressing", "message": f'ReplicaSet "{NEW}" is progressing.'}
    return {
        "metadata": {"name": NAME, "generation": 2},
        "spec": {"replicas": 1, "selector": {"matchLabels": LABELS}},
        "status": {
            "observedGeneration": 2,
            "replicas": 2,
            "updatedReplicas": 1,
            "availableReplicas": 1,
            "conditions": [*conditions, progressing],
            **status,
        },
    }


def pod(
    *containers: Object, replica_set: str = NEW, phase: str = "Pending", **status: Any
) -> Object:
    template = replica_set.rpartition("-")[2]
    return {
        "metadata": {
            "name": f"{replica_set}-x",
            "uid": f"uid-of-{replica_set}",
            "labels": {**LABELS, "pod-template-hash": template},
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"kind": "ReplicaSet", "name": replica_set}],
        },
        "spec": {
            "initContainers": [{"name": "simple-auth"}],
            "containers": [{"name": "scheduler", "resources": {"limits": {"memory": "100Mi"}}}],
        },
        "status": {"phase": phase, "containerStatuses": list(containers), **status},
    }


def waiting(reason: str, message: str = "", **more: Any) -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "scheduler", "image": "repo:1", "ready": False, "state": state, **more}


def crashed(restarts: int, name: str = "scheduler", **ended: Any) -> Object:
    last = {"terminated": {"exitCode": 1, "reason": "Error", **ended}}
    back_off = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    common = {"name": name, "ready": False, "restartCount": restarts}
    return {**common, "state": back_off, "lastState": last}


def event(reason: str, message: str, time: str = "2026-01-01T00:00:01Z", of: str = NEW) -> Object:
    return {
        "metadata": {"creationTimestamp": time},
        "involvedObject": {"uid": f"uid-of-{of}"},
        "reason": reason,
        "message": message,
    }


def found(*pods: Object, events: list[Object] | None = None, memory: Any = None) -> Any:
    memory = memory or rollout.Memory()
    return rollout.find_problem(NAME, deployment(), list(pods), events or [], memory)


READY = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}


def test_ready_is_what_kubectl_calls_so() -> None:
    assert rollout.has_rolled_out(deployment(**READY))
    for missing in (
        {"observedGeneration": 1},
        {"updatedReplicas": 0},
        {"availableReplicas": 0},
        {"replicas": 2},
        {"replicas": 0, "updatedReplicas": 0, "availableReplicas": 0},
    ):
        assert not rollout.has_rolled_out(deployment(**{**READY, **missing})), missing
    assert not rollout.has_rolled_out(None)


def test_no_replicas_are_ready_at_once() -> None:
    stopped = deployment(replicas=0, updatedReplicas=0, availableReplicas=0)
    stopped["spec"]["replicas"] = 0
    assert rollout.has_rolled_out(stopped)
    never_ran = deployment()
    never_ran["spec"]["replicas"] = 0
    never_ran["status"] = {"observedGeneration": 2}
    assert rollout.has_rolled_out(never_ran)


@pytest.mark.parametrize(
    ("reason", "message", "patience", "says"),
    [
        ("InvalidImageName", "couldn't parse image name", 0, "an invalid name: couldn't parse"),
        (
            "ErrImagePull",
            "manifest unknown",
            60,
            "repo:1 of container scheduler cannot be pulled: ",
        ),
        ("ErrImageNeverPull", "not present with pull policy", 60, "not present with pull policy"),
        ("CreateContainerConfigError", 'secret "x" not found', 10, 'secret "x" not found'),
        ("ContainerCreating", "", None, "has not started yet (ContainerCreating)"),
    ],
)
def test_a_container_that_cannot_start(
    reason: str, message: str, patience: float | None, says: str
) -> None:
    problem = found(pod(waiting(reason, message)))
    assert says in problem.cause
    assert problem.patience == patience
    assert (problem.pod, problem.container) == (f"{NEW}-x", "scheduler")


def test_a_back_off_is_told_with_the_message_of_the_registry() -> None:
    memory = rollout.Memory()
    found(pod(waiting("ErrImagePull", "401 Unauthorized")), memory=memory)
    again = found(pod(waiting("ImagePullBackOff", "Back-off pulling image")), memory=memory)
    assert "401 Unauthorized" in again.cause
    events = [
        event("Failed", "Error: ImagePullBackOff", "2026-01-01T00:00:09Z"),
        event("Failed", 'Failed to pull image "repo:1": denied'),
    ]
    late = found(pod(waiting("ImagePullBackOff", "Back-off pulling image")), events=events)
    assert 'Failed to pull image "repo:1": denied' in late.cause


def test_three_crashes_are_a_failure_and_two_are_not() -> None:
    twice, thrice = found(pod(crashed(1))), found(pod(crashed(2)))
    assert twice.patience is None
    assert "crashed 2 times: exit code 1" in twice.cause
    assert thrice.patience == 0
    assert "container scheduler crashed 3 times: exit code 1" in thrice.cause
    assert thrice.previous_log


def test_a_container_that_runs_again_has_crashed_as_often_as_it_was_started_again() -> None:
    running = {**crashed(3), "state": {"running": {}}}
    assert found(pod(running)).patience == 0
    assert found(pod({**running, "restartCount": 2})).patience is None


def test_out_of_memory_is_told_with_the_limit() -> None:
    problem = found(pod(crashed(2, exitCode=137, reason="OOMKilled")))
    assert problem.cause == (
        "container scheduler crashed 3 times: exit code 137, out of memory (OOMKilled; its limit is 100Mi)"
    )


def test_a_container_that_kubernetes_has_killed_is_told_with_the_probe() -> None:
    events = [event("Unhealthy", "Liveness probe failed: HTTP 500")]
    problem = found(pod(crashed(2, exitCode=137)), events=events)
    assert problem.cause.endswith("exit code 137, after Liveness probe failed: HTTP 500")


def test_a_crash_that_is_not_over_yet_has_its_words_in_the_current_log() -> None:
    now = {"terminated": {"exitCode": 2, "reason": "Error"}}
    problem = found(pod({"name": "scheduler", "ready": False, "restartCount": 2, "state": now}))
    assert "crashed 3 times: exit code 2" in problem.cause
    assert not problem.previous_log


def test_init_containers_count_as_well() -> None:
    init = crashed(2, "simple-auth")
    problem = found(pod(waiting("PodInitializing"), initContainerStatuses=[init]))
    assert "container simple-auth crashed 3 times" in problem.cause
    assert problem.patience == 0


def test_restarts_of_long_ago_are_no_crashes_of_this_roll_out() -> None:
    """A workload that this deploy does not change may have restarted often in months."""
    memory = rollout.Memory()
    healthy = {"name": "scheduler", "ready": True, "restartCount": 7, "state": {"running": {}}}
    found(pod(healthy), memory=memory)
    problem = found(pod(crashed(7)), memory=memory)
    assert "crashed once" in problem.cause
    assert problem.patience is None


def test_crashes_before_the_watch_count_where_nothing_was_ready() -> None:
    """The deploy that is tried again, with the same image."""
    assert found(pod(crashed(5))).patience == 0


def test_no_room_is_told_in_the_words_of_the_scheduler_and_may_resolve_itself() -> None:
    message = "0/1 nodes are available: 1 Insufficient memory."
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    problem = found(pod(conditions=[condition]))
    assert problem.cause == f"cannot be scheduled: {message}"
    assert problem.patience is None


def test_quota_is_told_and_may_resolve_itself() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}
    problem = rollout.find_problem(NAME, deployment(failure), [], [], rollout.Memory())
    assert problem.cause == "cannot create pods: exceeded quota: small"
    assert problem.patience is None


def test_a_failing_probe_is_told_with_its_newest_answer_and_may_resolve_itself() -> None:
    container = {"name": "scheduler", "ready": False, "state": {"running": {}}}
    events = [
        event("Unhealthy", "old"),
        event("Unhealthy", "Startup probe failed: no heartbeat", "2026-01-01T00:00:05Z"),
        event("Unhealthy", "of another pod", "2026-01-01T00:00:09Z", of="other"),
    ]
    problem = found(pod(container), events=events)
    assert problem.cause.endswith("is not ready: Startup probe failed: no heartbeat")
    assert problem.patience is None
    assert "it is starting" in found(pod(container)).cause


@pytest.mark.parametrize(
    ("message", "patience"),
    [('secret "x" not found', 20), ("references non-existent secret key: a", 20), ("busy", None)],
)
def test_a_volume_of_what_is_missing_is_a_failure(message: str, patience: float | None) -> None:
    events = [event("FailedMount", message)]
    problem = found(pod(waiting("ContainerCreating")), events=events)
    assert message in problem.cause
    assert problem.patience == patience


def test_only_pods_of_the_new_replica_set_are_judged() -> None:
    """Old ones may crash for as long as they like: the roll-out is what replaces them."""
    old = pod(crashed(9), replica_set=f"{NAME}-old")
    draining = pod(crashed(9))
    draining["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    other = pod(crashed(9))
    other["metadata"]["labels"] = {"app.kubernetes.io/component": "webserver"}
    assert found(old, draining, other).cause == "it has no new pod yet"
    assert "crashed" not in found(old, pod(waiting("ContainerCreating"))).cause


@pytest.mark.parametrize("verb", ["Created new", "Found new"])
def test_the_new_replica_set_is_known_by_each_of_its_messages(verb: str) -> None:
    judged = deployment()
    judged["status"]["conditions"][-1]["message"] = f'{verb} replica set "{NEW}"'
    old, new = pod(replica_set=f"{NAME}-old"), pod()
    assert rollout.new_pods(judged, [old, new]) == [new]


def test_without_a_message_the_newest_template_is_the_new_one() -> None:
    judged = deployment()
    judged["status"]["conditions"] = []
    old, new = pod(replica_set=f"{NAME}-old"), pod()
    new["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    assert rollout.new_pods(judged, [new, old]) == [new]
    assert rollout.new_pods(judged, []) == []


def test_nothing_is_judged_by_a_status_of_before() -> None:
    """Its condition still names the ReplicaSet of the last release."""
    stale = deployment(observedGeneration=1)
    problem = rollout.find_problem(NAME, stale, [pod(crashed(9))], [], rollout.Memory())
    assert problem.patience is None
    assert "crashed" not in problem.cause


def test_what_ends_the_wait_soonest_is_told() -> None:
    problem = found(pod(waiting("ContainerCreating"), crashed(2, "log-groomer")))
    assert "log-groomer crashed 3 times" in problem.cause


def test_an_evicted_pod_is_told() -> None:
    problem = found(pod(phase="Failed", reason="Evicted", message="low on disk"))
    assert problem.cause == "the pod has failed: Evicted: low on disk"


def test_patience_is_counted_from_the_first_sight() -> None:
    memory = rollout.Memory()
    problem = found(pod(waiting("ErrImagePull", "denied")))
    assert memory.final([problem], 100) == []
    assert memory.final([found(pod(waiting("ImagePullBackOff", "back-off")))], 159) == []
    assert memory.final([problem], 160) == [problem]
    assert memory.final([found(pod(waiting("ContainerCreating")))], 10_000) == []


def test_patience_is_counted_anew_after_a_problem_went_away() -> None:
    memory = rollout.Memory()
    problem = found(pod(waiting("ErrImagePull", "denied")))
    assert memory.final([problem], 100) == []
    assert memory.final([found(pod(waiting("ContainerCreating")))], 130) == []
    assert memory.final([problem], 170) == []
    assert memory.final([problem], 230) == [problem]


def test_a_pull_without_the_secret_of_the_registry_is_told() -> None:
    missing = (
        "Unable to retrieve some image pull secrets (team-registry); the pull may not succeed."
    )
    events = [event("FailedToRetrieveImagePullSecret", missing)]
    problem = found(pod(waiting("ErrImagePull", "401 Unauthorized")), events=events)
    assert f"cannot be pulled: {missing} 401 Unauthorized" in problem.cause
    others = found(pod(waiting("ErrImagePull", "401 Unauthorized")))
    assert "cannot be pulled: 401 Unauthorized" in others.cause
