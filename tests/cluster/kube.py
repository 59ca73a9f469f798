"""What the tests ask the cluster, as plain data."""

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import kubernetes
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

Object = dict[str, Any]
AIRFLOW_COMPONENTS = {"webserver", "scheduler", "triggerer", "dag-processor", "worker"}


class Kube:
    """Reads, and in two places changes, one cluster."""

    def __init__(self, kubeconfig: str, context: str) -> None:
        self._api: Any = kubernetes.config.new_client_from_config(  # type: ignore[no-untyped-call]
            kubeconfig, context
        )
        self._dynamic: Any = DynamicClient(self._api)  # type: ignore[no-untyped-call]
        self._core: Any = kubernetes.client.CoreV1Api(self._api)

    def objects(self, kind: str, namespace: str | None = None, **labels: str) -> list[Object]:
        """Objects of one kind, all of them or those in a namespace with all of the labels."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        resource = self._dynamic.resources.get(kind=kind, api_version=None)
        found = resource.get(namespace=namespace, label_selector=selector or None)
        items: list[Object] = found.to_dict()["items"]
        return items

    def pods(self, namespace: str, component: str | None = None) -> list[Object]:
        """The Airflow pods of a Deployment that are not on their way out."""
        pods = self._core.list_namespaced_pod(
            namespace, label_selector="app.kubernetes.io/name=airflow"
        ).items
        return [
            pod
            for pod in map(self._plain, pods)
            if component_of(pod) in ({component} if component else AIRFLOW_COMPONENTS)
            and "deletionTimestamp" not in pod["metadata"]
        ]

    def all_pods(self, namespace: str) -> list[Object]:
        """Every pod of a namespace, those that end included."""
        return [self._plain(pod) for pod in self._core.list_namespaced_pod(namespace).items]

    def secret_values(self, namespace: str) -> dict[str, str]:
        """Every value of every Secret of a namespace, by `<secret>/<key>`."""
        return {
            f"{secret.metadata.name}/{key}": base64.b64decode(value).decode(errors="replace")
            for secret in self._core.list_namespaced_secret(namespace).items
            for key, value in (secret.data or {}).items()
        }

    def log(self, pod: Object) -> str:
        """What the containers of a pod have written so far."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        return "\n".join(
            self._core.read_namespaced_pod_log(name, namespace, container=status["name"])
            for kind in ("initContainerStatuses", "containerStatuses")
            for status in pod["status"].get(kind, [])
            if "waiting" not in status["state"]
        )

    def delete_pod(self, namespace: str, name: str) -> None:
        """Ends a pod; its workload makes another."""
        self._core.delete_namespaced_pod(name, namespace)

    def everything(self) -> Iterator[Object]:
        """Every object of every kind in the whole cluster, with `apiVersion` and `kind`."""
        for resource in self._dynamic.resources.search():
            if "list" not in (resource.verbs or ()) or resource.kind.endswith("List"):
                continue
            try:
                items = resource.get().to_dict()["items"]
            except ApiException:  # a kind that cannot be listed, for example while it goes away
                continue
            for item in items:
                yield {"apiVersion": resource.group_version, "kind": resource.kind, **item}

    def _plain(self, model: Any) -> Object:
        plain: Object = self._api.sanitize_for_serialization(model)
        return plain


def component_of(pod: Object) -> str:
    """`scheduler`, `worker` ..."""
    return str(pod["metadata"]["labels"].get("app.kubernetes.io/component"))


def identities(pods: list[Object]) -> dict[str, tuple[str, int]]:
    """uid and restarts of each pod: the same ones later mean that nothing was restarted."""
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            sum(status["restartCount"] for status in pod["status"]["containerStatuses"]),
        )
        for pod in pods
    }


def images(pod: Object) -> set[str]:
    """The images that a pod's containers are to run."""
    return {container["image"] for container in pod["spec"]["containers"]}


def is_ready(pod: Object) -> bool:
    """Whether a pod is ready to do its work."""
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def wait_until(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Waits for a condition, asking twice a second."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.5)
