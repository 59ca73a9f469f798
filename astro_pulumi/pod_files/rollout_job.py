"""Watch workloads until they have rolled out, and explain a failure.

Pulumi does not judge the roll-out: this Job does, and its termination message is what the user reads.
Kubernetes cuts that message at 4096 bytes, so the most useful lines come first. During the roll-out the
message names the current problems, in case the Job is killed. Exit code 0: all workloads are ready. 1: a
workload cannot become ready, or is not ready within ASTRO_ROLLOUT_TIMEOUT seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import astro_rollout_outcome as rollout
import astro_secret_filter
import astro_shared_names
from astro_kubernetes_client import DEPLOYMENTS, ApiError, Cluster
from astro_rollout_failure_message import failure_message
from astro_termination_message import StoppedError, leave_message, raise_when_stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_rollout_outcome import Object, Problem

SECRETS = Path("/run/secrets/rollout")
POLL = 0.5
# Pods and warnings are many and only explain a problem, so they are read less often.
LOOK = 2.0
LOG_LINES = 40
WARNINGS = {"fieldSelector": "type=Warning"}


class NotReadyError(Exception):
    """The roll-out has failed. The message is for the user."""


@dataclass
class Watch:
    """The watch of the workloads of one stage of a roll-out."""

    cluster: Cluster
    deployment: str
    names: list[str]
    clean: Callable[[str], str]
    clock: Callable[[], float] = time.monotonic
    problems: list[Problem] = field(default_factory=list)
    _memory: rollout.Memory = field(default_factory=rollout.Memory)
    _reported: dict[str, str] = field(default_factory=dict)

    def wait(self, timeout: float) -> None:
        """Return when all workloads have rolled out.

        Raises:
            NotReadyError: A workload cannot become ready, or is not ready after `timeout` seconds.
        """
        start = self.clock()
        looked = float("-inf")
        while True:
            deployments = self._find_workloads()
            waiting = [n for n in self.names if not rollout.has_rolled_out(deployments.get(n))]
            now = self.clock()
            late = now - start >= timeout
            if not waiting:
                return
            if late or now - looked >= LOOK:
                looked = now
                self._look(waiting, deployments)
                final = self._memory.final(self.problems, now)
                if final or late:
                    raise NotReadyError(
                        failure_message(self.problems, final, timeout, self.clean, self._read_log)
                    )
            time.sleep(POLL)

    def _find_workloads(self) -> dict[str, Object]:
        found = self.cluster.list(DEPLOYMENTS, astro_shared_names.instance_labels(self.deployment))
        return {one["metadata"]["name"]: one for one in found}

    def _look(self, waiting: list[str], deployments: dict[str, Object]) -> None:
        pods = self.cluster.list("pods", astro_shared_names.instance_labels(self.deployment))
        events = self.cluster.list("events", {}, **WARNINGS)
        self.problems = [
            rollout.find_problem(name, deployments.get(name), pods, events, self._memory)
            for name in waiting
        ]
        for problem in self.problems:
            cause = self.clean(problem.cause)
            if self._reported.get(problem.workload) != cause:
                self._reported[problem.workload] = cause
                say(f"{problem.workload}: {cause}")
        for name in set(self._reported) - set(waiting):
            del self._reported[name]
            say(f"{name}: ready")
        leave_message(f"The roll-out had not finished.\n{self.summary()}")

    def summary(self) -> str:
        """Return the workloads that are not ready, with the reasons."""
        return "\n".join(self.clean(f"{one.workload}: {one.cause}") for one in self.problems)

    def _read_log(self, problem: Problem) -> str:
        """Return the last lines of the log of the container with a problem."""
        if not problem.container:
            return ""
        log: str = self.cluster.log(problem.pod, problem.container, problem.previous_log, LOG_LINES)
        return log


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"roll-out: {text}", flush=True)


def main() -> int:
    """Watch the roll-out, and return the exit code of the Job."""
    start = time.monotonic()
    raise_when_stopped(
        lambda: (
            f"The watch of the roll-out was stopped after {time.monotonic() - start:.0f} s: it was "
            "deleted, or its node was shut down. Deploy again."
        )
    )
    clean = astro_secret_filter.make_filter(astro_secret_filter.read_secrets(SECRETS))
    names: list[str] = json.loads(os.environ[astro_shared_names.WORKLOADS])
    watch = Watch(Cluster.of_this_pod(), os.environ[astro_shared_names.DEPLOYMENT], names, clean)
    try:
        watch.wait(float(os.environ[astro_shared_names.ROLLOUT_TIMEOUT]))
    except NotReadyError as error:
        message = str(error)
    except StoppedError as error:
        message = f"{error}\n{watch.summary()}"
    except ApiError as error:
        message = clean(f"The roll-out could not be watched: {error}\n{watch.summary()}")
    else:
        leave_message("")
        say(f"{', '.join(names)}: ready after {time.monotonic() - start:.1f} s")
        return 0
    print(message, file=sys.stderr, flush=True)
    leave_message(message)
    return 1


if __name__ == "__main__":
    sys.exit(main())
