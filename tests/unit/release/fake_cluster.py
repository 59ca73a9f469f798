"""A namespace in memory, with as much of the Kubernetes API as the release Job uses."""

import copy
from typing import Any

from tests.unit.release.pod_file import load

ApiError = load("astro_kubernetes_client").ApiError
Object = dict[str, Any]


class FakeCluster:
    """Objects by resource and name. `requests` are (method, resource, name)."""

    def __init__(self, **objects: list[Object]) -> None:
        self.objects: dict[str, dict[str, Object]] = {
            resource.replace("_", "/"): {one["metadata"]["name"]: one for one in items}
            for resource, items in objects.items()
        }
        self.requests: list[tuple[str, str, str]] = []
        self.after_patch: list[Any] = []  # called with each patched object

    def request(
        self, method: str, resource: str, name: str = "", body: Any = None, *_: Any, **__: Any
    ) -> Any:
        self.requests.append((method, resource, name))
        found = self.objects.setdefault(resource, {})
        if method == "POST":
            name = body["metadata"].get("name") or body["metadata"]["generateName"] + "abcde"
            if name in found:
                raise ApiError(409, "already exists")
            found[name] = {**body, "metadata": {**body["metadata"], "name": name}}
        elif name not in found:
            raise ApiError(404, f"{name} not found")
        elif method == "DELETE":
            return found.pop(name)
        elif method == "PUT":
            found[name] = copy.deepcopy(body)
        elif method == "PATCH":
            _merge(found[name], body)
            for hear in self.after_patch:
                hear(found[name])
        return copy.deepcopy(found[name])

    def find(self, resource: str, name: str) -> Any:
        return copy.deepcopy(self.objects.get(resource, {}).get(name))

    def list(self, resource: str, labels: dict[str, str]) -> Any:
        return [
            copy.deepcopy(one)
            for one in self.objects.get(resource, {}).values()
            if labels.items() <= one["metadata"].get("labels", {}).items()
        ]

    def patch(self, resource: str, name: str, change: Object) -> Any:
        return self.request("PATCH", resource, name, change)


def _merge(target: Object, change: Object) -> None:
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value
