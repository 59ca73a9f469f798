"""Waiting: what the provider does between an apply and a ready object, with the controllers played."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from astro_pulumi.embedded.provider import InitializationError, Request, Resource
from astro_pulumi.embedded.providers.kubernetes import KubernetesProvider, client, wait, watch
from astro_pulumi.embedded.values import Properties
from astro_pulumi.errors import ResourceError
from tests.unit.embedded.providers.fake_api import FakeApi, Object, Refusal

DEPLOYMENT = "/apis/apps/v1/namespaces/ns/deployments/web"
POD = "/api/v1/namespaces/ns/pods/web-1"
REPLICA_SET = "/apis/apps/v1/namespaces/ns/replicasets/web-a"
DONE = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "observedGeneration": 1}
TOKENS = {"v1": "core/v1"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "_TICK", 0.02)
    monkeypatch.setattr(client, "_PAUSES", (0.001,))
    monkeypatch.setattr(watch, "_PAUSES", (0.0, 0.001))


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


class Up:
    """A create in a thread of its own, so that the test can play the cluster meanwhile."""

    def __init__(self, api: FakeApi, obj: Object, timeout: float = 60, **config: Any) -> None:
        self.provider = KubernetesProvider(config, api.cluster(**config))
        self.lines: list[str] = []
        self.outputs: Properties = {}
        self.error: Exception | None = None
        version = TOKENS.get(obj["apiVersion"], obj["apiVersion"])
        type_ = f"kubernetes:{version}:{obj['kind']}"
        self.resource = Resource(f"urn:pulumi:dev::p::{type_}::web", type_, "web")
        self._obj, self._timeout = obj, timeout
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            inputs = self.provider.check(
                Request(resource=self.resource, inputs=self._obj, random_seed=b"seed")
            ).inputs
            log = lambda _, text: self.lines.append(text)  # noqa: E731
            _, self.outputs = self.provider.create(
                Request(resource=self.resource, inputs=inputs, timeout=self._timeout, log=log)
            )
        except ResourceError as error:
            self.error = error

    def join(self) -> "Up":
        self._thread.join(90)
        assert not self._thread.is_alive(), self.lines
        return self

    def until(self, words: str) -> "Up":
        """Returns once the status line has these words."""
        deadline = time.monotonic() + 60  # a busy machine may take long
        while not any(words in line for line in list(self.lines)):
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.002)
        return self

    @property
    def reasons(self) -> tuple[str, ...]:
        assert isinstance(self.error, InitializationError), self.error
        return self.error.reasons


def deployment(**metadata: Any) -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "ns", **metadata},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    }


def add_pod(api: FakeApi, status: Object, name: str = "web-1") -> Object:
    api.put(
        REPLICA_SET,
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": "web-a",
                "uid": "rs",
                "ownerReferences": [{"uid": api.objects[DEPLOYMENT]["metadata"]["uid"]}],
            },
        },
    )
    return api.put(
        POD.replace("web-1", name),
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "ns",
                "labels": {"app": "web"},
                "ownerReferences": [{"uid": "rs"}],
            },
            "status": status,
        },
    )


def waiting_for_image(reason: str) -> Object:
    state = {"waiting": {"reason": reason, "message": "localhost:5000/nothere: not found"}}
    return {"containerStatuses": [{"name": "c", "ready": False, "state": state}]}


def test_ready_within_milliseconds_of_the_last_change(api: FakeApi) -> None:
    up = Up(api, deployment()).until("waiting for the Deployment controller")
    api.change(DEPLOYMENT, status={"observedGeneration": 1})
    up.until("0/1 pods ready")
    api.change(DEPLOYMENT, status=DONE)
    changed = time.monotonic()
    assert up.join().error is None
    assert time.monotonic() - changed < 0.2
    assert up.outputs["status"] == DONE
    assert up.lines[-1] == ""  # the status line is cleared


def test_few_requests(api: FakeApi) -> None:
    up = Up(api, deployment()).until("controller")
    api.change(DEPLOYMENT, status=DONE)
    up.join()
    # Is there one of this name? Apply. List deployments, pods and events once, whoever else waits.
    assert api.calls("PATCH") == [("PATCH", DEPLOYMENT)]
    assert len(api.calls("GET")) <= 4


def test_an_object_that_is_ready_at_once_is_not_watched(api: FakeApi) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "ns"},
        "spec": {"clusterIP": "None", "selector": {"app": "web"}},
    }
    assert Up(api, service).join().error is None
    assert len(api.requests) == 2


def test_watch_that_ends_goes_on_where_it_was(api: FakeApi) -> None:
    up = Up(api, deployment()).until("controller")
    for _ in range(3):
        api.end_streams()
        time.sleep(0.02)
    api.change(DEPLOYMENT, status=DONE)
    assert up.join().error is None
    assert len([path for _, path in api.calls("GET") if path.endswith("deployments")]) == 1


def test_watch_from_a_version_that_is_too_old_lists_again(api: FakeApi) -> None:
    up = Up(api, deployment()).until("controller")
    api.objects[DEPLOYMENT]["status"] = DONE  # the event of this change is lost
    api.objects[DEPLOYMENT]["metadata"]["resourceVersion"] = "5000"
    api.oldest = 10**6
    api.end_streams()
    time.sleep(0.1)
    api.oldest = 0
    assert up.join().error is None
    assert len([path for _, path in api.calls("GET") if path.endswith("deployments")]) > 1


def test_api_server_that_is_away_for_a_while(api: FakeApi) -> None:
    up = Up(api, deployment()).until("controller")
    api.failing = 10**6
    api.end_streams()
    up.until("the Kubernetes API at https://fake does not answer (Connection refused)")
    api.failing = 0
    api.change(DEPLOYMENT, status=DONE)
    assert up.join().error is None


def test_requests_are_tried_again_and_say_so(api: FakeApi) -> None:
    api.objects["/api/v1/namespaces/ns/configmaps/web"] = {"metadata": {"managedFields": []}}
    api.failing = 6
    up = Up(api, {**deployment(), "kind": "ConfigMap", "apiVersion": "v1"}).join()
    assert up.error and "already exists" in str(up.error)
    assert len(api.requests) == 7


def test_api_server_that_never_answered_is_given_up_soon(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "FIRST_PATIENCE", 0.02)
    api.failing = 10**6
    assert "does not answer" in str(Up(api, deployment()).join().error)


def test_timeout_tells_what_is_wrong_with_the_pods(api: FakeApi) -> None:
    up = Up(api, deployment(), timeout=0.3).until("controller")
    api.change(DEPLOYMENT, status={"observedGeneration": 1})
    add_pod(api, waiting_for_image("ImagePullBackOff"))
    up.until("0/1 pods ready: [ImagePullBackOff] localhost:5000/nothere: not found").join()
    assert up.reasons == (
        "Deployment ns/web is not ready after 0 seconds: 0/1 pods ready",
        '[Pod ns/web-1]: container "c": [ImagePullBackOff] localhost:5000/nothere: not found',
    )
    assert isinstance(up.error, InitializationError)
    assert up.error.id == "ns/web"
    assert up.error.outputs["status"] == {"observedGeneration": 1}


def test_timeout_from_the_annotation(api: FakeApi) -> None:
    up = Up(api, deployment(annotations={"pulumi.com/timeoutSeconds": "1"}), timeout=0)
    started = time.monotonic()
    assert "not ready after 1 seconds" in up.join().reasons[0]
    assert time.monotonic() - started < 3


def test_replicas_that_fail_alike_are_told_once(api: FakeApi) -> None:
    up = Up(api, deployment(), timeout=0.2).until("controller")
    for name in ("web-1", "web-2", "web-3"):
        add_pod(api, waiting_for_image("ErrImagePull"), name)
    assert len(up.join().reasons) == 2


def test_progress_deadline_fails_at_once(api: FakeApi) -> None:
    up = Up(api, deployment(), timeout=60).until("controller")
    stuck = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "ReplicaSet has timed out",
    }
    api.change(DEPLOYMENT, status={"observedGeneration": 1, "conditions": [stuck]})
    expected = "Deployment ns/web failed: [ProgressDeadlineExceeded] ReplicaSet has timed out"
    assert up.join().reasons == (expected,)


def test_job_fails_with_the_words_of_its_container(api: FakeApi) -> None:
    job = {**deployment(), "apiVersion": "batch/v1", "kind": "Job"}
    path = "/apis/batch/v1/namespaces/ns/jobs/web"
    up = Up(api, job).until("waiting for the Job to start")
    ended = {"exitCode": 3, "reason": "Error", "message": "DAG hello.py is broken: NameError foo\n"}
    status = {"name": "c", "ready": False, "state": {"terminated": ended}}
    pod = {"phase": "Failed", "containerStatuses": [status]}
    api.put(
        POD,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web-1", "namespace": "ns", "labels": {"app": "web"}},
            "status": pod,
        },
    )
    failed = {
        "type": "Failed",
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "message": "Job has reached the specified backoff limit",
    }
    api.change(path, status={"conditions": [failed]})
    assert up.join().reasons == (
        "Job ns/web failed: [BackoffLimitExceeded] Job has reached the specified backoff limit",
        '[Pod ns/web-1]: container "c" ended with exit code 3: [Error] DAG hello.py is broken:'
        " NameError foo",
    )


def test_job_whose_image_cannot_be_pulled_is_given_up_before_its_deadline(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "_PULL_PATIENCE", 0.2)
    job = {**deployment(), "apiVersion": "batch/v1", "kind": "Job"}
    up = Up(api, job, timeout=60).until("waiting for the Job to start")
    api.put(
        POD,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web-1", "namespace": "ns", "labels": {"app": "web"}},
            "status": waiting_for_image("ImagePullBackOff"),
        },
    )
    assert up.join().reasons == (
        "Job ns/web cannot start without its image",
        '[Pod ns/web-1]: container "c": [ImagePullBackOff] localhost:5000/nothere: not found',
    )


def test_a_job_that_may_have_no_pod_is_given_up(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astro_pulumi.embedded.providers.kubernetes.wait._CREATE_PATIENCE", 0.05)
    job = {**deployment(), "apiVersion": "batch/v1", "kind": "Job"}
    up = Up(api, job, timeout=60).until("waiting for the Job to start")
    uid = api.objects["/apis/batch/v1/namespaces/ns/jobs/web"]["metadata"]["uid"]
    api.put(
        "/api/v1/namespaces/ns/events/e",
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "e", "namespace": "ns"},
            "involvedObject": {"uid": uid},
            "type": "Warning",
            "reason": "FailedCreate",
            "message": 'pods "web-1" is forbidden: exceeded quota: small',
        },
    )
    assert up.join().reasons == (
        "Job ns/web gets no pod",
        '[FailedCreate] pods "web-1" is forbidden: exceeded quota: small',
    )


def test_last_log_lines_stand_in_for_a_missing_message(api: FakeApi) -> None:
    up = Up(api, deployment(), timeout=0.2).until("controller")
    crash = {"exitCode": 1, "reason": "Error"}
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    status = {
        "name": "c",
        "ready": False,
        "restartCount": 2,
        "state": state,
        "lastState": {"terminated": crash},
    }
    add_pod(api, {"containerStatuses": [status]})
    api.logs[f"{POD}/log"] = "Traceback\nNameError: foo\n"
    assert up.join().reasons[1] == (
        '[Pod ns/web-1]: container "c" ended with exit code 1, restarted 2 times: [Error] Traceback\n'
        "NameError: foo"
    )
    query = next(q for _, path, q, _ in api.requests if path.endswith("/log"))
    assert query == {"container": "c", "tailLines": "10", "previous": "true"}


def test_object_that_is_deleted_while_it_is_waited_for(api: FakeApi) -> None:
    up = Up(api, deployment()).until("controller")
    time.sleep(0.05)
    api.remove(DEPLOYMENT)
    assert up.join().reasons == ("Deployment ns/web was deleted while it was waited for",)


def test_cancel_ends_the_wait_and_keeps_the_object(api: FakeApi) -> None:
    up = Up(api, deployment(), timeout=60).until("controller")
    up.provider.cancel()
    assert "cancelled" in up.join().reasons[0]
    assert isinstance(up.error, InitializationError) and up.error.outputs["kind"] == "Deployment"


def test_skip_await(api: FakeApi) -> None:
    up = Up(api, deployment(annotations={"pulumi.com/skipAwait": "true"})).join()
    assert up.error is None and up.lines == []


def test_conditions_of_the_program_stand_instead_of_the_kind(api: FakeApi) -> None:
    expression = '["jsonpath={.status.phase}=Running", "condition=Synced"]'
    up = Up(api, deployment(annotations={"pulumi.com/waitFor": expression}))
    up.until("waiting for jsonpath={.status.phase}=Running, condition=Synced")
    api.change(DEPLOYMENT, status={"phase": "Running"})
    up.until("waiting for condition=Synced")
    condition = {"type": "Synced", "status": "True"}
    api.change(DEPLOYMENT, status={"phase": "Running", "conditions": [condition]})
    assert up.join().error is None


def test_condition_that_cannot_be_read(api: FakeApi) -> None:
    up = Up(api, deployment(annotations={"pulumi.com/waitFor": "phase=Running"})).join()
    assert "expected" in str(up.error)


def test_no_right_to_watch(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = api._answer

    def forbid(method: str, path: str, query: dict[str, str], sent: Any) -> Object:
        if path.endswith("/deployments"):
            raise Refusal(403, reason="Forbidden", message="deployments is forbidden")
        return answer(method, path, query, sent)

    monkeypatch.setattr(api, "_answer", forbid)
    assert "cannot wait for Deployment ns/web" in Up(api, deployment()).join().reasons[0]


def volume_claim(class_: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "web", "namespace": "ns"},
        "spec": {"storageClassName": class_},
    }


def test_volume_claim_waits_for_its_volume_unless_the_class_waits_for_a_pod(api: FakeApi) -> None:
    for name, mode in (("late", "WaitForFirstConsumer"), ("now", "Immediate")):
        api.put(
            f"/apis/storage.k8s.io/v1/storageclasses/{name}",
            {"apiVersion": "v1", "kind": "StorageClass", "volumeBindingMode": mode},
        )
    assert Up(api, volume_claim("late")).join().error is None
    api.objects.pop("/api/v1/namespaces/ns/persistentvolumeclaims/web")
    up = Up(api, volume_claim("now")).until("waiting for a volume")
    api.change("/api/v1/namespaces/ns/persistentvolumeclaims/web", status={"phase": "Bound"})
    assert up.join().error is None


class TestCreate:
    """What is in the way of a new object."""

    def test_object_of_someone_else_is_left_alone(self, api: FakeApi) -> None:
        api.put(DEPLOYMENT, deployment())
        up = Up(api, deployment()).join()
        assert "already exists and was not made by this stack" in str(up.error)
        assert api.calls("PATCH") == []

    def test_object_of_a_run_that_was_killed_is_taken_over(self, api: FakeApi) -> None:
        Up(api, deployment(annotations={"pulumi.com/skipAwait": "true"})).join()
        up = Up(api, deployment()).until("controller")
        api.change(DEPLOYMENT, status=DONE)
        assert up.join().error is None

    def test_object_of_an_interrupted_create_is_found_again(self, api: FakeApi) -> None:
        up = Up(api, deployment(annotations={"pulumi.com/skipAwait": "true"})).join()
        inputs = up.outputs["__inputs"]
        request = Request(resource=up.resource, inputs=inputs)
        found = up.provider.recover(request)
        assert found and found.id == "ns/web"
        assert found.outputs["__inputs"] == inputs
        assert found.outputs["__fieldManager"] == up.outputs["__fieldManager"]
        api.put(DEPLOYMENT, deployment(managedFields=[]))  # someone else's
        assert up.provider.recover(request) is None
        api.remove(DEPLOYMENT)
        assert up.provider.recover(request) is None

    def test_old_object_is_waited_for_until_it_is_gone(self, api: FakeApi) -> None:
        api.put(DEPLOYMENT, deployment(deletionTimestamp="now"))
        up = Up(api, deployment()).until("waiting for the old object of this name to be gone")
        time.sleep(0.05)
        api.remove(DEPLOYMENT)
        up.until("controller")
        api.change(DEPLOYMENT, status=DONE)
        assert up.join().error is None

    def test_automatic_names_and_own_namespaces_cost_no_look(self, api: FakeApi) -> None:
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "ns"}}
        Up(api, config_map).join()
        assert [method for method, *_ in api.requests] == ["PATCH"]

    def test_conflict_names_the_field_and_the_other(self, api: FakeApi) -> None:
        def refuse(_path: str, _sent: Object) -> Object:
            cause = {"field": ".spec.replicas", "message": 'conflict with "kubectl-scale"'}
            raise Refusal(409, reason="Conflict", details={"causes": [cause]})

        api.on_apply = refuse
        up = Up(api, deployment()).join()
        assert '.spec.replicas ("kubectl-scale")' in str(up.error)
        assert "patchForce" in str(up.error)

    def test_refusal_in_the_words_of_the_server(self, api: FakeApi) -> None:
        def refuse(_path: str, _sent: Object) -> Object:
            raise Refusal(422, reason="Invalid", message='Deployment.apps "web" is invalid: ...')

        api.on_apply = refuse
        up = Up(api, deployment()).join()
        assert str(up.error).startswith("the API server refuses Deployment ns/web: Deployment.apps")

    def test_namespace_that_is_still_coming(
        self, api: FakeApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "astro_pulumi.embedded.providers.kubernetes.provider._CREATE_PAUSES", (0.01, 0.01)
        )
        answers: Iterator[Callable[[str, Object], Object]] = iter([_missing, _made])
        api.on_apply = lambda path, sent: next(answers)(path, sent)
        up = Up(api, {**deployment(), "kind": "ConfigMap", "apiVersion": "v1"}).join()
        assert up.error is None
        assert 'namespaces "ns" not found' in up.lines[0]

    def test_custom_resource_of_an_unknown_kind(
        self, api: FakeApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "astro_pulumi.embedded.providers.kubernetes.provider._CREATE_PAUSES", (0.01,)
        )
        up = Up(api, {**deployment(), "apiVersion": "example.com/v1", "kind": "Tab"}).join()
        assert "is its CustomResourceDefinition installed?" in str(up.error)


def _missing(_path: str, _sent: Object) -> Object:
    raise Refusal(404, reason="NotFound", message='namespaces "ns" not found')


def _made(_path: str, sent: Object) -> Object:
    return sent


def test_preview_without_a_cluster_shows_the_inputs(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "astro_pulumi.embedded.providers.kubernetes.provider._PREVIEW_PATIENCE", 0.01
    )
    api.failing = 10**6
    provider = KubernetesProvider({}, api.cluster())
    resource = Resource("urn", "kubernetes:apps/v1:Deployment", "web")
    request = Request(resource=resource, inputs=deployment(), preview=True)
    assert provider.create(request) == ("", deployment())


def test_preview_asks_the_server_what_it_would_make(api: FakeApi) -> None:
    provider = KubernetesProvider({}, api.cluster())
    resource = Resource("urn", "kubernetes:apps/v1:Deployment", "web")
    _, outputs = provider.create(Request(resource=resource, inputs=deployment(), preview=True))
    assert outputs["metadata"]["generation"] == 1 and "__inputs" in outputs
    assert api.objects == {}
    ((_, _, query, _),) = api.requests
    assert query["dryRun"] == "All"


def test_update_of_an_object_that_someone_deleted_makes_it_anew(api: FakeApi) -> None:
    annotations = {"pulumi.com/skipAwait": "true"}
    up = Up(api, deployment(annotations=annotations)).join()
    entry = {"manager": "pulumi-kubernetes", "operation": "Update", "fieldsV1": {}}
    up.outputs["metadata"]["managedFields"] = [entry]
    api.remove(DEPLOYMENT)
    news = deployment(annotations=annotations)
    outputs = up.provider.update(
        Request(resource=up.resource, id="ns/web", old_outputs=up.outputs, inputs=news)
    )
    assert outputs["kind"] == "Deployment" and DEPLOYMENT in api.objects


@pytest.mark.parametrize(
    ("managers", "sent"),
    [
        (["autoscaler"], None),  # it stays the autoscaler's
        (["ours", "autoscaler"], 7),  # left out it would be unset, should the autoscaler go
        (["ours"], 7),
        ([], 7),
    ],
)
@pytest.mark.parametrize("preview", [False, True])
def test_what_an_update_ignores_is_left_as_it_is(
    api: FakeApi, managers: list[str], sent: int | None, preview: bool
) -> None:
    annotations = {"pulumi.com/skipAwait": "true", "pulumi.com/patchFieldManager": "ours"}
    up = Up(api, deployment(annotations=annotations)).join()
    live = api.objects[DEPLOYMENT]
    live["metadata"]["managedFields"] = [
        {"manager": name, "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        for name in managers
    ]
    api.change(DEPLOYMENT, spec={**live["spec"], "replicas": 7})
    news = deployment(annotations=annotations)
    news["spec"]["replicas"] = 2
    ignored = [
        "spec.replicas",
        'metadata.annotations["not.there"]',
        "spec.template.spec.containers",
    ]
    outputs = up.provider.update(
        Request(
            resource=up.resource,
            id="ns/web",
            old_outputs=up.outputs,
            inputs=news,
            ignore_changes=ignored,
            preview=preview,
        )
    )
    applied = next(body for method, _, _, body in reversed(api.requests) if method == "PATCH")
    assert applied["spec"].get("replicas") == sent
    assert outputs["__inputs"]["spec"].get("replicas") == sent


class TestDelete:
    """Deletion and its wait."""

    @pytest.fixture
    def made(self, api: FakeApi) -> Up:
        return Up(api, deployment(annotations={"pulumi.com/skipAwait": "true"})).join()

    def delete(self, up: Up, outputs: Properties, timeout: float = 60) -> None:
        log = lambda _, text: up.lines.append(text)  # noqa: E731
        up.provider.delete(
            Request(
                resource=up.resource, id="ns/web", old_outputs=outputs, timeout=timeout, log=log
            )
        )

    def test_what_is_not_there_is_no_error(self, made: Up, api: FakeApi) -> None:
        api.remove(DEPLOYMENT)
        self.delete(made, made.outputs)

    def test_finalizer_that_holds_an_object_is_named(self, made: Up, api: FakeApi) -> None:
        api.finalizes = False
        metadata = api.objects[DEPLOYMENT]["metadata"]
        metadata["finalizers"] = ["foregroundDeletion", "example.com/hold"]
        made.outputs["__inputs"]["metadata"]["annotations"] = {}
        with pytest.raises(ResourceError, match=r"waiting for its finalizers: example.com/hold"):
            self.delete(made, made.outputs, timeout=0.1)

    def test_skip_await_and_propagation(self, made: Up, api: FakeApi) -> None:
        api.finalizes = False
        annotations = made.outputs["__inputs"]["metadata"]["annotations"]
        annotations["pulumi.com/deletionPropagationPolicy"] = "background"
        self.delete(made, made.outputs)
        (body,) = [body for method, _, _, body in api.requests if method == "DELETE"]
        assert body["propagationPolicy"] == "Background"


def test_parallel_waits_share_their_streams(api: FakeApi) -> None:
    provider = KubernetesProvider({}, api.cluster())
    names = [f"web{number}" for number in range(8)]
    threads = []
    for name in names:
        obj = deployment(name=name)
        type_ = "kubernetes:apps/v1:Deployment"
        resource = Resource(f"urn:pulumi:dev::p::{type_}::{name}", type_, name)
        request = Request(resource=resource, inputs=obj, timeout=60)
        threads.append(threading.Thread(target=provider.create, args=(request,)))
    for thread in threads:
        thread.start()
    paths = [DEPLOYMENT.replace("web", name) for name in names]
    deadline = time.monotonic() + 60
    while not all(path in api.objects for path in paths):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for path in paths:
        api.change(path, status=DONE)
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    watched = [path for _, path, query, _ in api.requests if "watch" in query]
    assert len(watched) == len(set(watched)) <= 3


WEB = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "ns", "annotations": {"pulumi.com/skipAwait": "true"}},
    "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]},
}


def taken_port(_path: str, _sent: Object) -> Object:
    problem = "Invalid value: 30080: provided port is already allocated"
    raise Refusal(
        422,
        reason="Invalid",
        message=f'Service "web" is invalid: spec.ports[0].nodePort: {problem}',
        details={"causes": [{"field": "spec.ports[0].nodePort", "message": problem}]},
    )


class TestTakenNodePort:
    """What a killed engine may leave behind, or another Service has."""

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wait, "_PORT_PAUSE", 0.01)

    def test_by_no_service_is_waited_for(self, api: FakeApi) -> None:
        api.on_apply = taken_port
        up = Up(api, WEB).until("node port is taken by no Service")
        api.on_apply = None
        assert up.join().error is None
        assert up.outputs["spec"] == WEB["spec"]

    def test_is_waited_for_until_the_timeout(self, api: FakeApi) -> None:
        api.on_apply = taken_port
        assert "the API server refuses Service ns/web" in str(
            Up(api, WEB, timeout=0.05).join().error
        )

    def test_by_another_service_is_said(self, api: FakeApi) -> None:
        api.on_apply = taken_port
        other = {**WEB, "metadata": {"name": "other", "namespace": "elsewhere"}}
        api.put("/api/v1/services/other", other)
        said = "node port 30080 belongs to the Service elsewhere/other; choose another one"
        assert said in str(Up(api, WEB).join().error)


def test_a_log_is_read_line_by_line(api: FakeApi) -> None:
    api.logs[f"{POD}/log"] = "first\n\nsecond, without an end"
    cluster = api.cluster()
    assert list(cluster.lines(f"{POD}/log", follow="true")) == [
        "first",
        "",
        "second, without an end",
    ]
    assert api.requests[-1][2] == {"follow": "true"}
