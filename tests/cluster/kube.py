"""What the tests ask the cluster, as plain data."""

import base64
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import kubernetes
import kubernetes.stream
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError

Object = dict[str, Any]
AIRFLOW_COMPONENTS = {"webserver", "scheduler", "triggerer", "dag-processor", "worker"}


class Kube:
    """One cluster."""

    def __init__(self, kubeconfig: str, context: str) -> None:
        self._api: Any = kubernetes.config.new_client_from_config(  # type: ignore[no-untyped-call]
            kubeconfig, context
        )
        self._dynamic: Any = DynamicClient(self._api)  # type: ignore[no-untyped-call]
        self._core: Any = kubernetes.client.CoreV1Api(self._api)

    def objects(self, kind: str, namespace: str | None = None, **labels: str) -> list[Object]:
        """Objects of one kind, all of them or those in a namespace with all of the labels."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        found = self._resource(kind).get(namespace=namespace, label_selector=selector or None)
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

    def log(self, pod: Object, timestamps: bool = False) -> str:
        """What the containers of a pod have written so far."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        return "\n".join(
            self._core.read_namespaced_pod_log(
                name, namespace, container=status["name"], timestamps=timestamps
            )
            for kind in ("initContainerStatuses", "containerStatuses")
            for status in pod["status"].get(kind, [])
            if "waiting" not in status["state"]
        )

    def delete_pod(self, namespace: str, name: str) -> None:
        """Ends a pod; its workload makes another."""
        self._core.delete_namespaced_pod(name, namespace)

    def create(self, manifest: Object, namespace: str | None = None) -> Object:
        """Makes an object; -> it as the API server keeps it."""
        made: Object = (
            self._resource(manifest["kind"], manifest["apiVersion"])
            .create(body=manifest, namespace=namespace)
            .to_dict()
        )
        return made

    def change(self, kind: str, name: str, namespace: str, change: Object) -> None:
        """Merges a change into an object."""
        self._resource(kind).patch(
            body=change, name=name, namespace=namespace, content_type="application/merge-patch+json"
        )

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Deletes an object, and what it owns, if it is there."""
        with contextlib.suppress(NotFoundError):
            self._resource(kind).delete(
                name=name, namespace=namespace, body={"propagationPolicy": "Background"}
            )

    def token(self, namespace: str, service_account: str) -> str:
        """A token of a ServiceAccount, for ten minutes."""
        request = {"spec": {"expirationSeconds": 600}}
        answer = self._core.create_namespaced_service_account_token(
            service_account, namespace, request
        )
        token: str = answer.status.token
        return token

    def execute(self, pod: Object, *command: str, container: str | None = None) -> str:
        """Runs a command in a pod; -> what it wrote, to standard error too. Its status is not looked at."""
        said: str = kubernetes.stream.stream(
            self._core.connect_get_namespaced_pod_exec,
            pod["metadata"]["name"],
            pod["metadata"]["namespace"],
            command=list(command),
            container=container or pod["spec"]["containers"][0]["name"],
            stdout=True,
            stderr=True,
        )
        return said

    def get_from_service(self, namespace: str, service: str, port: str, path: str) -> str:
        """GET from a Service, through the API server."""
        text: str = self._core.connect_get_namespaced_service_proxy_with_path(
            f"{service}:{port}", namespace, path, _preload_content=False
        ).data.decode()
        return text

    def _resource(self, kind: str, api_version: str | None = None) -> Any:
        """A kind by its name alone: of several, that of Kubernetes' own groups, in the version it prefers."""
        version = {"api_version": api_version} if api_version else {}
        found = self._dynamic.resources.search(kind=kind, **version)
        return min(found, key=lambda resource: (not resource.preferred, resource.group or ""))

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
