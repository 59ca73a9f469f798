"""Why an object is not ready, in words: from the status of its pods, its events and its containers' logs.

Pure functions; whoever needs a log passes it in.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from astro_pulumi.embedded.providers.kubernetes.objects import (
    Object,
    condition,
    dig,
    name_of,
    object_id,
)

# A container's last words: (pod, container, of the previous run) -> lines.
ReadLog = Callable[[Object, str, bool], str]

LOG_LINES: Final = 10
_MAX_PODS: Final = 3
_MAX_EVENTS: Final = 3
_PROBES_OF_A_START: Final = 5
_STARTING: Final = ("ContainerCreating", "PodInitializing", "")
_PULLING: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
# What the kubelet and runtimes put before the part that says something.
_NOISE: Final = (
    "rpc error: code = Unknown desc = ",
    "rpc error: code = NotFound desc = ",
    "Error response from daemon: ",
)


def is_ready(pod: Object) -> bool:
    """Whether a pod is ready or has done its work."""
    return (
        condition(pod, "Ready").get("status") == "True"
        or dig(pod, "status", "phase") == "Succeeded"
    )


def is_current(pod: Object) -> bool:
    """Whether a pod is not on its way out."""
    return not dig(pod, "metadata", "deletionTimestamp")


def cannot_pull(pod: Object) -> bool:
    """Whether an image of a pod could not be pulled at the last attempt."""
    return any(dig(status, "state", "waiting", "reason") in _PULLING for status in _unfinished(pod))


def selects(selector: Object | None, labels: Object | None) -> bool:
    """Whether a label selector matches labels. No selector matches nothing."""
    if not selector:
        return False
    labels = labels or {}
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or []:
        present, value = term["key"] in labels, labels.get(term["key"])
        holds = {
            "In": value in (term.get("values") or []),
            "NotIn": value not in (term.get("values") or []),
            "Exists": present,
            "DoesNotExist": not present,
        }
        if not holds.get(term["operator"], False):
            return False
    return True


def is_about(event: Object, uids: set[str]) -> bool:
    """Whether an event is about one of these objects."""
    return dig(event, "involvedObject", "uid") in uids


def _time(event: Object) -> str:
    return str(
        event.get("lastTimestamp")
        or dig(event, "series", "lastObservedTime")
        or event.get("eventTime")
        or dig(event, "metadata", "creationTimestamp")
        or ""
    )


def _times(event: Object) -> int:
    return int(event.get("count") or dig(event, "series", "count") or 1)


def activity(pod: Object, events: Sequence[Object]) -> str:
    """What a pod that is not ready is doing or lacks, in a few words for a status line."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"cannot be scheduled: {scheduled.get('message', '')}"
    own = sorted((e for e in events if is_about(e, {pod["metadata"]["uid"]})), key=_time)
    last = own[-1] if own else {}
    for status in _unfinished(pod):
        container = status["name"]
        waiting = dig(status, "state", "waiting")
        terminated = dig(status, "state", "terminated")
        if dig(status, "state", "running") is not None:
            # A few failed probes are part of every start.
            if last.get("reason") == "Unhealthy" and _times(last) > _PROBES_OF_A_START:
                return f"{container} is not ready: {_clean(last.get('message', ''))}"
            return f"{container} has started, waiting for it to be ready"
        reason = (waiting or terminated or {}).get("reason", "")
        if reason in _PULLING:
            return f"[{reason}] {_clean(waiting.get('message', ''))}"
        if reason == "CrashLoopBackOff":
            return f"{container} keeps crashing ({_exit(dig(status, 'lastState', 'terminated'))})"
        if terminated is not None:
            return f"{container} ended ({_exit(terminated)})"
        if reason not in _STARTING:
            return f"[{reason}] {_clean(waiting.get('message', ''))}"
        if last.get("type") == "Warning" and last.get("reason") != "Unhealthy":
            return f"[{last.get('reason')}] {_clean(last.get('message', ''))}"
        if last.get("reason") == "Pulling":
            return f"pulling image for {container}"
        return f"starting {container}"
    return "waiting for a node" if not scheduled else "starting"


def pod_problems(pod: Object, read_log: ReadLog) -> list[str]:
    """Everything that keeps a pod from being ready, one line or block of lines each."""
    found = list(_container_problems(pod, read_log))
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        found.insert(0, f"[{scheduled.get('reason')}] {scheduled.get('message')}")
    phase_message = dig(pod, "status", "message")
    if phase_message:
        found.insert(0, f"[{dig(pod, 'status', 'reason')}] {phase_message}")
    return [f"[Pod {object_id(pod)}]: {problem}" for problem in found]


def _container_problems(pod: Object, read_log: ReadLog) -> Iterator[str]:
    for status in _unfinished(pod):
        container = status["name"]
        waiting = dig(status, "state", "waiting") or {}
        terminated = dig(status, "state", "terminated")
        last = dig(status, "lastState", "terminated")
        if waiting.get("reason", "") not in (*_STARTING, "CrashLoopBackOff"):
            yield f'container "{container}": [{waiting["reason"]}] {_clean(waiting.get("message", ""))}'
        ended = terminated or last
        if ended and ended.get("exitCode") != 0:
            count = status.get("restartCount") or 0
            restarted = f", restarted {count} time{'s' if count > 1 else ''}" if count else ""
            words = (ended.get("message") or "").strip()
            if not words:
                words = read_log(pod, container, ended is last and terminated is None).strip()
            reason = ended.get("reason") or "Error"
            yield (
                f'container "{container}" ended with {_exit(ended)}{restarted}: [{reason}]'
                + (f" {words}" if words else " it left no message and no log")
            )
        elif dig(status, "state", "running") is not None and not status.get("ready"):
            yield f'container "{container}" runs, but is not ready'


def _unfinished(pod: Object) -> list[Object]:
    """The containers that keep the pod from being ready: init containers first."""
    statuses = [
        status
        for status in dig(pod, "status", "initContainerStatuses") or []
        if dig(status, "state", "terminated", "exitCode") != 0 and not status.get("started")
    ]
    statuses += [
        status
        for status in dig(pod, "status", "containerStatuses") or []
        if not status.get("ready") and dig(status, "state", "terminated", "exitCode") != 0
    ]
    return statuses


def _exit(terminated: Object | None) -> str:
    if not terminated:
        return "no exit code"
    if terminated.get("reason") == "OOMKilled":
        return "OOMKilled: it used more memory than its limit"
    return f"exit code {terminated.get('exitCode')}"


def _clean(message: str) -> str:
    for noise in _NOISE:
        message = message.replace(noise, "")
    return message.strip()


def explain(
    pods: Sequence[Object], events: Sequence[Object], owner: Object, read_log: ReadLog
) -> list[str]:
    """The reasons behind a failure: pods that are not ready (the newest few), and warnings."""
    failing = [pod for pod in pods if not is_ready(pod)]
    failing.sort(key=lambda pod: str(dig(pod, "metadata", "creationTimestamp")), reverse=True)
    reasons: list[str] = []
    seen: set[str] = set()
    for pod in failing:
        # Replicas fail alike: the same problem is told once, under the name of one pod.
        problems = pod_problems(pod, read_log) or [
            f"[Pod {object_id(pod)}]: {activity(pod, events)}"
        ]
        gist = "".join(problems).replace(name_of(pod), "")
        if gist not in seen and len(seen) < _MAX_PODS:
            seen.add(gist)
            reasons += problems
    uids = {pod["metadata"]["uid"] for pod in failing} | {dig(owner, "metadata", "uid")}
    warnings = [
        event for event in events if event.get("type") == "Warning" and is_about(event, uids)
    ]
    warnings.sort(key=_time, reverse=True)
    told: set[str] = set()
    for event in warnings:
        reason, message = str(event.get("reason")), _clean(str(event.get("message", "")))
        # What the pods' status says already is not repeated.
        is_told = any(message in told_reason for told_reason in reasons)
        if is_told or (reasons and reason in ("BackOff", "Failed", "FailedScheduling")):
            continue
        if reason not in told and len(told) < _MAX_EVENTS:
            told.add(reason)
            reasons.append(f"[{reason}] {message}")
    return reasons
