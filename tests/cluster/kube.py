"""What the tests ask the cluster, as plain data."""

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from astro_pulumi.cli.kubernetes_client import Cluster, path
from astro_pulumi.cli.kubernetes_client import Object as Object
from astro_pulumi.errors import ClusterError

# Pods of Jobs, which a deploy makes and which end with it.
JOBS = {"release-job", "rollout"}
# Labels of a namespace that admits only what the `restricted` Pod Security Standard allows.
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
AIRFLOW_COMPONENTS = {"webserver", "scheduler", "triggerer", "dag-processor", "worker"}


@dataclass(frozen=True)
class Kind:
    """A kind that the cluster serves."""

    api_version: str
    kind: str
    plural: str
    can_list: bool

    @property
    def resource(self) -> str:
        """The kind as `Cluster` names it."""
        return f"{self.api_version}/{self.plural}" if "/" in self.api_version else self.plural


class Kube:
    """One cluster."""

    def __init__(self, kubeconfig: str, context: str) -> None:
        self._cluster = Cluster.connect(kubeconfig, context)
        self._kinds: list[Kind] = []

    def objects(self, kind: str, namespace: str | None = None, **labels: str) -> list[Object]:
        """Objects of one kind, all of them or those in a namespace with all of the labels."""
        return self._cluster.objects(self._kind(kind).resource, namespace, **labels)

    def pods(self, namespace: str, component: str | None = None) -> list[Object]:
        """The Airflow pods of a Deployment that are not on their way out."""
        return [
            pod
            for pod in self._cluster.objects(
                "pods", namespace, **{"app.kubernetes.io/name": "airflow"}
            )
            if component_of(pod) in ({component} if component else AIRFLOW_COMPONENTS)
            and "deletionTimestamp" not in pod["metadata"]
        ]

    def all_pods(self, namespace: str) -> list[Object]:
        """Every pod of a namespace, those that end included."""
        return self._cluster.objects("pods", namespace)

    def secret_values(self, namespace: str) -> dict[str, str]:
        """Every value of every Secret of a namespace, by `<secret>/<key>`."""
        return {
            f"{secret['metadata']['name']}/{key}": base64.b64decode(value).decode(errors="replace")
            for secret in self._cluster.objects("secrets", namespace)
            for key, value in (secret.get("data") or {}).items()
        }

    def log(self, pod: Object, timestamps: bool = False) -> str:
        """What the containers of a pod have written so far."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        return "\n".join(
            line
            for kind in ("initContainerStatuses", "containerStatuses")
            for status in pod["status"].get(kind, [])
            if "waiting" not in status["state"]
            for line in self._cluster.log_lines(
                namespace, name, status["name"], timestamps=timestamps
            )
        )

    def delete_pod(self, namespace: str, name: str) -> None:
        """Ends a pod; its workload makes another."""
        self._cluster.delete("pods", name, namespace)

    def create(self, manifest: Object, namespace: str | None = None) -> Object:
        """Makes an object; -> it as the API server keeps it."""
        kind = self._kind(manifest["kind"], manifest["apiVersion"])
        return self._cluster.create(kind.resource, manifest, namespace)

    @contextmanager
    def temporary_namespace(self, prefix: str, **labels: str) -> Iterator[str]:
        """A namespace of its own, `<prefix>-<random>`, which is deleted at the end."""
        metadata = {"generateName": f"{prefix}-", "labels": labels}
        made = self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        name: str = made["metadata"]["name"]
        try:
            yield name
        finally:
            self.delete("Namespace", name)

    def change(self, kind: str, name: str, namespace: str, change: Object) -> None:
        """Merges a change into an object."""
        self._cluster.patch(self._kind(kind).resource, name, change, namespace)

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Deletes an object, and what it owns, if it is there."""
        self._cluster.delete(self._kind(kind).resource, name, namespace)

    def token(self, namespace: str, service_account: str) -> str:
        """A token of a ServiceAccount, for ten minutes."""
        request = {"spec": {"expirationSeconds": 600}}
        where = path("serviceaccounts", namespace, service_account)
        answer = self._cluster.post(f"{where}/token", request)
        return str(answer["status"]["token"])

    def execute(self, pod: Object, *command: str, container: str | None = None) -> str:
        """Runs a command in a pod; -> what it wrote, to standard error too. Its status is not looked at."""
        return self._cluster.execute(
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            command,
            container or pod["spec"]["containers"][0]["name"],
            stderr=True,
        )

    def get_from_service(self, namespace: str, service: str, port: str, path_there: str) -> str:
        """GET from a Service, through the API server."""
        where = path("services", namespace, f"{service}:{port}")
        return self._cluster.text(f"{where}/proxy/{path_there}")

    def usage(self, namespace: str) -> list[Object]:
        """What each pod of a namespace uses, as the kubelets count it."""
        return [
            pod
            for node in self._cluster.objects("nodes")
            for pod in self._cluster.read(
                path("nodes", None, node["metadata"]["name"]) + "/proxy/stats/summary"
            )["pods"]
            if pod["podRef"]["namespace"] == namespace
        ]

    def everything(self) -> Iterator[Object]:
        """Every object of every kind in the whole cluster, with `apiVersion` and `kind`."""
        for kind in self._discover():
            if not kind.can_list:
                continue
            try:
                items = self._cluster.objects(kind.resource)
            except ClusterError:  # a kind that cannot be listed, for example while it goes away
                continue
            for item in items:
                yield {"apiVersion": kind.api_version, "kind": kind.kind, **item}

    def _kind(self, kind: str, api_version: str | None = None) -> Kind:
        """A kind by its name alone: of several, that of Kubernetes' own groups."""
        found = self._known(kind, api_version)
        if not found:  # it may be new
            self._discover()
            found = self._known(kind, api_version)
        if not found:
            raise ClusterError(f"the cluster has no {kind}", 404)
        return min(found, key=lambda one: "." in one.api_version)

    def _known(self, kind: str, api_version: str | None) -> list[Kind]:
        return [
            one
            for one in self._kinds
            if one.kind == kind and api_version in (None, one.api_version)
        ]

    def _discover(self) -> list[Kind]:
        """The kinds that the cluster serves, each in the version that it prefers and in all others."""
        groups = self._cluster.read("/apis")["groups"]
        preferred = [group["preferredVersion"]["groupVersion"] for group in groups]
        others = [
            version["groupVersion"]
            for group in groups
            for version in group["versions"]
            if version["groupVersion"] not in preferred
        ]
        self._kinds = [
            Kind(version, found["kind"], found["name"], "list" in found["verbs"])
            for version in ("v1", *preferred, *others)
            for found in self._resources(version)
            if "/" not in found["name"]  # a subresource
        ]
        return self._kinds

    def _resources(self, version: str) -> list[Any]:
        root = "/api/v1" if version == "v1" else f"/apis/{version}"
        try:
            return list(self._cluster.read(root)["resources"])
        except ClusterError:  # its group goes away just now, or nobody serves it
            return []


def component_of(pod: Object) -> str:
    """`scheduler`, `worker` ..."""
    return str(pod["metadata"]["labels"].get("app.kubernetes.io/component"))


def identities(pods: list[Object]) -> dict[str, tuple[str, int]]:
    """Return uid and restarts of each pod. Equal values at a later time mean that nothing was restarted."""
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
