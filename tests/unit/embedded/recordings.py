"""The recordings of the real engine (see tests/data/recordings/README.md), and a provider that answers
as the real ones did."""

import gzip
import json
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astro_pulumi.embedded.provider import (
    CheckResult,
    DiffResult,
    InitializationError,
    Log,
    ReadResult,
    Resource,
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


@dataclass
class RecordedProvider:
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

    def _answer(self, method: str, resource: Resource, **request: Any) -> dict[str, Any]:
        with self._lock:
            call = self._answers[method, resource.urn].pop(0)
            self.asked += 1
        recorded = call["request"]
        for key, value in request.items():
            # A provider that does not accept secrets is given plain values.
            expected = reveal(from_wire(recorded.get(key, [] if isinstance(value, list) else {})))
            if key == "id":
                expected = recorded.get("id", "")
            if reveal(value) != expected:
                self.differences.append(
                    f"{method} {resource.name} {key}: {reveal(value)!r} instead of {expected!r}"
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

    def check(
        self, resource: Resource, olds: Properties, news: Properties, random_seed: bytes
    ) -> CheckResult:
        assert len(random_seed) == 32
        response = self._answer("Check", resource, olds=olds, news=news)["response"]
        return CheckResult(from_wire(response["inputs"]))

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: Sequence[str],
    ) -> DiffResult:
        response = self._answer(
            "Diff",
            resource,
            id=id,
            oldInputs=old_inputs,
            olds=old_outputs,
            news=news,
            ignoreChanges=list(ignore_changes),
        )["response"]
        return DiffResult(
            response.get("changes") == "DIFF_SOME",
            tuple(response.get("replaces", ())),
            bool(response.get("deleteBeforeReplace")),
            {
                path: diff.get("kind", "ADD")
                for path, diff in response.get("detailedDiff", {}).items()
            },
        )

    def create(
        self, resource: Resource, inputs: Properties, timeout: float, preview: bool, log: Log
    ) -> tuple[str, Properties]:
        call = self._answer("Create", resource, properties=inputs)
        if call.get("error"):
            raise InitializationError("ns/made", dict(inputs), call["error"])
        return call["response"].get("id", ""), from_wire(call["response"]["properties"])

    def update(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: Sequence[str],
        timeout: float,
        preview: bool,
        log: Log,
    ) -> Properties:
        call = self._answer(
            "Update",
            resource,
            id=id,
            oldInputs=old_inputs,
            olds=old_outputs,
            news=news,
            ignoreChanges=list(ignore_changes),
        )
        outputs: Properties = from_wire(call["response"]["properties"])
        return outputs

    def read(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties
    ) -> ReadResult | None:
        call = self._answer("Read", resource, id=id, inputs=inputs, properties=outputs)
        response = call["response"]
        if not response.get("id"):
            return None
        return ReadResult(
            response["id"], from_wire(response["inputs"]), from_wire(response["properties"])
        )

    def delete(
        self,
        resource: Resource,
        id: str,
        inputs: Properties,
        outputs: Properties,
        timeout: float,
        log: Log,
    ) -> None:
        self._answer("Delete", resource, id=id, oldInputs=inputs, properties=outputs)

    def cancel(self) -> None:
        pass
