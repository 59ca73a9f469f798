"""A Kubernetes API client for the Jobs of a deploy, of Python's standard library alone.

The image is the user's: it may hold no Kubernetes client, and importing one takes a second.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from astro_termination_message import ReleaseRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[str], None]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEPLOYMENTS = "apps/deployments"
LOG_BYTES = 256 << 10


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, message: str) -> None:
        """Take the HTTP status and the message of the response."""
        super().__init__(message)
        self.status = status


class Cluster:
    """A client for the namespace of this pod, with the rights of its service account."""

    def __init__(
        self, server: str, token: Callable[[], str], namespace: str, context: ssl.SSLContext
    ) -> None:
        """Take the address of the API server, a source of tokens, the namespace and the TLS context."""
        self._server, self._token, self._context = server, token, context
        self.namespace = namespace

    @classmethod
    def of_this_pod(cls) -> Cluster:
        """Return a client from the service account of this pod."""
        host = os.environ["KUBERNETES_SERVICE_HOST"]
        if ":" in host:  # IPv6
            host = f"[{host}]"
        return cls(
            f"{host}:{os.environ['KUBERNETES_SERVICE_PORT']}",
            lambda: (SERVICE_ACCOUNT / "token").read_text(),  # renewed by the kubelet
            (SERVICE_ACCOUNT / "namespace").read_text(),
            ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt")),
        )

    def request(
        self, method: str, resource: str, name: str = "", body: Any = None, **query: str
    ) -> Any:
        """Send one request, retry it for half a minute, and return the decoded response.

        Args:
            method: HTTP method.
            resource: Resource with its group: "configmaps", "apps/deployments", "batch/jobs".
            name: Name of the object. Empty: the collection.
            body: JSON body.
            query: Query parameters.

        Raises:
            ApiError: The API server refused the request or did not answer.
        """
        group, _, plural = resource.rpartition("/")
        root = f"/apis/{group}/v1" if group else "/api/v1"
        path = f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")
        if query:
            path += "?" + urlencode(query)
        return json.loads(self._ask(method, path, body) or b"{}")

    def log(self, pod: str, container: str, previous: bool, lines: int) -> str:
        """Return the last lines of a container's log; empty if there is none.

        Args:
            pod: Name of the pod.
            container: Name of the container.
            previous: Read the log from before the container's last restart.
            lines: Number of lines.
        """
        query = {"container": container, "tailLines": str(lines), "limitBytes": str(LOG_BYTES)}
        if previous:
            query["previous"] = "true"
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log?{urlencode(query)}"
        try:
            data = self._ask("GET", path)
        except ApiError:
            return ""  # the container has not started, or its pod was deleted
        text = data.decode(errors="replace")
        # The last line may be cut, and the filter would not recognise half of a secret.
        return text.rpartition("\n")[0] if len(data) >= LOG_BYTES else text

    def _ask(self, method: str, path: str, body: Any = None) -> bytes:
        headers = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json, */*"}
        if body is not None:
            kind = "merge-patch+json" if method == "PATCH" else "json"
            headers["Content-Type"] = f"application/{kind}"
        for attempt in range(8):
            try:
                status, data = self._send(method, path, body, headers)
            except OSError as error:
                status, data = 503, f"the Kubernetes API does not answer: {error}".encode()
            if status < 400:
                return data
            if status not in (429, 500, 502, 503, 504):
                break
            time.sleep(0.25 * 2**attempt)  # half a minute in all
        raise ApiError(status, f"{method} {path}: {_message(data) or status}")

    def _send(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(self._server, context=self._context, timeout=20)
        try:
            connection.request(method, path, body and json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read()
        except http.client.HTTPException as error:
            raise OSError(error) from error
        finally:
            connection.close()

    def find(self, resource: str, name: str) -> Any:
        """Return an object, or None if it does not exist."""
        try:
            return self.request("GET", resource, name)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, resource: str, labels: dict[str, str], **query: str) -> list[Any]:
        """Return the objects with the given labels."""
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        items: list[Any] = self.request("GET", resource, **query)["items"]
        return items

    def patch(self, resource: str, name: str, change: dict[str, Any]) -> Any:
        """Merge a change into an object, and return the object."""
        return self.request("PATCH", resource, name, change)


def _message(data: bytes) -> str:
    """Return the API server's explanation of a refused request."""
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace")


@dataclass
class Lease:
    """A lock that one release Job of a Deployment holds at a time, renewed in the background.

    A holder that was killed loses the lock after `SECONDS`. Kubernetes deletes the Lease with its `owners`.
    """

    SECONDS = 30
    RESOURCE = "coordination.k8s.io/leases"

    cluster: Cluster
    name: str
    holder: str
    labels: dict[str, str]
    owners: list[dict[str, Any]]
    patience: float
    say: Say
    _released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Lease:
        """Wait for the lock.

        Raises:
            ReleaseRefusedError: Another Job has held it for `patience` seconds.
        """
        deadline, reported = time.monotonic() + self.patience, ""
        while (other := self._try_to_take()) is not None:
            if other != reported:
                self.say(f"waiting for {other}, another release Job of this Deployment")
                reported = other
            if time.monotonic() > deadline:
                raise ReleaseRefusedError(
                    f"{other}, another release Job of this Deployment, has run for more than "
                    f"{self.patience:.0f} s; nothing was changed. When it has ended, deploy again."
                )
            time.sleep(1)
        self._renewal = threading.Thread(target=self._renew, daemon=True)
        self._renewal.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Release the lock."""
        self._released.set()
        self._renewal.join()
        try:
            lease = self.cluster.find(self.RESOURCE, self.name)
            if lease and lease["spec"].get("holderIdentity") == self.holder:
                self._put(lease, "")
        except (ApiError, OSError):
            pass  # the lock expires

    def _try_to_take(self) -> str | None:
        """Return None if the lock is ours now, otherwise its holder."""
        lease = self.cluster.find(self.RESOURCE, self.name)
        try:
            if lease is None:
                self.cluster.request("POST", self.RESOURCE, body=self._fresh())
                return None
            holder = lease["spec"].get("holderIdentity")
            if holder and holder != self.holder and not is_expired(lease["spec"], utc_now()):
                return str(holder)
            self._put(lease, self.holder)
        except ApiError as error:
            if error.status != 409:
                raise
            return "someone else"  # who was faster; asked again in a second
        return None

    def _renew(self) -> None:
        while not self._released.wait(self.SECONDS / 3):
            try:
                lease = self.cluster.find(self.RESOURCE, self.name)
                if lease and lease["spec"].get("holderIdentity") == self.holder:
                    self._put(lease, self.holder)
            except ApiError as error:
                self.say(f"the lease could not be renewed: {error}")

    def _put(self, lease: dict[str, Any], holder: str) -> None:
        lease["spec"] = self._spec(holder)
        self.cluster.request("PUT", self.RESOURCE, self.name, lease)

    def _fresh(self) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self.name,
                "labels": self.labels,
                **({"ownerReferences": self.owners} if self.owners else {}),
            },
            "spec": self._spec(self.holder),
        }

    def _spec(self, holder: str) -> dict[str, Any]:
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": self.SECONDS,
            "renewTime": utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }


def is_expired(spec: dict[str, Any], now: datetime) -> bool:
    """Return whether a lease was not renewed within its duration."""
    renewed = datetime.strptime(spec["renewTime"], "%Y-%m-%dT%H:%M:%S.%fZ")
    age = now - renewed.replace(tzinfo=timezone.utc)  # noqa: UP017 Python 3.8 as well
    return age.total_seconds() > float(spec["leaseDurationSeconds"])


def utc_now() -> datetime:
    """Return the current time as Kubernetes writes it."""
    return datetime.now(timezone.utc)  # noqa: UP017
