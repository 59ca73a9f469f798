"""The recorded calls of the real providers, as Python values."""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astro_pulumi.embedded.provider import DiffResult, Log, Request, Resource
from astro_pulumi.embedded.values import Properties, from_wire, to_wire
from tests.unit.embedded.recordings import MESSAGES

FOLDER = Path(__file__).parents[3] / "data" / "recordings"
FILES = ("create", "preview", "update", "failjob", "noop", "refresh", "destroy")

# What may differ between the real providers' answers and ours, and why:
#  - the eight hex digits of automatic names: random there, other digits of the same seed here;
#  - the eight hex digits of `__fieldManager`: random there, from the URN here, so that an object made
#    by a killed process is recognised.
_SUFFIX = re.compile(r"(-)[0-9a-f]{8}\b")


@dataclass(frozen=True)
class Call:
    """One recorded call."""

    file: str
    method: str
    request: dict[str, Any]
    response: dict[str, Any] | None
    error: list[str] | None

    @property
    def resource(self) -> Resource:
        return Resource(self.request["urn"], self.request["type"], self.request["name"])

    def asked(self, log: Log = lambda *_: None) -> Request:
        """The request in the form that ours take."""
        properties = {ours: self.given(theirs) for ours, theirs in MESSAGES[self.method].items()}
        return Request(
            resource=self.resource,
            id=self.request.get("id", ""),
            ignore_changes=self.request.get("ignoreChanges", ()),
            random_seed=base64.b64decode(self.request.get("randomSeed", "")),
            timeout=60,
            preview=bool(self.request.get("preview")),
            log=log,
            **properties,
        )

    def given(self, key: str) -> Properties:
        """Properties of the request."""
        return dict(from_wire(self.request.get(key, {})))

    def answered(self, key: str) -> Properties:
        """Properties of the response."""
        assert self.response is not None
        return dict(from_wire(self.response.get(key, {})))

    def __str__(self) -> str:
        kind = self.request["type"].rpartition(":")[2]
        return f"{self.file}-{kind}-{self.request['name']}"


def calls(provider: str, *methods: str) -> list[Call]:
    """The calls of a provider, in the order in which they were answered."""
    return [call for file in FILES for call in _read(file, provider) if call.method in methods]


def _read(file: str, provider: str) -> Iterator[Call]:
    with gzip.open(FOLDER / f"{file}.jsonl.gz", "rt") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry.get("provider") == provider:
                method = entry["method"].partition("/")[2]
                yield Call(
                    file, method, entry["request"], entry.get("response"), entry.get("error")
                )


def comparable(value: Any) -> Any:
    """Properties in wire form, with what may differ made alike."""
    return json.loads(_SUFFIX.sub(r"\1XXXXXXXX", json.dumps(to_wire(value), sort_keys=True)))


def recorded_diff(call: Call) -> DiffResult:
    """The answer to a Diff; replaced paths in order, since the real provider's order is random."""
    assert call.response is not None
    return DiffResult(
        changes=call.response["changes"] == "DIFF_SOME",
        replaces=sorted(call.response.get("replaces", [])),
        delete_before_replace=call.response.get("deleteBeforeReplace", False),
        detailed={
            path: change.get("kind", "ADD")
            for path, change in call.response.get("detailedDiff", {}).items()
        },
    )
