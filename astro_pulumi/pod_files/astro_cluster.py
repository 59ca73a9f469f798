"""The Kubernetes API as the Jobs of a deploy need it, with nothing but Python's standard library.

The image is the user's: it holds no Kubernetes client for certain, and importing one costs a second.
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

from astro_refusal import ReleaseRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[str], None]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LOG_BYTES = 256 << 10


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Cluster:
    """The namespace of this pod, with the rights of its service account."""

    def __init__(
        self, server: str, token: Callable[[], str], namespace: str, context: ssl.SSLContext
    ) -> None:
        self._server, self._token, self._context = server, token, context
        self.namespace = namespace

    @classmethod
    def of_this_pod(cls) -> Cluster:
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
        """One request on `resource`: "configmaps", "apps/deployments", "batch/jobs"; -> the answer."""
        group, _, plural = resource.rpartition("/")
        root = f"/apis/{group}/v1" if group else "/api/v1"
        path = f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")
        if query:
            path += "?" + urlencode(query)
        return json.loads(self._ask(method, path, body) or b"{}")

    def log(self, pod: str, container: str, previous: bool, lines: int) -> str:
        """The last lines of a container's log, or of the one that ran before it; "" without any."""
        query = {"container": container, "tailLines": str(lines), "limitBytes": str(LOG_BYTES)}
        if previous:
            query["previous"] = "true"
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log?{urlencode(query)}"
        try:
            data = self._ask("GET", path)
        except ApiError:
            return ""  # it has not started, or is gone
        text = data.decode(errors="replace")
        # A line that was cut may hold half of a secret, by which nobody would know it.
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
        """The object, or None."""
        try:
            return self.request("GET", resource, name)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, resource: str, labels: dict[str, str], **query: str) -> list[Any]:
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        items: list[Any] = self.request("GET", resource, **query)["items"]
        return items

    def patch(self, resource: str, name: str, change: dict[str, Any]) -> Any:
        return self.request("PATCH", resource, name, change)


def _message(data: bytes) -> str:
    """What the API server says of a request that it refuses."""
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace")


@dataclass
class Lease:
    """Held by one release Job of a Deployment at a time, and renewed in the background.

    A holder that was killed loses it after `SECONDS`. The Lease goes with its `owners`.
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
        self._released.set()
        self._renewal.join()
        try:
            lease = self.cluster.find(self.RESOURCE, self.name)
            if lease and lease["spec"].get("holderIdentity") == self.holder:
                self._put(lease, "")
        except (ApiError, OSError):
            pass  # it runs out by itself

    def _try_to_take(self) -> str | None:
        """None when it is ours now, else who has it."""
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
    """Whether a lease was not renewed for its duration."""
    renewed = datetime.strptime(spec["renewTime"], "%Y-%m-%dT%H:%M:%S.%fZ")
    age = now - renewed.replace(tzinfo=timezone.utc)  # noqa: UP017 Python 3.8 as well
    return age.total_seconds() > float(spec["leaseDurationSeconds"])


def utc_now() -> datetime:
    return datetime.now(timezone.utc)  # noqa: UP017
