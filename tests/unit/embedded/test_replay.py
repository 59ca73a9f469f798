"""The engine held to the recordings: given what the program registered, it asks the providers the same
and answers the program the same as the real engine, and leaves the same state.

What differs on purpose:
- `created`, `modified`, `manifest.time`: times.
- `sourcePosition`, `stackTrace`: not kept; the real engine does without (checked with it).
- ciphertexts: new nonces; compared decrypted.
- ids of provider resources: random.
- the order of `dependencies` and `additionalSecretOutputs`: sets.
"""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from pulumi.runtime.proto import resource_pb2

from astro_pulumi.embedded.components import ComponentPlugins
from astro_pulumi.embedded.deployment import Deployment
from astro_pulumi.embedded.events import Event
from astro_pulumi.embedded.journal import Journal
from astro_pulumi.embedded.plan import mark_secrets
from astro_pulumi.embedded.project import Config, Project
from astro_pulumi.embedded.secrets import Crypter, unlock
from astro_pulumi.embedded.server import Monitor
from astro_pulumi.embedded.state import (
    ResourceState,
    Snapshot,
    checkpoint_from_json,
    checkpoint_salt,
)
from astro_pulumi.embedded.values import from_wire
from tests.unit.embedded.recordings import RecordedProvider, load, load_checkpoint

MONITOR = "ResourceMonitor/"


class Refused(Exception):  # noqa: N818
    """What `context.abort` raises."""


class Context:
    """A gRPC context that only knows how to abort."""

    def abort(self, code: object, details: str) -> None:
        raise Refused(details)


@pytest.fixture(scope="module")
def crypter() -> Crypter:
    found = unlock(checkpoint_salt(load_checkpoint()) or "", "x")
    assert found
    return found


class Replay:
    """Plays one recording's registrations against the engine."""

    def __init__(
        self,
        name: str,
        snapshot: Snapshot,
        crypter: Crypter,
        monkeypatch: Any,
        preview: bool = False,
    ) -> None:
        self.calls = load(name)
        self.providers = {
            package: RecordedProvider(package, self.calls)
            for package in ("kubernetes", "random", "docker")
        }
        monkeypatch.setattr(
            "astro_pulumi.embedded.deployment.make_provider",
            lambda package, config: self.providers[package],
        )
        self.journal = None if preview else Journal(snapshot, crypter, lambda *_: None)
        self.events: list[Event] = []
        self.deployment = Deployment(
            "proto", "dev", snapshot, self.journal, lambda _: {}, self.events.append
        )
        config = Config({"proto:tag": "c1"}, frozenset())
        nowhere = Project(Path(), {})
        plugins = ComponentPlugins(nowhere, "", self.events.append)
        self.monitor = Monitor(self.deployment, config, plugins, threading.Event())

    def run(self) -> list[str]:
        """-> where an answer to the program differs from the real engine's."""
        differences = []
        for call in self.calls:
            if call["method"] == MONITOR + "RegisterResource":
                request = json_format.ParseDict(
                    call["request"], resource_pb2.RegisterResourceRequest()
                )
                answer = json_format.MessageToDict(
                    self.monitor.RegisterResource(request, Context())
                )
                for key in ("urn", "id", "object"):
                    ours, theirs = answer.get(key), call["response"].get(key)
                    if from_wire(ours) != from_wire(theirs):
                        differences.append(f"{request.name} {key}: {ours} instead of {theirs}")
            elif call["method"] == MONITOR + "RegisterResourceOutputs":
                outputs = resource_pb2.RegisterResourceOutputsRequest()
                json_format.ParseDict(call["request"], outputs)
                self.monitor.RegisterResourceOutputs(outputs, Context())
        self.deployment.finish_stack()
        return differences

    def asked_differently(self) -> list[str]:
        """Where a provider was asked something else, or not asked."""
        return [
            difference
            for provider in self.providers.values()
            for difference in [*provider.differences, *provider.unasked()]
        ]


def test_deployment_info_is_what_the_real_engine_says(
    crypter: Crypter, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = Replay("create", Snapshot(), crypter, monkeypatch)
    answer = json_format.MessageToDict(replay.monitor.GetDeploymentInfo(None, Context()))
    recorded = next(c for c in replay.calls if c["method"] == MONITOR + "GetDeploymentInfo")
    expected = recorded["response"] | {"parallel": answer["parallel"]}
    # Python's SDK has no use for the options of a resource in its hooks: they are not sent.
    expected["supportedFeatures"].remove("RESOURCE_MONITOR_FEATURE_SENDS_OPTIONS_TO_HOOKS")
    assert answer == expected


def test_create(crypter: Crypter, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = Replay("create", Snapshot(), crypter, monkeypatch)
    assert replay.run() == []
    assert replay.asked_differently() == []
    assert replay.journal
    assert dict(replay.deployment.counts) == {"create": 22}
    ours = {state.urn: state for state in replay.journal.current().resources}
    theirs = checkpoint_from_json(load_checkpoint(), crypter).resources
    assert set(ours) == {state.urn for state in theirs}
    for state in theirs:
        assert comparable(ours[state.urn]) == comparable(state)


def test_state_lists_each_resource_after_what_it_needs(
    crypter: Crypter, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = Replay("create", Snapshot(), crypter, monkeypatch)
    replay.run()
    assert replay.journal
    seen: set[str] = set()
    for state in replay.journal.current().resources:
        assert state.needs() <= seen, state.urn
        seen.add(state.urn)


def test_nothing_to_do(crypter: Crypter, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = Replay("noop", snapshot_before("noop", crypter), crypter, monkeypatch)
    assert replay.run() == []
    assert replay.asked_differently() == []
    replay.deployment.delete_rest()
    assert dict(replay.deployment.counts) == {"same": 22}


@pytest.mark.parametrize("name", ["preview", "update"])
def test_a_changed_project(name: str, crypter: Crypter, monkeypatch: pytest.MonkeyPatch) -> None:
    before = checkpoint_from_json(load_checkpoint(), crypter)
    replay = Replay(name, before, crypter, monkeypatch, preview=name == "preview")
    assert replay.run() == []
    replay.deployment.delete_rest()
    assert replay.asked_differently() == []
    assert dict(replay.deployment.counts) == {"same": 14, "update": 6, "replace": 2}


def test_a_failed_job_stops_the_update(crypter: Crypter, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = Replay("failjob", snapshot_before("failjob", crypter), crypter, monkeypatch)
    assert replay.run() == []
    job = next(
        call["request"]
        for call in load("update")
        if call["method"] == MONITOR + "RegisterResource" and call["request"]["name"] == "migrate"
    )
    request = json_format.ParseDict(job, resource_pb2.RegisterResourceRequest())
    recorded = next(
        call["request"]["news"]
        for call in replay.calls
        if call["method"] == "ResourceProvider/Check" and call["request"]["name"] == "migrate"
    )
    request.object.Clear()
    request.object.update(recorded)
    with pytest.raises(Refused):
        replay.monitor.RegisterResource(request, Context())
    assert replay.deployment.failed
    assert replay.asked_differently() == []
    assert replay.journal
    jobs = [s for s in replay.journal.current().resources if s.name == "migrate"]
    assert [(bool(s.init_errors), s.delete) for s in jobs] == [(True, False), (False, True)]


def test_refresh(crypter: Crypter, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = Replay("refresh", snapshot_before("refresh", crypter), crypter, monkeypatch)
    replay.deployment.refresh()
    assert replay.asked_differently() == []


def test_destroy(crypter: Crypter, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = Replay("destroy", snapshot_before("destroy", crypter), crypter, monkeypatch)
    replay.deployment.delete_rest()
    assert replay.asked_differently() == []
    assert replay.journal
    assert replay.journal.current().resources == ()


def comparable(state: ResourceState) -> dict[str, Any]:
    """What must be equal, in a form that can be compared."""
    ignored = ("created", "modified", "rest", "id" if state.is_provider else "")
    fields = {name: getattr(state, name) for name in state.__slots__ if name not in ignored}
    for name in ("dependencies", "additional_secret_outputs"):
        fields[name] = sorted(fields[name])
    fields["property_dependencies"] = {k: sorted(v) for k, v in state.property_dependencies.items()}
    fields["provider"] = state.provider.rpartition("::")[0]
    return fields


def snapshot_before(name: str, crypter: Crypter) -> Snapshot:
    """The state that a recording started from: the checkpoint, with what the engine told the providers
    about it in that recording."""
    told: dict[str, dict[str, Any]] = {}
    for call in load(name):
        request = call["request"]
        if call["method"].rsplit("/")[-1] in ("Diff", "Read", "Delete") and "urn" in request:
            told.setdefault(request["urn"], request)
    states = []
    for state in checkpoint_from_json(load_checkpoint(), crypter).resources:
        request = told.get(state.urn, {})
        if request:
            inputs = from_wire(request.get("oldInputs", request.get("inputs")))
            outputs = from_wire(request.get("olds", request.get("properties")))
            # Not every provider is told what is secret.
            inputs = mark_secrets(inputs, state.inputs, ())
            outputs = mark_secrets(outputs, state.outputs, ())
            state = replace(state, id=request["id"], inputs=inputs, outputs=outputs)
        states.append(state)
    return Snapshot(tuple(states))
