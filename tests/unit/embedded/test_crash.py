"""The engine killed at every moment: whatever exists is known to state, and the next `up` ends well."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.embedded.journal import Journal
from astro_pulumi.embedded.secrets import Crypter
from astro_pulumi.embedded.state import (
    ResourceState,
    Snapshot,
    checkpoint_from_json,
    checkpoint_to_json,
)
from astro_pulumi.errors import StateError
from tests.unit.embedded.cloud import Cloud
from tests.unit.embedded.test_deployment import Program, Stack

CRYPTER = Crypter(bytes(32))


class Recorder:
    """Notes (state file, objects in the cloud) after every change of either: what a kill at that moment
    would leave behind."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.text = ""
        self.moments: list[tuple[str, dict[str, str]]] = []

    def write(self, resources: list[str], pending: list[tuple[str, str]]) -> None:
        self.text = checkpoint_to_json("s", "v1:x:y", "v3", resources, pending)
        self.note()

    def note(self) -> None:
        with suppress(FileNotFoundError):  # deleted meanwhile: the next moment will have it
            files = {file.name: file.read_text() for file in self.cloud.directory.iterdir()}
            self.moments.append((self.text, files))


class WatchedCloud(Cloud):
    """Notes a moment after each change of an object, before the engine hears of it."""

    recorder: Recorder

    def create(self, *args: Any) -> Any:
        result = super().create(*args)
        self.recorder.note()
        return result

    def update(self, *args: Any) -> Any:
        result = super().update(*args)
        self.recorder.note()
        return result

    def delete(self, *args: Any) -> None:
        super().delete(*args)
        self.recorder.note()


def first(program: Program) -> None:
    program.thing("gone")
    program.thing("replaced", fixed=1)
    a = program.thing("exclusive", fixed=1, exclusive=1)
    program.thing(
        "follower",
        fixed=a.outputs["name"],
        dependencies=(a.urn,),
        property_dependencies={"fixed": [a.urn]},
    )
    program.thing("updated", size=1)


def second(program: Program) -> None:
    program.thing("replaced", fixed=2)
    a = program.thing("exclusive", fixed=2, exclusive=1)
    program.thing(
        "follower",
        fixed=a.outputs["name"],
        dependencies=(a.urn,),
        property_dependencies={"fixed": [a.urn]},
    )
    program.thing("updated", size=2)
    program.thing("new")


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    cloud = WatchedCloud(tmp_path / "cloud")
    monkeypatch.setattr("astro_pulumi.embedded.deployment.make_provider", lambda *_: cloud)
    yield Stack(cloud)


def test_killed_at_every_moment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(stack.cloud, WatchedCloud)
    recorder = stack.cloud.recorder = Recorder(stack.cloud)
    monkeypatch.setattr(stack, "_write", recorder.write)
    stack.up(first)
    stack.up(second)
    moments = list(recorder.moments)
    # How many there are depends on which steps shared a save; every kind of step was under way in some.
    under_way = {
        operation["type"]
        for text, _ in moments
        if text
        for operation in json.loads(text)["checkpoint"]["latest"].get("pending_operations", ())
    }
    assert under_way == {"creating", "updating", "deleting"}
    for number, (text, files) in enumerate(moments):
        for program in (first, second, lambda _: None):
            restore(stack, text, files)
            deployment = stack.up(program)
            assert not deployment.failed, f"moment {number}: {stack.errors()}"
            assert stack.snapshot.pending == ()
            known = {s.id for s in stack.snapshot.resources if s.type.startswith("cloud:")}
            assert known == set(stack.cloud.objects()), f"moment {number}"


def restore(stack: Stack, text: str, files: dict[str, str]) -> None:
    """Puts the world back to a moment."""
    shutil.rmtree(stack.cloud.directory)
    stack.cloud.directory.mkdir()
    for name, content in files.items():
        (stack.cloud.directory / name).write_text(content)
    stack.snapshot = checkpoint_from_json(json.loads(text), CRYPTER) if text else Snapshot()


def test_a_full_disk_stops_the_update_and_loses_nothing(stack: Stack) -> None:
    assert isinstance(stack.cloud, WatchedCloud)
    recorder = stack.cloud.recorder = Recorder(stack.cloud)
    saved: list[str] = []
    full = False

    def write(resources: list[str], pending: list[tuple[str, str]]) -> None:
        if full and len(saved) >= 3:
            raise StateError("no space left on device")
        recorder.write(resources, pending)
        saved.append(recorder.text)

    stack._write = write  # type: ignore[method-assign]
    full = True
    with pytest.raises(StateError):
        stack.up(first)
    restore(stack, saved[-1], {f.name: f.read_text() for f in stack.cloud.directory.iterdir()})
    full = False
    assert not stack.up(first).failed
    assert len(stack.cloud.objects()) == 5


def test_waiters_share_a_save() -> None:
    writes = 0

    def write(resources: list[str], pending: list[tuple[str, str]]) -> None:
        nonlocal writes
        writes += 1
        while len(journal.current().pending) < 40:  # the disk is slow: all have come meanwhile
            time.sleep(0.01)

    journal = Journal(Snapshot(), CRYPTER, write)
    states = [ResourceState(urn=f"u{i}", type="t", custom=True) for i in range(40)]
    threads = [threading.Thread(target=journal.begin, args=("creating", s)) for s in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert len(journal.current().pending) == 40
    assert writes <= 2
