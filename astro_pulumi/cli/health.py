"""Problems of a workload for `astro-pulumi status`, found as during a roll-out."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from astro_pulumi.cli.kubernetes_client import Object
from astro_pulumi.pod_files import astro_pod_problems
from astro_pulumi.pod_files.astro_pod_problems import Container, Seen

# States that every healthy pod passes through.
_PASSING: Final = (astro_pod_problems.STARTING, astro_pod_problems.NOT_READY)
# Kubernetes resets the back-off of a container after this time without a crash.
_RECENT: Final = timedelta(minutes=10)
_REPEATED: Final = 2
_LONGEST: Final = 300


def workload_problem(
    workload: Object, pods: Sequence[Object], now: datetime | None = None
) -> str | None:
    """Return the problem of a workload or of one of its pods; None if there is none."""
    time = now or datetime.now(UTC)
    refused = astro_pod_problems.refusal(workload)
    found = [refused] if refused else (text for pod in pods for text in _pod_problems(pod, time))
    return next((_short(text) for text in found), None)


def _pod_problems(pod: Object, now: datetime) -> Iterator[str]:
    for problem in astro_pod_problems.problems(
        pod, (), Seen({}, {}), lambda one: _is_well(one, now)
    ):
        if problem.kind not in _PASSING:
            yield problem.cause


def _is_well(container: Container, now: datetime) -> bool:
    """Return whether a container is ready, and not just between two crashes."""
    last: dict[str, Any] = container.last_terminated
    if not container.waiting and not last.get("exitCode"):
        return True
    is_over = container.restarts < _REPEATED or not _is_recent(last, now)
    return container.is_ready and is_over


def _is_recent(terminated: dict[str, Any], now: datetime) -> bool:
    try:
        return now - datetime.fromisoformat(str(terminated.get("finishedAt"))) < _RECENT
    except ValueError:
        return False


def _short(text: str) -> str:
    """Return a text as one line. Of a traceback, the last line has the most information."""
    first, *rest = text.strip().splitlines()
    line = " ".join(" ".join([first, *(["..."] if rest[:-1] else []), *rest[-1:]]).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
