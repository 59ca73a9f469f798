"""The recordings of the real engine (see tests/data/recordings/README.md), and a provider that answers
as the real ones did."""

import gzip
import json
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astro_pulumi.embedded.provider import (
    CheckResult,
    DiffResult,
    InitializationError,
    Provider,
    ReadResult,
    Request,
)
from astro_pulumi.embedded.values import Properties, from_wire, reveal

DIRECTORY = Path(__file__).parents[2] / "data" / "recordings"


def load(name: str) -> list[dict[str, Any]]:
    """The calls of one recording, in the order in which they completed."""
    with gzip.open(DIRECTORY / f"{name}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def load_checkpoint() -> dict[str, Any]:
    """The state after `create`. Its passphrase is `x`."""
    with gzip.open(DIRECTORY / "checkpoint.json.gz", "rt") as text:
        data: dict[str, Any] = json.load(text)
    return data


_CHANGE = {"inputs": "news", "old_inputs": "oldInputs", "old_outputs": "olds"}
# Which field of the protocol's messages is which of `Request`'s.
MESSAGES: dict[str, dict[str, Any]] = {
    "Check": {"inputs": "news", "old_inputs": "olds"},
    "Diff": _CHANGE,
    "Create": {"inputs": "properties"},
    "Update": _CHANGE,
    "Read": {"inputs": "inputs", "old_outputs": "properties"},
    "Delete": {"inputs": "oldInputs", "old_outputs": "properties"},
}


@dataclass
class RecordedProvider(Provider):
    """Answers a call as the real provider did in a recording, and notes where the engine asked for
    something else than the real engine did."""

    name: str
    calls: list[dict[str, Any]]
    version: str = ""
    differences: list[str] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for call in self.calls:
            if call.get("provider") == self.name:
                method = call["method"].removeprefix("ResourceProvider/")
                self._answers[method, call["request"].get("urn", "")].append(call)

    def _answer(self, method: str, request: Request) -> dict[str, Any]:
        with self._lock:
            call = self._answers[method, request.resource.urn].pop(0)
            self.asked += 1
        recorded = call["request"]
        asked = {theirs: getattr(request, ours) for ours, theirs in MESSAGES[method].items()}
        # A provider that does not accept secrets is given plain values.
        expected = {key: reveal(from_wire(recorded.get(key, {}))) for key in asked}
        if method not in ("Check", "Create"):
            asked["id"], expected["id"] = request.id, recorded.get("id", "")
        if method in ("Diff", "Update"):
            asked["ignoreChanges"] = list(request.ignore_changes)
            expected["ignoreChanges"] = recorded.get("ignoreChanges", [])
        for key, value in asked.items():
            if reveal(value) != expected[key]:
                self.differences.append(
                    f"{method} {request.resource.name} {key}: {reveal(value)!r} instead of "
                    f"{expected[key]!r}"
                )
        return call

    def unasked(self) -> list[str]:
        """Calls that the real engine made and ours did not."""
        return [
            f"{method} {urn} was not asked"
            for (method, urn), calls in self._answers.items()
            for _ in calls
            if urn and "Config" not in method
        ]

    def check(self, request: Request) -> CheckResult:
        assert len(request.random_seed) == 32
        response = self._answer("Check", request)["response"]
        return CheckResult(from_wire(response["inputs"]))

    def diff(self, request: Request) -> DiffResult:
        response = self._answer("Diff", request)["response"]
        return DiffResult(
            response.get("changes") == "DIFF_SOME",
            tuple(response.get("replaces", ())),
            bool(response.get("deleteBeforeReplace")),
            {
                path: diff.get("kind", "ADD")
                for path, diff in response.get("detailedDiff", {}).items()
            },
        )

    def create(self, request: Request) -> tuple[str, Properties]:
        call = self._answer("Create", request)
        if call.get("error"):
            raise InitializationError("ns/made", dict(request.inputs), call["error"])
        return call["response"].get("id", ""), from_wire(call["response"]["properties"])

    def update(self, request: Request) -> Properties:
        call = self._answer("Update", request)
        outputs: Properties = from_wire(call["response"]["properties"])
        return outputs

    def read(self, request: Request) -> ReadResult | None:
        response = self._answer("Read", request)["response"]
        if not response.get("id"):
            return None
        return ReadResult(
            response["id"], from_wire(response["inputs"]), from_wire(response["properties"])
        )

    def delete(self, request: Request) -> None:
        self._answer("Delete", request)
