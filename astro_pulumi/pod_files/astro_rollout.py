"""Whether workloads have rolled out, and why not, judged by what the Kubernetes API says of them.

Nothing here talks to the cluster. A `Problem` that time does not solve says after how many seconds it
counts as a failure; all others are only reported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    Object = dict[str, Any]

PULL_PROBLEMS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
PULL_PATIENCE = 60.0  # a registry may be away for a moment
CONFIG_PATIENCE = 10.0  # the kubelet may not have seen a Secret that was made a moment ago
MOUNT_PATIENCE = 20.0  # the same; the kubelet tries a volume again after some seconds
GONE_PATIENCE = 10.0  # this Job starts when Pulumi has made its workloads
MOST_CRASHES = 3

# `ReplicaSet "x" is progressing`, `Created new replica set "x"`: the condition of a Deployment.
REPLICA_SET = re.compile(r'replica ?set "([^"]+)"', re.IGNORECASE)
MISSING = re.compile(r"not found|non-existent", re.IGNORECASE)


@dataclass(frozen=True)
class Problem:
    """Why one workload is not ready."""

    workload: str
    cause: str
    pod: str = ""
    container: str = ""
    previous_log: bool = False  # the words of a container that was started again
    # Seconds after which nobody waits any more. None: it may resolve itself.
    patience: float | None = None
    key: tuple[str, ...] = ()  # the same as long as it is the same problem


@dataclass
class Memory:
    """What was seen before."""

    since: dict[tuple[str, ...], float] = field(default_factory=dict)
    # Restarts of containers that were ready at first sight: of long ago, and none of this roll-out.
    restarts: dict[tuple[str, ...], int] = field(default_factory=dict)
    pull_messages: dict[tuple[str, ...], str] = field(default_factory=dict)

    def is_final(self, problem: Problem, now: float) -> bool:
        """Whether `problem` has lasted for as long as it may."""
        if problem.patience is None:
            return False
        return now - self.since.setdefault(problem.key, now) >= problem.patience


def has_rolled_out(deployment: Object | None) -> bool:
    """As `kubectl rollout status` judges."""
    if deployment is None:
        return False
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    replicas = status.get("replicas", 0)
    return bool(
        is_observed(deployment)
        and status.get("updatedReplicas", 0) == replicas
        and status.get("availableReplicas", 0) == replicas
        and wanted in (0, replicas)
    )


def is_observed(deployment: Object) -> bool:
    """Whether the status is of the Deployment as it is now."""
    seen = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(seen >= deployment["metadata"]["generation"])


def find_problem(
    name: str,
    deployment: Object | None,
    pods: list[Object],
    events: list[Object],
    memory: Memory,
) -> Problem:
    """The worst of what keeps one workload from being ready.

    :param pods: of the whole namespace or of the Deployment; others are left out.
    :param events: warnings of the namespace.
    """
    if deployment is None:
        cause = (
            "does not exist: it was deleted, for example by a `pulumi destroy` that was interrupted. "
            "Run `pulumi refresh`, then deploy again"
        )
        return Problem(name, cause, patience=GONE_PATIENCE, key=(name, "gone"))
    if not is_observed(deployment):
        return Problem(name, "Kubernetes has not taken up the change yet")
    new = new_pods(deployment, pods)
    found = [
        problem for pod in new for problem in _pod_problems(name, pod, _about(pod, events), memory)
    ]
    refused = _condition(deployment, "ReplicaFailure")
    if refused.get("status") == "True":
        cause = f"Kubernetes refuses its pods: {refused.get('message', '')}"
        found.append(Problem(name, cause))
    if not found:
        # Its pods are ready, and it is not: old pods have to go.
        cause = "old pods have not ended yet" if new else "it has no new pod yet"
        return Problem(name, cause)
    # First what ends the wait soonest.
    return min(found, key=lambda one: float("inf") if one.patience is None else one.patience)


def new_pods(deployment: Object, pods: list[Object]) -> list[Object]:
    """The pods of the Deployment's newest ReplicaSet. Those that are about to end do not count."""
    selected = deployment["spec"]["selector"]["matchLabels"].items()
    own = [
        pod
        for pod in pods
        if selected <= pod["metadata"].get("labels", {}).items()
        and not pod["metadata"].get("deletionTimestamp")
    ]
    match = REPLICA_SET.search(_condition(deployment, "Progressing").get("message", ""))
    if match:
        return [pod for pod in own if _replica_set(pod) == match[1]]
    if not own:
        return []
    newest = max(own, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    return [pod for pod in own if _template(pod) == _template(newest)]


def _replica_set(pod: Object) -> str:
    owners = pod["metadata"].get("ownerReferences", [])
    return next((one["name"] for one in owners if one["kind"] == "ReplicaSet"), "")


def _template(pod: Object) -> str:
    return str(pod["metadata"].get("labels", {}).get("pod-template-hash"))


def _condition(item: Object, kind: str) -> Object:
    conditions: list[Object] = item.get("status", {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def _about(pod: Object, events: list[Object]) -> list[Object]:
    """The warnings about a pod, the newest first."""
    own = [e for e in events if e.get("involvedObject", {}).get("uid") == pod["metadata"]["uid"]]
    return sorted(own, key=_time, reverse=True)


def _time(event: Object) -> str:
    times = (
        (event.get("series") or {}).get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )
    return next((str(one) for one in times if one), "")


def _message(events: list[Object], *reasons: str) -> str:
    return next((str(e.get("message", "")) for e in events if e.get("reason") in reasons), "")


def _pull_message(events: list[Object]) -> str:
    messages = (str(event.get("message", "")) for event in events)
    return next((text for text in messages if text.startswith("Failed to pull image")), "")


def _pod_problems(
    name: str, pod: Object, events: list[Object], memory: Memory
) -> Iterator[Problem]:
    pod_name, status = pod["metadata"]["name"], pod.get("status", {})
    if status.get("phase") == "Failed":
        why = ": ".join(filter(None, (status.get("reason"), status.get("message"))))
        yield Problem(name, f"its pod has failed: {why}", pod_name)
        return
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield Problem(name, f"no node has room: {scheduled.get('message', '')}", pod_name)
        return
    containers = [
        *status.get("initContainerStatuses", []),
        *status.get("containerStatuses", []),
    ]
    for container in containers:
        key = (pod["metadata"]["uid"], container["name"])
        if container.get("ready"):
            memory.restarts.setdefault(key, container.get("restartCount", 0))
        else:
            memory.restarts.setdefault(key, 0)
            yield _container_problem(name, pod, container, events, memory)
    if not containers:
        yield Problem(name, "its pod has not started yet", pod_name)


def _container_problem(
    name: str, pod: Object, container: Object, events: list[Object], memory: Memory
) -> Problem:
    pod_name, own_name = pod["metadata"]["name"], container["name"]
    waiting = container.get("state", {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    key = (pod["metadata"]["uid"], own_name)

    def problem(cause: str, kind: str = "", patience: float | None = None) -> Problem:
        return Problem(name, cause, pod_name, own_name, patience=patience, key=(*key, kind))

    image = f"the image {container.get('image', '')} of container {own_name}"
    if reason == "InvalidImageName":
        return problem(f"{image} has an invalid name: {message}", reason, 0)
    if reason in PULL_PROBLEMS:
        # A back-off does not repeat what the registry has said; the event of the pull does.
        said = message if reason != "ImagePullBackOff" else _pull_message(events)
        said = said or memory.pull_messages.get(key, "") or message or reason
        memory.pull_messages[key] = said
        return problem(f"{image} cannot be pulled: {said}", "pull", PULL_PATIENCE)
    if reason == "CreateContainerConfigError":
        return problem(f"container {own_name} cannot start: {message}", reason, CONFIG_PATIENCE)
    crashed = _crash(name, pod, container, events, memory)
    if crashed:
        return crashed
    mount = _message(events, "FailedMount")
    if waiting and mount:
        patience = MOUNT_PATIENCE if MISSING.search(mount) else None
        return problem(f"a volume cannot be mounted: {mount}", "mount", patience)
    if waiting:
        latest = str(events[0].get("message", "")) if events else ""
        what = ": ".join(filter(None, (reason, message or latest)))
        return problem(f"container {own_name} has not started yet ({what or 'waiting'})")
    probe = _message(events, "Unhealthy")
    return problem(f"container {own_name} runs and is not ready: {probe or 'it is starting'}")


def _crash(
    name: str, pod: Object, container: Object, events: list[Object], memory: Memory
) -> Problem | None:
    """How often a container has ended and why the last time; None for one that never did."""
    own_name, state = container["name"], container.get("state", {})
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    restarts = container.get("restartCount", 0)
    key = (pod["metadata"]["uid"], own_name)
    is_down = "running" not in state
    crashes = restarts + (1 if is_down and ended else 0) - memory.restarts.get(key, 0)
    if not ended or crashes < 1 or _is_done(pod, container):
        return None
    times = "once" if crashes == 1 else f"{crashes} times"
    cause = f"container {own_name} crashed {times}: {_reason(pod, own_name, ended)}"
    probe = _message(events, "Unhealthy")
    if ended.get("exitCode") in (137, 143) and ended.get("reason") != "OOMKilled" and probe:
        cause += f", after {probe}"
    return Problem(
        name,
        cause,
        pod["metadata"]["name"],
        own_name,
        previous_log="terminated" not in state,
        patience=0 if crashes >= MOST_CRASHES else None,
        key=(*key, "crash"),
    )


def _is_done(pod: Object, container: Object) -> bool:
    """Whether it is an init container that has done its work."""
    inits = (one["name"] for one in pod["spec"].get("initContainers", []))
    ended = container.get("state", {}).get("terminated") or {}
    return container["name"] in inits and ended.get("exitCode") == 0


def _reason(pod: Object, container: str, ended: Object) -> str:
    code = f"exit code {ended.get('exitCode')}"
    if ended.get("reason") == "OOMKilled":
        limit = _memory_limit(pod, container)
        return f"{code}, out of memory (OOMKilled{f'; its limit is {limit}' if limit else ''})"
    details = [ended.get("reason"), ended.get("message")]
    return ", ".join([code, *(text for text in details if text and text != "Error")])


def _memory_limit(pod: Object, container: str) -> str:
    for one in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]):
        if one["name"] == container:
            return str(one.get("resources", {}).get("limits", {}).get("memory", ""))
    return ""
