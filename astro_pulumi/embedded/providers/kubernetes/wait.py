"""Waiting until an object is ready, or gone: watches what decides, judges it, and says what it waits for."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from astro_pulumi.embedded.provider import Log
from astro_pulumi.embedded.providers.kubernetes import reasons
from astro_pulumi.embedded.providers.kubernetes.client import ApiError, Cluster
from astro_pulumi.embedded.providers.kubernetes.conditions import Expression, wanted_conditions
from astro_pulumi.embedded.providers.kubernetes.kinds import ResourceKind, builtin_kind
from astro_pulumi.embedded.providers.kubernetes.objects import (
    SKIP_AWAIT,
    Object,
    describe,
    dig,
    is_annotated,
    name_of,
    namespace_of,
)
from astro_pulumi.embedded.providers.kubernetes.readiness import (
    READY,
    SETTLE_SECONDS,
    Surroundings,
    Verdict,
    judge_for,
)
from astro_pulumi.embedded.providers.kubernetes.watch import Collection, Watcher
from astro_pulumi.errors import ResourceError

# A quota may be free again when old pods are gone; a controller that may make no pod at all for so long
# will not make one later.
_CREATE_PATIENCE: Final = 60.0
# With nothing happening, the state is looked at this often: for time limits and lost connections.
_TICK: Final = 1.0
# A Job whose image cannot be pulled hangs until its deadline. A registry may be away for a moment; this is
# after three attempts.
_PULL_PATIENCE: Final = 60.0
_PORT_PAUSE: Final = 5.0


class NotReadyError(ResourceError):
    """The object exists and is not ready. `live` is how it was seen last."""

    def __init__(self, live: Object, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(reasons))
        self.live = live
        self.reasons = tuple(reasons)


@dataclass(slots=True)
class _Scene:
    """The live collections that one wait looks at."""

    own: Collection
    pods: Collection | None = None
    events: Collection | None = None
    slices: Collection | None = None


class Waiter:
    """Waits for objects of one cluster. Threads may share it."""

    def __init__(self, cluster: Cluster, watcher: Watcher) -> None:
        self._cluster = cluster
        self._watcher = watcher
        self._cancelled = threading.Event()
        self._binding_modes: dict[str, str] = {}

    def cancel(self) -> None:
        """Ends every wait with an error."""
        self._cancelled.set()
        self._cluster.cancel()
        self._watcher.close()

    def until_ready(
        self, kind: ResourceKind, applied: Object, inputs: Object, timeout: float, log: Log
    ) -> Object:
        """-> the object once it is ready, from `applied`, what the API server answered last.

        Raises `NotReadyError` with the reasons at the timeout, or earlier when it cannot get ready.
        """
        if is_annotated(inputs, SKIP_AWAIT):
            return applied
        wanted = wanted_conditions(inputs)
        verdict = self._judge(applied, wanted, Surroundings())
        if verdict.state == "ready":
            return applied
        started = time.monotonic()
        scene = self._scene(kind, applied)
        live, said = applied, ""
        pulled = started
        while True:
            version = self._watcher.version
            newest = scene.own.newest(live)
            if newest is None:
                raise NotReadyError(live, [f"{describe(live)} was deleted while it was waited for"])
            live = newest
            waited = time.monotonic() - started
            verdict = self._judge(live, wanted, self._surroundings(live, scene, waited))
            if verdict.state == "ready":
                if said:
                    log("info", "")
                return live
            if verdict.state == "failed":
                raise NotReadyError(live, self._reasons(live, f"failed: {verdict.message}"))
            if not self._is_job_without_image(live, scene):
                pulled = time.monotonic()
            elif time.monotonic() - pulled > _PULL_PATIENCE:
                raise NotReadyError(live, self._reasons(live, "cannot start without its image"))
            if waited > _CREATE_PATIENCE and self._gets_no_pod(live, scene):
                raise NotReadyError(live, self._reasons(live, "gets no pod"))
            if self._cancelled.is_set():
                raise NotReadyError(live, [f"{describe(live)}: cancelled while {verdict.message}"])
            if waited >= timeout:
                summary = f"is not ready after {timeout:.0f} seconds: {verdict.message}"
                raise NotReadyError(live, self._reasons(live, summary))
            if scene.own.forbidden:
                raise NotReadyError(
                    live, [f"cannot wait for {describe(live)}: {scene.own.problem}"]
                )
            status = scene.own.problem or self._status(live, verdict, scene)
            if status != said:
                log("info", status)
                said = status
            self._watcher.wait(version, min(_TICK, timeout - waited))

    def until_gone(self, kind: ResourceKind, deleted: Object, timeout: float, log: Log) -> None:
        """Returns once `deleted`, an object whose deletion has begun, does not exist any more."""
        started = time.monotonic()
        scene = _Scene(self._own_collection(kind, deleted))
        live, said = deleted, ""
        while True:
            version = self._watcher.version
            newest = scene.own.newest(live)
            if newest is None:
                return
            live = newest
            waited = time.monotonic() - started
            left = _what_holds(live)
            if self._cancelled.is_set() or waited >= timeout:
                why = (
                    "cancelled"
                    if self._cancelled.is_set()
                    else f"not gone after {timeout:.0f} seconds"
                )
                raise NotReadyError(live, [f"deletion of {describe(live)}: {why}; {left}"])
            if scene.own.forbidden:
                if "namespaces" in scene.own.path and not self._exists(kind, live):
                    return
                raise NotReadyError(
                    live, [f"cannot wait for {describe(live)}: {scene.own.problem}"]
                )
            status = scene.own.problem or left
            # The garbage collector needs a moment: only what takes longer is worth a line.
            if status != said and waited > _TICK / 2:
                log("info", status)
                said = status
            self._watcher.wait(version, min(_TICK, timeout - waited))

    def for_node_port(self, service: Object, seconds: float, log: Log) -> bool:
        """Pauses before a Service is applied again whose node port the API server calls taken.

        The API server sets the port of an applied Service aside before it stores the Service. Where the
        client was killed in between, the port belongs to nobody, until the API server has missed its
        Service three times, in looks of three minutes each. -> whether there is time left; raises when
        another Service has the port.
        """
        wanted = _node_ports(service)
        try:
            others = self._cluster.get(_SERVICE.path())["items"]
        except ApiError:  # no right to see every Service, so no way to know
            return False
        for other in others:
            shared = wanted & _node_ports(other)
            if shared and not dig(other, "metadata", "deletionTimestamp"):
                raise ResourceError(
                    f"{describe(service)}: node port {min(shared)} belongs to the Service "
                    f"{namespace_of(other)}/{name_of(other)}; choose another one"
                )
        log(
            "info",
            "its node port is taken by no Service, as after a request that was cut off; waiting until"
            " Kubernetes frees it, in ten minutes at most",
        )
        return seconds > 0 and not self._cancelled.wait(min(_PORT_PAUSE, seconds))

    def _exists(self, kind: ResourceKind, obj: Object) -> bool:
        try:
            self._cluster.get(kind.path(namespace_of(obj), name_of(obj)))
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def _judge(
        self, live: Object, wanted: Sequence[Expression], surroundings: Surroundings
    ) -> Verdict:
        if wanted:  # the program's own conditions stand instead of the kind's
            missing = [expression.text for expression in wanted if not expression.holds(live)]
            return Verdict("waiting", f"waiting for {', '.join(missing)}") if missing else READY
        judge = judge_for(live)
        return judge(live, surroundings) if judge else READY

    def _own_collection(self, kind: ResourceKind, obj: Object) -> Collection:
        if kind.namespaced:
            return self._watcher.follow(kind.path(namespace_of(obj)))
        # The permission to list every namespace or volume is rarer than that to see one.
        return self._watcher.follow(kind.path(), f"metadata.name={name_of(obj)}")

    def _scene(self, kind: ResourceKind, obj: Object) -> _Scene:
        scene = _Scene(self._own_collection(kind, obj))
        namespace = namespace_of(obj)
        if not namespace:
            return scene
        if dig(obj, "spec", "template") or obj["kind"] == "Pod":
            scene.pods = self._watcher.follow(_POD.path(namespace))
        if obj["kind"] == "Service":
            scene.slices = self._watcher.follow(_SLICE.path(namespace))
        scene.events = self._watcher.follow(_EVENT.path(namespace))
        return scene

    def _surroundings(self, live: Object, scene: _Scene, waited: float) -> Surroundings:
        slices = [
            item
            for item in _items(scene.slices)
            if dig(item, "metadata", "labels", "kubernetes.io/service-name") == name_of(live)
        ]
        # Until the slices are listed nothing is known about them, however long that takes.
        settled = waited if scene.slices is None or scene.slices.listed else 0.0
        mode = self._binding_mode(live) if live["kind"] == "PersistentVolumeClaim" else ""
        return Surroundings(slices, mode, min(settled, SETTLE_SECONDS))

    def _binding_mode(self, claim: Object) -> str:
        name = dig(claim, "spec", "storageClassName")
        if not name:
            return ""
        if name not in self._binding_modes:
            try:
                class_ = self._cluster.get(_STORAGE_CLASS.path(name=name))
            except ApiError:  # no such class, or no right to read it: wait for the volume
                class_ = {}
            self._binding_modes[name] = str(class_.get("volumeBindingMode") or "")
        return self._binding_modes[name]

    def _is_job_without_image(self, live: Object, scene: _Scene) -> bool:
        return live["kind"] == "Job" and any(
            reasons.cannot_pull(pod) for pod in self._own_pods(live, _items(scene.pods))
        )

    def _status(self, live: Object, verdict: Verdict, scene: _Scene) -> str:
        """The status line: what is missing, and what the newest pod that is not ready does."""
        events = _items(scene.events)
        pods = self._own_pods(live, _items(scene.pods)) if verdict.about_pods else []
        unready = [pod for pod in pods if not reasons.is_ready(pod)]
        if unready:
            newest = max(unready, key=lambda pod: str(dig(pod, "metadata", "creationTimestamp")))
            return f"{verdict.message}: {reasons.activity(newest, events)}"
        warnings = reasons.explain([], events, live, _no_log)
        return f"{verdict.message}: {warnings[0]}" if warnings else verdict.message

    def _gets_no_pod(self, live: Object, scene: _Scene) -> bool:
        """Whether there is no pod, and the controller was refused to make one: by a quota, for example."""
        if scene.pods is None or self._own_pods(live, _items(scene.pods)):
            return False
        uids = {str(dig(live, "metadata", "uid"))}
        return any(
            event.get("reason") == "FailedCreate" and reasons.is_about(event, uids)
            for event in _items(scene.events)
        )

    @staticmethod
    def _own_pods(live: Object, pods: Sequence[Object]) -> list[Object]:
        if live["kind"] == "Pod":
            return [live]
        selector = dig(live, "spec", "selector")
        return [
            pod
            for pod in pods
            if reasons.is_current(pod) and reasons.selects(selector, dig(pod, "metadata", "labels"))
        ]

    def _reasons(self, live: Object, summary: str) -> list[str]:
        """Why the object is not ready, from what the cluster says now: streams may lag a little."""
        found = [f"{describe(live)} {summary}"]
        namespace = namespace_of(live)
        if not namespace:
            return found
        pods: list[Object] = []
        if live["kind"] == "Pod":
            pods = [live]
        elif dig(live, "spec", "template"):
            pods = self._own_pods(live, self._list(_POD, namespace))
            if live["kind"] == "Deployment":
                pods = self._of_new_revision(live, pods)
        explained = reasons.explain(pods, self._list(_EVENT, namespace), live, self._read_log)
        # The controllers tell an event as well what they write into the status.
        return found + [reason for reason in explained if reason not in summary]

    def _of_new_revision(self, deployment: Object, pods: list[Object]) -> list[Object]:
        key = "deployment.kubernetes.io/revision"
        current = {
            replica_set["metadata"]["uid"]
            for replica_set in self._list(_REPLICA_SET, namespace_of(deployment))
            if _owner(replica_set) == deployment["metadata"]["uid"]
            and dig(replica_set, "metadata", "annotations", key)
            == dig(deployment, "metadata", "annotations", key)
        }
        return [pod for pod in pods if not current or _owner(pod) in current]

    def _list(self, kind: ResourceKind, namespace: str) -> list[Object]:
        try:
            return list(self._cluster.get(kind.path(namespace)).get("items") or [])
        except ResourceError:
            return []  # a failure is reported with what can be learnt about it

    def _read_log(self, pod: Object, container: str, previous: bool) -> str:
        path = _POD.path(namespace_of(pod), name_of(pod)) + "/log"
        query: dict[str, Any] = {"container": container, "tailLines": str(reasons.LOG_LINES)}
        if previous:
            query["previous"] = "true"
        try:
            return self._cluster.text(path, **query)
        except ResourceError:
            return ""


def _kind(api_version: str, kind: str) -> ResourceKind:
    found = builtin_kind(api_version, kind)
    assert found  # noqa: S101  # one of Kubernetes' own
    return found


_POD: Final = _kind("v1", "Pod")
_SERVICE: Final = _kind("v1", "Service")
_EVENT: Final = _kind("v1", "Event")
_SLICE: Final = _kind("discovery.k8s.io/v1", "EndpointSlice")
_REPLICA_SET: Final = _kind("apps/v1", "ReplicaSet")
_STORAGE_CLASS: Final = _kind("storage.k8s.io/v1", "StorageClass")


def _items(collection: Collection | None) -> list[Object]:
    # A copy, since the stream's thread changes the dictionary.
    return list(collection.objects.values()) if collection else []


def _node_ports(service: Object) -> set[int]:
    ports = dig(service, "spec", "ports") or []
    return {port["nodePort"] for port in ports if port.get("nodePort")}


def _owner(obj: Object) -> str:
    return str(dig(obj, "metadata", "ownerReferences", 0, "uid") or "")


def _no_log(_pod: Object, _container: str, _previous: bool) -> str:
    return ""


def _what_holds(live: Object) -> str:
    """Why an object that is being deleted is still there."""
    for entry in dig(live, "status", "conditions") or []:
        # A namespace says what is left in it.
        if entry.get("status") == "True" and str(entry.get("type")).endswith("Remaining"):
            return f"waiting: {entry.get('message')}"
    finalizers = dig(live, "metadata", "finalizers") or []
    own = [name for name in finalizers if name != "foregroundDeletion"]
    if own:
        return f"waiting for its finalizers: {', '.join(own)}"
    return "waiting for what belongs to it to be gone"
