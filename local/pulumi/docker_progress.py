"""Status lines and errors from a Docker daemon's events during a build or a push."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from local.pulumi.plugin import ResourceError

_LAST_LINES: Final = 15
_BUILDKIT: Final = r"requires BuildKit|unknown flag: (mount|link|chmod|checksum|exclude)"
_STEP: Final = re.compile(r"Step \d+/\d+ : ")
_DULL: Final = (" --->", "Removing intermediate", "Successfully ")
_NOT_ALLOWED: Final = r"(?i)unauthorized|denied|no basic auth|authentication required|^EOF$"
_NOT_REACHED: Final = (
    "(?i)refused|no such host|i/o timeout|HTTP response to HTTPS client|certificate|dial tcp"
)
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Progress:
    """The progress of a build or a push."""

    explain: Callable[["Progress", str], str]  # turns the daemon's error into a message
    result: str = ""  # id of the image that was built, or digest of the one that was pushed
    step: str = ""
    partial: str = ""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    layers: dict[str, tuple[int, int]] = field(default_factory=dict)

    def hear(self, event: dict[str, Any]) -> str:
        """Return a status line; empty without news.

        Raises:
            ResourceError: The event is an error.
        """
        if "error" in event:
            raise ResourceError(self.explain(self, str(event["error"]).strip()))
        found = event.get("aux") or {}
        self.result = found.get("ID") or found.get("Digest") or self.result
        if "progressDetail" in event:
            return self._layer(str(event.get("id")), event["progressDetail"] or {})
        self.partial += _COLOURS.sub("", str(event.get("stream") or ""))
        if not self.partial.endswith("\n"):
            return ""  # a line may come in pieces
        text, self.partial = self.partial.rstrip(), ""
        if _STEP.match(text):
            self.step = " ".join(text.split())
            self.tail.clear()
            return self.step
        if not text.strip() or text.startswith(_DULL):
            return ""
        self.tail.extend(text.splitlines())
        return f"{self.step.partition(' : ')[0]}: {self.tail[-1].strip()}"

    def _layer(self, layer: str, detail: dict[str, int]) -> str:
        if not detail.get("total"):
            return ""
        self.layers[layer] = (min(detail.get("current") or 0, detail["total"]), detail["total"])
        done, all_ = (sum(each) // 1_000_000 for each in zip(*self.layers.values(), strict=True))
        return f"{f'{self.step}: pulling' if self.step else 'pushing'} {done}/{all_} MB"


def explain_build(progress: Progress, error: str) -> str:
    """Return the failed step of a build, its last lines, and the daemon's error."""
    if re.search(_BUILDKIT, error):
        return (
            f"{error}. This Dockerfile needs BuildKit, which the local stand-in for pulumi-docker does"
            " not drive: install Pulumi for the real one, or rewrite the instruction"
        )
    last = [f"    {line}" for line in (*progress.tail, *progress.partial.splitlines())]
    return "\n".join([*filter(None, [progress.step]), *last, error])


def explain_push(host: str, error: str) -> str:
    """Return the reason why a push to the registry `host` failed."""
    if re.search(_NOT_ALLOWED, error):
        return (
            f"{error} (check the username and password for {host}, and that they may push to this"
            " repository)"
        )
    if re.search(_NOT_REACHED, error):
        return f"the registry {host} cannot be reached ({error})"
    return error
