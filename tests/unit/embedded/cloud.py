"""A provider for tests whose objects are files in a directory: they outlive the process, as those of a
real cloud do.

Inputs that steer it: `sleep` (seconds to create, update or delete), `late` (seconds between making the
object and saying so), `fail` (error message), `broken` (the same, after the object was made), `unready`
(initialization error), `fixed` (changing it replaces), `exclusive` (its replacement deletes first).
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from astro_pulumi.embedded.provider import (
    CheckFailure,
    CheckResult,
    DiffResult,
    InitializationError,
    Log,
    ReadResult,
    Resource,
)
from astro_pulumi.embedded.values import UNKNOWN, Properties, has_unknown, reveal
from astro_pulumi.errors import ResourceError


class Cloud:
    """Objects by id. `calls` lists what was asked: `create a`, `delete b`."""

    name = "cloud"
    version = "1.0.0"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.calls: list[str] = []
        self.timeouts: dict[str, float] = {}
        self.cancelled = False

    def objects(self) -> dict[str, Properties]:
        """What exists."""
        return {file.name: json.loads(file.read_text()) for file in self.directory.iterdir()}

    def check(
        self, resource: Resource, olds: Properties, news: Properties, random_seed: bytes
    ) -> CheckResult:
        failures = [CheckFailure("bad", "is bad")] if "bad" in news else []
        name = olds.get("name") or f"{resource.name}-{random_seed.hex()[:8]}"
        return CheckResult({"name": name, **news}, failures)

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: Sequence[str],
    ) -> DiffResult:
        old, new = reveal(old_inputs), reveal(news)
        changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        replaces = [key for key in changed if key in ("fixed", "name")]
        return DiffResult(
            bool(changed),
            replaces,
            "exclusive" in old,
            {key: "UPDATE_REPLACE" if key in replaces else "UPDATE" for key in changed},
        )

    def create(
        self, resource: Resource, inputs: Properties, timeout: float, preview: bool, log: Log
    ) -> tuple[str, Properties]:
        if preview:
            return "", {**inputs, "serial": UNKNOWN}
        assert not has_unknown(inputs)
        self.calls.append(f"create {resource.name}")
        self.timeouts[resource.name] = timeout
        self._act(inputs, log)
        plain = reveal(inputs)
        (self.directory / plain["name"]).write_text(json.dumps(plain))
        if "broken" in plain:
            raise ResourceError(plain["broken"])
        if "late" in plain:
            time.sleep(plain["late"])
        outputs = {**plain, "serial": len(self.calls)}
        if "unready" in plain:
            raise InitializationError(plain["name"], outputs, [plain["unready"]])
        return plain["name"], outputs

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
        if preview:
            return dict(news)
        self.calls.append(f"update {resource.name}")
        self._act(news, log)
        plain = reveal(news)
        (self.directory / id).write_text(json.dumps(plain))
        if "unready" in plain:
            raise InitializationError(id, plain, [plain["unready"]])
        return {**plain, "serial": old_outputs.get("serial")}

    def read(
        self, resource: Resource, id: str, inputs: Properties, outputs: Properties
    ) -> ReadResult | None:
        file = self.directory / id
        if not file.exists():
            return None
        found = json.loads(file.read_text())
        return ReadResult(id, found, {**outputs, **found})

    def recover(self, resource: Resource, inputs: Properties) -> ReadResult | None:
        """What became of a create of which the end was not seen."""
        return self.read(resource, reveal(inputs)["name"], inputs, {})

    def delete(
        self,
        resource: Resource,
        id: str,
        inputs: Properties,
        outputs: Properties,
        timeout: float,
        log: Log,
    ) -> None:
        if reveal(inputs).get("undeletable"):
            raise ResourceError("it cannot be deleted")
        self.calls.append(f"delete {resource.name}")
        if "sleep" in inputs:
            time.sleep(reveal(inputs)["sleep"])
        (self.directory / id).unlink(missing_ok=True)

    def cancel(self) -> None:
        self.cancelled = True

    def _act(self, inputs: Properties, log: Log) -> None:
        log("info", "working")
        plain = reveal(inputs)
        deadline = time.monotonic() + plain.get("sleep", 0)
        while time.monotonic() < deadline:
            time.sleep(0.01)
            if self.cancelled:
                raise ResourceError("it was cancelled")
        if "fail" in plain:
            raise ResourceError(plain["fail"])
