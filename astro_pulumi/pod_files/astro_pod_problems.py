"""Find the reasons why pods are not ready in the status that the Kubernetes API reports.

The watch of a roll-out and `astro-pulumi status` both use this module. It imports no other pod file, so that
the package can import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping, Sequence

    Object = dict[str, Any]

FAILED = "failed"
UNSCHEDULABLE = "unschedulable"
INVALID_IMAGE = "invalid image"
PULL = "pull"
CONFIG = "config"
CRASH = "crash"
MOUNT = "mount"
STARTING = "starting"  # every pod is, for a while
WAITING = "waiting"
NOT_READY = "not ready"

PULL_PROBLEMS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
STARTING_REASONS = ("", "ContainerCreating", "PodInitializing")


class Problem(NamedTuple):
    """The reason why a pod is not ready."""

    kind: str
    cause: str
    container: str = ""  # empty: the whole pod
    crashes: int = 0
    previous_log: bool = False  # the reason is in the log of the container before its restart


class Container(NamedTuple):
    """The status of one container, and where it belongs."""

    pod: Object
    status: Object
    is_init: bool

    @property
    def name(self) -> str:
        """Name of the container."""
        return str(self.status["name"])

    @property
    def key(self) -> tuple[str, str]:
        """Key of the container, the same for the lifetime of the pod."""
        return str(self.pod["metadata"].get("uid", "")), self.name

    @property
    def is_ready(self) -> bool:
        """Whether Kubernetes calls it ready."""
        return bool(self.status.get("ready"))

    @property
    def restarts(self) -> int:
        """Number of restarts."""
        return int(self.status.get("restartCount") or 0)

    @property
    def waiting(self) -> Object:
        """State of a waiting container; empty if it does not wait."""
        return self._state("state", "waiting")

    @property
    def terminated(self) -> Object:
        """State of an ended container; empty if it has not ended."""
        return self._state("state", "terminated")

    @property
    def last_terminated(self) -> Object:
        """State of its last end, also before a restart; empty if it never ended."""
        return self.terminated or self._state("lastState", "terminated")

    @property
    def is_running(self) -> bool:
        """Whether it runs now."""
        return "running" in (self.status.get("state") or {})

    def _state(self, when: str, kind: str) -> Object:
        found: Object = (self.status.get(when) or {}).get(kind) or {}
        return found


class Seen(NamedTuple):
    """Earlier observations of containers, by `Container.key`."""

    restarts: MutableMapping[tuple[str, str], int]  # not counted as crashes
    pull_messages: MutableMapping[tuple[str, str], str]  # messages of registries


def refusal(workload: Object) -> str:
    """Return why Kubernetes refuses to create pods, such as an exhausted quota; empty if it does not."""
    refused = condition(workload, "ReplicaFailure")
    if refused.get("status") != "True":
        return ""
    return f"cannot create pods: {refused.get('message') or refused.get('reason', '')}"


def condition(item: Object, kind: str) -> Object:
    """Return a condition of an object; empty if it has none of this type."""
    conditions: list[Object] = (item.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def containers(pod: Object) -> list[Container]:
    """Return the containers of a pod that have a status, init containers first."""
    status = pod.get("status") or {}
    return [
        Container(pod, found, kind == "initContainerStatuses")
        for kind in ("initContainerStatuses", "containerStatuses")
        for found in status.get(kind) or []
    ]


def problems(
    pod: Object,
    warnings: Sequence[Object],
    seen: Seen,
    is_well: Callable[[Container], bool] = lambda container: container.is_ready,
) -> Iterator[Problem]:
    """Yield the problems that keep a pod from being ready.

    Args:
        pod: The pod.
        warnings: Warning events about the pod, the newest first.
        seen: Earlier observations; messages of registries are added.
        is_well: Returns whether a container is to be skipped.
    """
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        why = ": ".join(filter(None, (status.get("reason"), status.get("message"))))
        yield Problem(FAILED, f"the pod has failed: {why}")
        return
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        why = scheduled.get("message") or scheduled.get("reason", "")
        yield Problem(UNSCHEDULABLE, f"cannot be scheduled: {why}")
        return
    found = containers(pod)
    for container in found:
        if not is_well(container) and not _is_done(container):
            yield _container_problem(container, warnings, seen)
    if not found:
        yield Problem(STARTING, "the pod has not started yet")


def _is_done(container: Container) -> bool:
    return container.is_init and container.terminated.get("exitCode") == 0


def _container_problem(container: Container, warnings: Sequence[Object], seen: Seen) -> Problem:
    name, waiting = container.name, container.waiting
    reason, message = waiting.get("reason") or "", waiting.get("message") or ""
    image = f"the image {container.status.get('image', '')} of container {name}"
    if reason == "InvalidImageName":
        return Problem(INVALID_IMAGE, f"{image} has an invalid name: {message}", name)
    if reason in PULL_PROBLEMS:
        # A back-off does not repeat the registry's message; the event of the pull does.
        said = message if reason != "ImagePullBackOff" else _pull_message(warnings)
        said = said or seen.pull_messages.get(container.key, "") or message or reason
        seen.pull_messages[container.key] = said
        # Without the Secret the kubelet pulls without a login, and the registry only says "unauthorized".
        no_login = _message(warnings, "FailedToRetrieveImagePullSecret")
        why = " ".join(filter(None, (no_login, said)))
        return Problem(PULL, f"{image} cannot be pulled: {why}", name)
    if reason == "CreateContainerConfigError":
        return Problem(CONFIG, f"container {name} cannot start: {message}", name)
    crash = _crash(container, warnings, seen)
    if crash:
        return crash
    mount = _message(warnings, "FailedMount")
    if waiting and mount:
        return Problem(MOUNT, f"a volume cannot be mounted: {mount}", name)
    if waiting:
        kind = STARTING if reason in STARTING_REASONS else WAITING
        latest = str(warnings[0].get("message", "")) if warnings else ""
        what = ": ".join(filter(None, (reason, message or latest))) or "waiting"
        return Problem(kind, f"container {name} has not started yet ({what})", name)
    probe = _message(warnings, "Unhealthy") or "it is starting"
    return Problem(NOT_READY, f"container {name} runs and is not ready: {probe}", name)


def _crash(container: Container, warnings: Sequence[Object], seen: Seen) -> Problem | None:
    """Return the number of ends of a container and the reason of the last one; None if it never ended."""
    ended = container.last_terminated
    crashes = container.restarts - seen.restarts.get(container.key, 0)
    crashes += 1 if ended and not container.is_running else 0
    if not ended or crashes < 1:
        return None
    times = "once" if crashes == 1 else f"{crashes} times"
    cause = f"container {container.name} crashed {times}: {_end(container, ended)}"
    probe = _message(warnings, "Unhealthy")
    if ended.get("exitCode") in (137, 143) and ended.get("reason") != "OOMKilled" and probe:
        cause += f", after {probe}"
    return Problem(CRASH, cause, container.name, crashes, not container.terminated)


def _end(container: Container, ended: Object) -> str:
    """Return the end of a container: `exit code 137, out of memory (OOMKilled; its limit is 1Gi)`."""
    code = f"exit code {ended.get('exitCode')}"
    if ended.get("reason") == "OOMKilled":
        limit = _memory_limit(container)
        return f"{code}, out of memory (OOMKilled{f'; its limit is {limit}' if limit else ''})"
    details = [ended.get("reason"), ended.get("message")]
    return ", ".join([code, *(text for text in details if text and text != "Error")])


def _memory_limit(container: Container) -> str:
    spec = container.pod.get("spec") or {}
    for one in (*spec.get("initContainers", []), *spec.get("containers", [])):
        if one.get("name") == container.name:
            return str(one.get("resources", {}).get("limits", {}).get("memory", ""))
    return ""


def _message(warnings: Sequence[Object], reason: str) -> str:
    return next((str(e.get("message", "")) for e in warnings if e.get("reason") == reason), "")


def _pull_message(warnings: Sequence[Object]) -> str:
    messages = (str(event.get("message", "")) for event in warnings)
    return next((text for text in messages if text.startswith("Failed to pull image")), "")
