"""An API server in memory, in the place of the connection pool of the Kubernetes client.

It stores what is applied to it, keeps resource versions, and serves lists and watches; a test plays the
controllers by calling `put` and `remove`. No network, no server process.
"""

import copy
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from urllib3.exceptions import NewConnectionError, ProtocolError

from astro_pulumi.embedded.providers.kubernetes.client import Cluster

Object = dict[str, Any]
# What the API server makes of an applied object: (path, object as sent) -> object as answered.
OnApply = Callable[[str, Object], Object]

COLLECTIONS = {
    "configmaps",
    "deployments",
    "endpointslices",
    "events",
    "jobs",
    "namespaces",
    "persistentvolumeclaims",
    "pods",
    "replicasets",
    "secrets",
    "services",
    "statefulsets",
}


class Refusal(Exception):  # noqa: N818
    """A test's way to make the server refuse a request."""

    def __init__(self, status: int, **body: Any) -> None:
        self.status = status
        self.body = {"kind": "Status", **body}


class Response:
    """As much of a urllib3 response as the client uses."""

    def __init__(self, status: int, data: bytes = b"", events: Iterable[bytes] = ()) -> None:
        self.status = status
        self.data = data
        self._events = events

    def stream(self, _amount: int) -> Iterable[bytes]:
        return self._events

    def close(self) -> None: ...


class FakeApi:
    """The stored objects by path, and every request that was made: (method, path, query, body)."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.logs: dict[str, str] = {}
        self.on_apply: OnApply | None = None
        self.finalizes = True  # a deleted object is gone a moment later
        self.failing = 0  # so many requests from now on are not answered
        self.oldest = 0  # events before this version are forgotten: 410
        self._changed = threading.Condition()
        self._version = 100
        self._events: list[tuple[int, str, str, Object]] = []
        self._epoch = 0

    def cluster(self, **config: Any) -> Cluster:
        """A connection to this server."""
        cluster = Cluster({"namespace": "default", **config})
        settings = SimpleNamespace(host="https://fake", auth_settings=dict)
        cluster._client = SimpleNamespace(
            configuration=settings, rest_client=SimpleNamespace(pool_manager=self)
        )
        return cluster

    def put(self, path: str, obj: Object) -> Object:
        """Creates or changes an object, as a controller does; watchers hear of it."""
        with self._changed:
            self._version += 1
            obj = copy.deepcopy(obj)
            metadata = obj.setdefault("metadata", {})
            old = self.objects.get(path)
            metadata.setdefault("uid", old["metadata"]["uid"] if old else f"uid-{self._version}")
            metadata["resourceVersion"] = str(self._version)
            self.objects[path] = obj
            self._tell("MODIFIED" if old else "ADDED", path, obj)
            return obj

    def change(self, path: str, **fields: Any) -> Object:
        """Replaces top-level fields of an object: `change(path, status={...})`."""
        return self.put(path, {**self.objects[path], **fields})

    def remove(self, path: str) -> None:
        """Deletes an object for good."""
        with self._changed:
            self._version += 1
            obj = self.objects.pop(path)
            obj["metadata"]["resourceVersion"] = str(self._version)
            self._tell("DELETED", path, obj)

    def end_streams(self) -> None:
        """Ends every watch in progress, as a server does that restarts."""
        with self._changed:
            self._epoch += 1
            self._changed.notify_all()

    def _tell(self, type_: str, path: str, obj: Object) -> None:
        self._events.append((self._version, type_, path, copy.deepcopy(obj)))
        self._changed.notify_all()

    def calls(self, *methods: str) -> list[tuple[str, str]]:
        """The requests with these methods, without watches: (method, path)."""
        return [(m, p) for m, p, q, _ in self.requests if m in methods and "watch" not in q]

    def request(self, method: str, url: str, body: bytes | None = None, **_: Any) -> Response:
        parts = urlsplit(url)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query))
        sent = json.loads(body) if body else None
        self.requests.append((method, path, query, sent))
        if self.failing > 0:
            self.failing -= 1
            refused = ConnectionRefusedError("Connection refused")
            raise NewConnectionError(None, "no connection") from refused  # type: ignore[arg-type]
        try:
            if "watch" in query:
                return Response(200, events=self._watch(path, query, self._epoch))
            if path.endswith("/log"):
                text = self.logs.get(path, "").encode()
                middle = len(text) // 2
                return Response(200, text, events=(text[:middle], text[middle:]))
            return Response(200, json.dumps(self._answer(method, path, query, sent)).encode())
        except Refusal as refusal:
            return Response(refusal.status, json.dumps(refusal.body).encode())

    def _answer(self, method: str, path: str, query: dict[str, str], sent: Any) -> Object:
        if method == "PATCH" and isinstance(sent, list):  # a JSON patch of the field managers
            obj = copy.deepcopy(self.objects[path])
            obj["metadata"]["managedFields"] = sent[0]["value"]
            return self.put(path, obj)
        if method == "PATCH":
            answered = (
                self.on_apply(path, sent) if self.on_apply else self._applied(path, query, sent)
            )
            return answered if "dryRun" in query else self.put(path, answered)
        if path in self.objects:
            obj = self.objects[path]
            if method == "DELETE":
                metadata = {**obj["metadata"], "deletionTimestamp": "now"}
                doomed = self.put(path, {**obj, "metadata": metadata})
                if self.finalizes:
                    threading.Timer(0.02, self.remove, (path,)).start()
                return doomed
            return obj
        if method == "GET" and path.rpartition("/")[2] in COLLECTIONS:
            items = [obj for key, obj in self.objects.items() if key.rpartition("/")[0] == path]
            return self._listed(items)
        raise Refusal(404, reason="NotFound", message=f"{path} not found")

    def _listed(self, items: list[Object]) -> Object:
        bare = [
            {k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items
        ]
        first = items[0] if items else {"kind": "", "apiVersion": "v1"}
        return {
            "kind": f"{first['kind']}List",
            "apiVersion": first["apiVersion"],
            "metadata": {"resourceVersion": str(self._version)},
            "items": bare,
        }

    def _applied(self, path: str, query: dict[str, str], sent: Object) -> Object:
        old = self.objects.get(path, {"metadata": {}})
        metadata = {**old["metadata"], **sent["metadata"]}
        changed = old.get("spec") != sent.get("spec")
        metadata["generation"] = old["metadata"].get("generation", 0) + changed
        metadata["managedFields"] = [{"manager": query["fieldManager"], "operation": "Apply"}]
        return {**old, **sent, "metadata": metadata}

    def _watch(self, path: str, query: dict[str, str], epoch: int) -> Iterator[bytes]:
        seen = int(query["resourceVersion"])
        if seen < self.oldest:
            yield b'{"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}\n'
            return
        while True:
            with self._changed:
                while self._version <= seen and self._epoch == epoch:
                    self._changed.wait(timeout=30)
                news = [event for event in self._events if event[0] > seen]
                seen = self._version
                ended = self._epoch != epoch
            for _, type_, changed, obj in news:
                if changed.rpartition("/")[0] == path:
                    line = json.dumps({"type": type_, "object": obj})
                    middle = len(line) // 2  # chunks do not end where lines do
                    yield line[:middle].encode()
                    yield line[middle:].encode() + b"\n"
            if ended:
                raise ProtocolError("Connection broken")
