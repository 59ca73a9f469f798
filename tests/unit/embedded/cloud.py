"""A provider for tests whose objects are files in a directory: they outlive the process, as those of a
real cloud do.

Inputs that steer it: `sleep` (seconds to create, update or delete), `late` (seconds between making the
object and saying so), `fail` (error message), `broken` (the same, after the object was made), `unready`
(initialization error), `fixed` (changing it replaces), `exclusive` (its replacement deletes first).
"""

import json
import time
from dataclasses import replace
from pathlib import Path

from astro_pulumi.embedded.provider import (
    CheckFailure,
    CheckResult,
    DiffResult,
    InitializationError,
    Provider,
    ReadResult,
    Request,
)
from astro_pulumi.embedded.values import UNKNOWN, Properties, has_unknown, reveal
from astro_pulumi.errors import ResourceError


class Cloud(Provider):
    """Objects by id. `calls` lists what was asked: `create a`, `delete b`."""

    name = "cloud"
    version = "1.0.0"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.calls: list[str] = []
        self.timeouts: dict[str, float] = {}
        self.cancelled = False
        self.config: Properties = {}

    def configured(self, _package: str, config: Properties) -> "Cloud":
        """The same cloud, whatever the configuration; `region` is where its objects are."""
        self.config = config
        return self

    def is_elsewhere(self, before: Properties) -> bool:
        return bool(before.get("region") != self.config.get("region"))

    def objects(self) -> dict[str, Properties]:
        """What exists."""
        return {file.name: json.loads(file.read_text()) for file in self.directory.iterdir()}

    def check(self, request: Request) -> CheckResult:
        news = request.inputs
        failures = [CheckFailure("bad", "is bad")] if "bad" in news else []
        suffix = request.random_seed.hex()[:8]
        name = request.old_inputs.get("name") or f"{request.resource.name}-{suffix}"
        return CheckResult({"name": name, **news}, failures)

    def diff(self, request: Request) -> DiffResult:
        old, new = reveal(request.old_inputs), reveal(request.inputs)
        changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        replaces = [key for key in changed if key in ("fixed", "name")]
        return DiffResult(
            bool(changed),
            replaces,
            "exclusive" in old,
            {key: "UPDATE_REPLACE" if key in replaces else "UPDATE" for key in changed},
        )

    def create(self, request: Request) -> tuple[str, Properties]:
        if request.preview:
            return "", {**request.inputs, "serial": UNKNOWN}
        name = request.resource.name
        assert not has_unknown(request.inputs)
        self.calls.append(f"create {name}")
        self.timeouts[name] = request.timeout
        self._act(request)
        plain = reveal(request.inputs)
        (self.directory / plain["name"]).write_text(json.dumps(plain))
        if "broken" in plain:
            raise ResourceError(plain["broken"])
        if "late" in plain:
            time.sleep(plain["late"])
        outputs = {**plain, "serial": len(self.calls)}
        if "unready" in plain:
            raise InitializationError(plain["name"], outputs, [plain["unready"]])
        return plain["name"], outputs

    def update(self, request: Request) -> Properties:
        if request.preview:
            return dict(request.inputs)
        self.calls.append(f"update {request.resource.name}")
        self._act(request)
        plain = reveal(request.inputs)
        (self.directory / request.id).write_text(json.dumps(plain))
        if "unready" in plain:
            raise InitializationError(request.id, plain, [plain["unready"]])
        return {**plain, "serial": request.old_outputs.get("serial")}

    def read(self, request: Request) -> ReadResult | None:
        file = self.directory / request.id
        if not file.exists():
            return None
        found = json.loads(file.read_text())
        return ReadResult(request.id, found, {**request.old_outputs, **found})

    def recover(self, request: Request) -> ReadResult | None:
        """What became of a create of which the end was not seen."""
        return self.read(replace(request, id=reveal(request.inputs)["name"]))

    def delete(self, request: Request) -> None:
        inputs = reveal(request.inputs)
        if inputs.get("undeletable"):
            raise ResourceError("it cannot be deleted")
        self.calls.append(f"delete {request.resource.name}")
        time.sleep(inputs.get("sleep", 0))
        (self.directory / request.id).unlink(missing_ok=True)

    def cancel(self) -> None:
        self.cancelled = True

    def _act(self, request: Request) -> None:
        request.log("info", "working")
        plain = reveal(request.inputs)
        deadline = time.monotonic() + plain.get("sleep", 0)
        while time.monotonic() < deadline:
            time.sleep(0.01)
            if self.cancelled:
                raise ResourceError("it was cancelled")
        if "fail" in plain:
            raise ResourceError(plain["fail"])
