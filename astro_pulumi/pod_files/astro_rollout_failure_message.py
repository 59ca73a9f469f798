"""The message of a failed roll-out: the causes, and the last log lines of the container that fails first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_termination_message import TERMINATION_BYTES, last_that_fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_rollout_outcome import Problem


def failure_message(
    problems: list[Problem],
    final: list[Problem],
    timeout: float,
    clean: Callable[[str], str],
    read_log: Callable[[Problem], str],
) -> str:
    """Return the causes, and the last log lines of the first workload, within 4096 bytes.

    Args:
        problems: The problems of the workloads that are not ready.
        final: Those of them that waiting does not solve. Empty: the time is over.
        timeout: Seconds that the roll-out may take.
        clean: Removes secrets from text.
        read_log: Returns the log of the container with a problem; empty if there is none.
    """
    first = (final or problems)[0]
    head = [f"{first.workload}: {first.cause}"]
    if not final:
        head.insert(0, f"Not ready after {timeout:.0f} s (timeouts.rollout).")
    head += [
        f"{one.workload} is not ready either: {one.cause}" for one in problems if one is not first
    ]
    text = clean("\n".join(head))
    # The whole log is filtered at once: a secret may have several lines.
    lines = [line for line in clean(read_log(first)).splitlines() if line.strip()]
    if not lines:
        return text
    text = f"{text}\nThe last log lines of {first.pod}, container {first.container}:"
    return "\n".join([text, *last_that_fit(lines, TERMINATION_BYTES - len(text.encode()))])
