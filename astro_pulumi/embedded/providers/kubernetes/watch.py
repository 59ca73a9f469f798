"""Live collections of objects: listed once, then kept up to date by a watch, shared by all who wait.

One stream a collection, however many resources are deployed at a time: five Deployments in a namespace
cost two streams. Whoever waits is woken by every change, within milliseconds.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Final

from astro_pulumi.embedded.providers.kubernetes.client import ApiError, ApiUnreachableError, Cluster
from astro_pulumi.embedded.providers.kubernetes.objects import Object, dig
from astro_pulumi.errors import ResourceError

_PAUSES: Final = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)
_STREAM_SECONDS: Final = "300"  # the server ends a stream after this; it is then opened again


def revision(obj: Object) -> int:
    """The object's resource version as a number: versions of one collection are ordered."""
    text = str(dig(obj, "metadata", "resourceVersion") or "")
    return int(text) if text.isdigit() else 0


@dataclass(slots=True)
class Collection:
    """The objects at one path of the API, by UID. Changed by its stream's thread under the lock."""

    path: str
    field_selector: str = ""
    objects: dict[str, Object] = field(default_factory=dict)
    listed: bool = False  # the objects have been listed: one that is absent does not exist
    seen: int = 0  # the newest resource version that the objects are known to be at
    problem: str = ""  # why there is no stream at present
    forbidden: bool = False  # and never will be

    def newest(self, obj: Object) -> Object | None:
        """`obj` as it is now; None when it is gone; `obj` itself while nothing newer is known."""
        found = self.objects.get(obj["metadata"]["uid"])
        if found is None:
            is_known_gone = self.listed and self.seen >= revision(obj)
            return None if is_known_gone else obj
        return found if revision(found) >= revision(obj) else obj


class Watcher:
    """All collections that are watched in a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._changed = threading.Condition()
        self._version = 0
        self._closed = False
        self._collections: dict[tuple[str, str], Collection] = {}

    def follow(self, path: str, field_selector: str = "") -> Collection:
        """The collection at `path`, which is watched from now on."""
        with self._changed:
            key = (path, field_selector)
            collection = self._collections.get(key)
            if collection is None:
                collection = Collection(path, field_selector)
                self._collections[key] = collection
                threading.Thread(
                    target=self._run, args=(collection,), name=f"watch {path}", daemon=True
                ).start()
            return collection

    @property
    def version(self) -> int:
        """Grows with every change of any collection."""
        with self._changed:
            return self._version

    def wait(self, version: int, timeout: float) -> None:
        """Returns once something has changed since `version`, or after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version or self._closed, timeout)

    def close(self) -> None:
        """Wakes everyone and ends the streams at their next event."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self, collection: Collection) -> None:
        failures = 0
        while not self._closed:
            seen = collection.seen
            problem = ""
            try:
                if not collection.listed:
                    self._list(collection)
                self._watch(collection)
            except ApiUnreachableError as error:
                # The next stream goes on from the version that was seen last: nothing is missed.
                problem = str(error)
            except ApiError as error:
                if error.status in (401, 403, 404):
                    collection.forbidden = True
                    self._note(collection, str(error))
                    return
                # 410: the version seen last is too old to go on from, so start with a new list.
                collection.listed = False
                problem = "" if error.status == 410 else str(error)
            except ResourceError as error:  # no usable kubeconfig
                self._note(collection, str(error))
                return
            failures = 0 if collection.seen > seen else failures + 1
            pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
            if problem and failures > 1:  # the first time it may be a server that hands over
                self._note(collection, problem)
            time.sleep(pause)

    def _list(self, collection: Collection) -> None:
        query = {"fieldSelector": collection.field_selector} if collection.field_selector else {}
        listed = self._cluster.request("GET", collection.path, query=query, patience=0)
        api_version = str(listed.get("apiVersion"))
        kind = str(listed.get("kind")).removesuffix("List")
        objects = {
            # Items of a list do not say what they are.
            item["metadata"]["uid"]: {"apiVersion": api_version, "kind": kind, **item}
            for item in listed.get("items") or []
        }
        with self._changed:
            collection.objects = objects
            collection.seen = revision(listed)
            collection.listed = True
            collection.problem = ""
            self._notify()

    def _watch(self, collection: Collection) -> None:
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(collection.seen),
            "timeoutSeconds": _STREAM_SECONDS,
        }
        if collection.field_selector:
            query["fieldSelector"] = collection.field_selector
        for event in self._cluster.stream(collection.path, query):
            if self._closed:
                return
            self._apply(collection, event)

    def _apply(self, collection: Collection, event: Object) -> None:
        type_, obj = event.get("type"), event.get("object") or {}
        if type_ == "ERROR":
            raise ApiError(int(obj.get("code") or 500), obj, f"watch {collection.path}")
        with self._changed:
            collection.problem = ""
            collection.seen = max(collection.seen, revision(obj))
            if type_ == "BOOKMARK":
                return
            uid = obj["metadata"]["uid"]
            if type_ == "DELETED":
                collection.objects.pop(uid, None)
            else:
                collection.objects[uid] = obj
            self._notify()

    def _note(self, collection: Collection, problem: str) -> None:
        with self._changed:
            collection.problem = problem
            self._notify()

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()
