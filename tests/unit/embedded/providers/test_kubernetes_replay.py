"""Every recorded call of pulumi-kubernetes, replayed: the same request gives the same answer."""

import copy
from typing import Any

import pytest

from astro_pulumi.embedded.provider import InitializationError
from astro_pulumi.embedded.providers.kubernetes import KubernetesProvider
from astro_pulumi.embedded.providers.kubernetes.kinds import builtin_kind
from astro_pulumi.embedded.providers.kubernetes.objects import Object, split_checkpoint, to_object
from astro_pulumi.embedded.providers.kubernetes.readiness import Surroundings, judge_for
from astro_pulumi.embedded.values import Properties
from tests.unit.embedded.providers.fake_api import FakeApi
from tests.unit.embedded.providers.recordings import Call, calls, comparable, recorded_diff


def _no_log(_severity: str, _message: str) -> None: ...


def _path(obj: Object) -> str:
    kind = builtin_kind(obj["apiVersion"], obj["kind"])
    assert kind
    return kind.path(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def _provider(api: FakeApi) -> KubernetesProvider:
    return KubernetesProvider({}, api.cluster())


def _ready(live: Object) -> Object:
    """The object as its controller leaves it."""
    ready = copy.deepcopy(live)
    if ready["kind"] == "Deployment":
        replicas = ready["spec"]["replicas"]
        ready["status"] |= {
            "observedGeneration": ready["metadata"]["generation"],
            "replicas": replicas,
            "updatedReplicas": replicas,
            "availableReplicas": replicas,
        }
        ready["status"].pop("unavailableReplicas", None)
    return ready


class Controller:
    """Answers an apply as recorded, with the status still to come; then completes it."""

    def __init__(self, api: FakeApi, live: Object) -> None:
        self.api, self.live = api, live
        api.on_apply = self.apply

    def apply(self, path: str, sent: Object) -> Object:
        self.path, self.sent = path, sent
        without_status = {key: value for key, value in self.live.items() if key != "status"}
        judge = judge_for(self.live)
        waits = judge is not None and judge(without_status, Surroundings()).state == "waiting"
        # A Service waits for its endpoints, not for its own status.
        return without_status if waits and self.live["kind"] != "Service" else self.live

    def log(self, _severity: str, message: str) -> None:
        """The provider has begun to wait: now the object gets ready."""
        if message and self.path in self.api.objects:
            self.api.change(self.path, status=_ready(self.live)["status"])
            if self.live["kind"] == "Service":
                self._add_endpoint()

    def _add_endpoint(self) -> None:
        metadata = self.live["metadata"]
        labels = {"kubernetes.io/service-name": metadata["name"]}
        self.api.put(
            f"/apis/discovery.k8s.io/v1/namespaces/{metadata['namespace']}/endpointslices/s",
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": "s", "labels": labels},
                "endpoints": [{"conditions": {"ready": True}}],
            },
        )


def _without_versions(properties: Properties) -> Any:
    """As `comparable`, without the resource version, which counts the fake server's changes."""
    value = comparable(properties)
    value.get("metadata", {}).pop("resourceVersion", None)
    return value


@pytest.mark.parametrize("call", calls("kubernetes", "Check"), ids=str)
def test_check(call: Call) -> None:
    api = FakeApi()
    result = _provider(api).check(call.asked())
    assert not result.failures
    assert comparable(result.inputs) == comparable(call.answered("inputs"))
    assert api.requests == []


@pytest.mark.parametrize("call", calls("kubernetes", "Diff"), ids=str)
def test_diff(call: Call) -> None:
    api = FakeApi()
    result = _provider(api).diff(call.asked())
    assert result == recorded_diff(call)
    assert api.requests == []  # a deploy that changes nothing asks the cluster nothing


CREATED = [call for call in calls("kubernetes", "Create") if call.response]


@pytest.mark.parametrize("call", CREATED, ids=str)
def test_create(call: Call) -> None:
    api = FakeApi()
    preview = bool(call.request.get("preview"))
    inputs = call.given("properties")
    if preview:
        _, outputs = _provider(api).create(call.asked())
        assert comparable(outputs) == comparable(call.answered("properties"))
        return
    _, live = split_checkpoint(call.answered("properties"))
    controller = Controller(api, live)
    id, outputs = _provider(api).create(call.asked(controller.log))
    assert call.response and id == call.response["id"]
    assert _without_versions(outputs) == _without_versions(call.answered("properties"))
    assert controller.path == _path(live)
    assert controller.sent == to_object(inputs)


@pytest.mark.parametrize("call", calls("kubernetes", "Update"), ids=str)
def test_update(call: Call) -> None:
    api = FakeApi()
    if call.request.get("preview"):
        outputs = _provider(api).update(call.asked())
        assert comparable(outputs) == comparable(call.answered("properties"))
        return
    _, old = split_checkpoint(call.given("olds"))
    api.put(_path(old), old)
    _, live = split_checkpoint(call.answered("properties"))
    controller = Controller(api, live)
    outputs = _provider(api).update(call.asked(controller.log))
    # The recorded provider answers with the object as it was applied, ours with it as it got ready.
    expected = call.answered("properties")
    expected["status"] = _ready(live)["status"]
    assert _without_versions(outputs) == _without_versions(expected)
    # The fields that the recorded provider had set as a client-side tool were taken over first.
    assert [method for method, _ in api.calls("GET", "PATCH")][:3] == ["GET", "PATCH", "PATCH"]
    managers = next(body[0]["value"] for m, _, _, body in api.requests if isinstance(body, list))
    assert managers[0]["manager"] == call.given("olds")["__fieldManager"]
    assert managers[0]["operation"] == "Apply"


def test_create_of_a_job_that_fails() -> None:
    (call,) = [call for call in calls("kubernetes", "Create") if call.error]
    api = FakeApi()

    def log(_severity: str, _message: str) -> None:
        (path,) = [path for path in api.objects if "/jobs/" in path]
        failed = {
            "type": "Failed",
            "status": "True",
            "reason": "BackoffLimitExceeded",
            "message": "m",
        }
        api.change(path, status={"conditions": [failed]})

    with pytest.raises(InitializationError) as caught:
        _provider(api).create(call.asked(log))
    name = call.given("properties")["metadata"]["name"]
    # The message of the real provider is longer and says less: "Resource '...' was created but failed
    # to initialize"; the name of the object is in both.
    assert call.error and name in call.error[0] and name in caught.value.reasons[0]
    assert "[BackoffLimitExceeded]" in caught.value.reasons[0]
    assert caught.value.outputs["__inputs"] == call.given("properties")


@pytest.mark.parametrize("call", calls("kubernetes", "Read"), ids=str)
def test_read(call: Call) -> None:
    api = FakeApi()
    _, live = split_checkpoint(call.answered("properties"))
    api.objects[_path(live)] = live
    result = _provider(api).read(call.asked())
    assert result and call.response and result.id == call.response["id"]
    assert comparable(result.inputs) == comparable(call.answered("inputs"))
    assert comparable(result.outputs) == comparable(call.answered("properties"))


@pytest.mark.parametrize("call", calls("kubernetes", "Delete"), ids=str)
def test_delete(call: Call) -> None:
    api = FakeApi()
    _, live = split_checkpoint(call.given("properties"))
    path = _path(live)
    api.put(path, live)

    _provider(api).delete(call.asked())
    assert path not in api.objects
    (body,) = [body for method, _, _, body in api.requests if method == "DELETE"]
    assert body["propagationPolicy"] == "Foreground"


def test_ready_objects_are_judged_ready() -> None:
    """What the real provider took for ready is ready for ours."""
    judged = 0
    for call in CREATED:
        _, live = split_checkpoint(call.answered("properties"))
        judge = judge_for(live)
        if judge and not call.request.get("preview"):
            endpoint = {"endpoints": [{"conditions": {"ready": True}}]}
            assert judge(live, Surroundings(endpoint_slices=[endpoint])).state == "ready", str(call)
            judged += 1
    assert judged == 12
