"""Judge whether workloads have rolled out, and why not, by the status that the Kubernetes API reports.

Nothing here talks to the cluster. A `Problem` that waiting does not solve has a patience, after which it is
a failure. All others are only reported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import astro_pod_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    Object = dict[str, Any]

PATIENCE = {
    astro_pod_problems.INVALID_IMAGE: 0.0,
    astro_pod_problems.PULL: 60.0,  # a registry may be unavailable for a moment
    astro_pod_problems.CONFIG: 10.0,  # the kubelet may not know a new Secret yet
}
MOUNT_PATIENCE = 20.0  # the same; the kubelet retries a volume after some seconds
GONE_PATIENCE = 10.0  # this Job starts after Pulumi has created its workloads
MOST_CRASHES = 3

# Condition of a Deployment: `ReplicaSet "x" is progressing`, `Created new replica set "x"`.
REPLICA_SET = re.compile(r'replica ?set "([^"]+)"', re.IGNORECASE)
MISSING = re.compile(r"not found|non-existent", re.IGNORECASE)


@dataclass(frozen=True)
class Problem:
    """The reason why a workload is not ready."""

    workload: str
    cause: str
    pod: str = ""
    container: str = ""
    previous_log: bool = False  # the log is that of the container before its restart
    # Seconds after which the problem is a failure. None: it may resolve itself.
    patience: float | None = None
    key: tuple[str, ...] = ()  # identity of the problem


@dataclass
class Memory:
    """Earlier observations."""

    since: dict[tuple[str, ...], float] = field(default_factory=dict)
    # Restarts of containers that were ready at the first look are older than this roll-out.
    seen: astro_pod_problems.Seen = field(default_factory=lambda: astro_pod_problems.Seen({}, {}))

    def is_ready(self, container: astro_pod_problems.Container) -> bool:
        """Return whether a container is ready, and remember its restarts at the first look."""
        ready: bool = container.is_ready
        self.seen.restarts.setdefault(container.key, container.restarts if ready else 0)
        return ready

    def final(self, problems: list[Problem], now: float) -> list[Problem]:
        """Return the problems that have lasted for as long as their patience.

        A problem that has been absent in between counts anew.

        Args:
            problems: All problems of this moment.
            now: The moment, in seconds. Every call takes it from the same clock.
        """
        lasting = [(one, one.patience) for one in problems if one.patience is not None]
        self.since = {one.key: self.since.get(one.key, now) for one, _ in lasting}
        return [one for one, patience in lasting if now - self.since[one.key] >= patience]


def has_rolled_out(deployment: Object | None) -> bool:
    """Return whether a workload has rolled out, as `kubectl rollout status` judges."""
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
    """Return whether the status is of the current version of the Deployment."""
    seen = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(seen >= deployment["metadata"]["generation"])


def find_problem(
    name: str,
    deployment: Object | None,
    pods: list[Object],
    events: list[Object],
    memory: Memory,
) -> Problem:
    """Return the most urgent problem of a workload that is not ready.

    Args:
        name: Name of the workload.
        deployment: The workload, or None if it does not exist.
        pods: Pods of the namespace. Those of other workloads are left out.
        events: Warnings of the namespace.
        memory: What was seen before.
    """
    if deployment is None:
        cause = (
            "does not exist: it was deleted, for example by a `pulumi destroy` that was interrupted. "
            "Run `pulumi refresh`, then deploy again"
        )
        return Problem(name, cause, patience=GONE_PATIENCE, key=(name, "gone"))
    if not is_observed(deployment):
        return Problem(name, "Kubernetes has not processed the change yet")
    new = new_pods(deployment, pods)
    found = [
        problem for pod in new for problem in _pod_problems(name, pod, _about(pod, events), memory)
    ]
    if refused := astro_pod_problems.refusal(deployment):
        found.append(Problem(name, refused))
    if not found:
        # Its pods are ready, and it is not: old pods have to go.
        cause = "old pods have not ended yet" if new else "it has no new pod yet"
        return Problem(name, cause)
    # First what ends the wait soonest.
    return min(found, key=lambda one: float("inf") if one.patience is None else one.patience)


def new_pods(deployment: Object, pods: list[Object]) -> list[Object]:
    """Return the pods of the newest ReplicaSet, without those that are being deleted."""
    selected = deployment["spec"]["selector"]["matchLabels"].items()
    own = [
        pod
        for pod in pods
        if selected <= pod["metadata"].get("labels", {}).items()
        and not pod["metadata"].get("deletionTimestamp")
    ]
    match = REPLICA_SET.search(
        astro_pod_problems.condition(deployment, "Progressing").get("message", "")
    )
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


def _about(pod: Object, events: list[Object]) -> list[Object]:
    """Return the warnings about a pod, the newest first."""
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


def _pod_problems(
    name: str, pod: Object, warnings: list[Object], memory: Memory
) -> Iterator[Problem]:
    for found in astro_pod_problems.problems(pod, warnings, memory.seen, memory.is_ready):
        yield Problem(
            name,
            found.cause,
            pod["metadata"]["name"],
            found.container,
            previous_log=found.previous_log,
            patience=_patience(found),
            key=(pod["metadata"]["uid"], found.container, found.kind),
        )


def _patience(found: astro_pod_problems.Problem) -> float | None:
    """Return the seconds after which a problem is final; None if it may resolve itself."""
    if found.kind == astro_pod_problems.CRASH:
        return 0 if found.crashes >= MOST_CRASHES else None
    if found.kind == astro_pod_problems.MOUNT:
        return MOUNT_PATIENCE if MISSING.search(found.cause) else None
    return PATIENCE.get(found.kind)
