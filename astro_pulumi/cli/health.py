"""What is wrong with a pod, in the words that help most: why it crashed, not that it is restarted."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

# What every pod goes through.
_STARTING: Final = ("ContainerCreating", "PodInitializing")
# After as long without a crash Kubernetes restarts a container at once again.
_RECENT: Final = timedelta(minutes=10)
_REPEATED: Final = 2
_LONGEST: Final = 300


def workload_problem(
    workload: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], now: datetime | None = None
) -> str | None:
    """Return what keeps a workload or one of its pods from running; None if nothing does."""
    for condition in (workload.get("status") or {}).get("conditions") or []:
        # For example a quota that is exhausted, or an admission policy.
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return f"cannot create pods: {_short(condition.get('message') or condition['reason'])}"
    found = (problem for pod in pods for problem in pod_problems(pod, now or datetime.now(UTC)))
    return next(found, None)


def pod_problems(pod: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Yield what is wrong with a pod, init containers first."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"cannot be scheduled: {_short(condition.get('message') or condition['reason'])}"
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or []:
            problem = _container_problem(container, now)
            if problem:
                yield problem


def _container_problem(container: Mapping[str, Any], now: datetime) -> str | None:
    state = container.get("state") or {}
    last = (container.get("lastState") or {}).get("terminated")
    waiting, ended = state.get("waiting"), state.get("terminated")
    if ended:
        return f"crashes: {_end(ended)}" if ended.get("exitCode") else None
    if waiting:
        reason = str(waiting.get("reason") or "")
        if reason == "CrashLoopBackOff" and last:
            return f"crashes: {_end(last)}"
        if reason in _STARTING and not (last and last.get("exitCode")):
            return None
        return _short(": ".join(filter(None, (reason, waiting.get("message")))))
    if not last or not last.get("exitCode"):
        return None
    # It runs again. A container without a readiness probe is ready between any two crashes.
    is_over = container.get("ready") and (
        int(container.get("restartCount") or 0) < _REPEATED or not _is_recent(last, now)
    )
    return None if is_over else f"crashed: {_end(last)}"


def _end(terminated: Mapping[str, Any]) -> str:
    """Return how a container ended: `exit code 137, OOMKilled`."""
    reason = str(terminated.get("reason") or "")
    words = [f"exit code {terminated.get('exitCode')}"]
    words += [reason] if reason not in ("", "Error") else []
    said = str(terminated.get("message") or "").strip().splitlines()
    return ", ".join(words) + (f": {_short(said[-1])}" if said else "")


def _is_recent(terminated: Mapping[str, Any], now: datetime) -> bool:
    try:
        return now - datetime.fromisoformat(str(terminated.get("finishedAt"))) < _RECENT
    except ValueError:
        return False


def _short(text: str) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
