"""Kubernetes client outside of pods, for objects as plain dictionaries.

Built on the official `kubernetes` package, which reads kubeconfigs and supports credential plugins, proxies
and certificates. Its typed API is not used: importing it takes a second, and JSON works for every kind.

A resource is named as in `kubectl` and RBAC, with its group and, unless it is v1, its version: `pods`,
`apps/deployments`, `autoscaling/v2/horizontalpodautoscalers`.
"""

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from astro_pulumi.errors import ClusterError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Object = dict[str, Any]

_CONNECT_TIMEOUT: Final = 10.0
_READ_TIMEOUT: Final = 60.0
# One connection for each followed log, and some for other requests.
_CONNECTIONS: Final = 64


class Cluster:
    """A client for one cluster with one identity, which threads may share."""

    def __init__(self, client: Any) -> None:
        """Take an `ApiClient` of the `kubernetes` package. See `Cluster.connect`."""
        self._client = client
        self._settings = client.configuration

    @classmethod
    def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        cluster: str | None = None,
    ) -> "Cluster":
        """Return a client with the settings of a kubeconfig, without a request.

        Args:
            kubeconfig: Its path or its contents. Default: $KUBECONFIG, `~/.kube/config`, or the service
                account of the pod.
            context: One of its contexts. Default: the current one.
            cluster: One of its clusters. Default: that of the context.

        Raises:
            ClusterError: The kubeconfig is missing or invalid.
        """
        # Imported here: most commands, such as `--help`, need no cluster.
        from kubernetes.client import ApiClient, Configuration
        from kubernetes.config import ConfigException
        from kubernetes.config.incluster_config import load_incluster_config
        from yaml import YAMLError

        settings = Configuration()
        source = _source(kubeconfig)
        try:
            if source is None:
                load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            else:
                _load(source, context, cluster, settings)
        except (ConfigException, YAMLError, OSError, ValueError) as error:
            raise _unusable(source, " ".join(str(error).split())) from error
        except (TypeError, AttributeError) as error:  # text or a list in the place of a mapping
            raise _unusable(source, "it is not a kubeconfig") from error
        settings.retries = False
        settings.connection_pool_maxsize = _CONNECTIONS
        return cls(ApiClient(settings))

    def objects(self, resource: str, namespace: str | None = None, **labels: str) -> list[Object]:
        """List the objects of a namespace, or of all namespaces, with all of the labels."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        query = {"labelSelector": selector} if selector else {}
        items: list[Object] = self.read(path(resource, namespace), **query)["items"]
        return items

    def get(self, resource: str, name: str, namespace: str | None = None) -> Object | None:
        """Return an object, or None if it does not exist."""
        try:
            return self.read(path(resource, namespace, name))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def create(self, resource: str, manifest: Object, namespace: str | None = None) -> Object:
        """Create an object, and return it as stored."""
        return self.post(path(resource, namespace), manifest)

    def patch(
        self, resource: str, name: str, change: Object, namespace: str | None = None
    ) -> Object:
        """Merge a change into an object, and return it."""
        return self._json("PATCH", path(resource, namespace, name), change)

    def delete(self, resource: str, name: str, namespace: str | None = None) -> None:
        """Delete an object and its dependents, if it exists."""
        options = {"propagationPolicy": "Background"}
        try:
            self._json("DELETE", path(resource, namespace, name), options)
        except ClusterError as error:
            if error.status != 404:
                raise

    def read(self, url_path: str, **query: str) -> Object:
        """Return the JSON at a path of the API."""
        return self._json("GET", url_path, query=query)

    def post(self, url_path: str, body: Object) -> Object:
        """Send an object to a path of the API, and return the answer."""
        return self._json("POST", url_path, body)

    def text(self, url_path: str, **query: str) -> str:
        """Return the text at a path of the API, such as the response of a proxied Service."""
        return self._request("GET", url_path, query=query).data.decode(errors="replace")

    def log_lines(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        *,
        follow: bool = False,
        tail: int | None = None,
        timestamps: bool = False,
    ) -> Iterator[str]:
        """Yield the lines of a container's log. With `follow`, yield new lines as they are written."""
        query = {
            **({"container": container} if container else {}),
            **({"follow": "true"} if follow else {}),
            **({"tailLines": str(tail)} if tail is not None else {}),
            **({"timestamps": "true"} if timestamps else {}),
        }
        where = f"{path('pods', namespace, pod)}/log"
        response = self._request("GET", where, query=query, stream=True)
        with contextlib.closing(response):
            try:
                for line in response:
                    yield line.decode(errors="replace").removesuffix("\n")
            except Exception as error:
                raise self._unreachable(error) from error

    def execute(
        self,
        namespace: str,
        pod: str,
        command: Sequence[str],
        container: str | None = None,
        *,
        stderr: bool = False,
    ) -> str:
        """Run a command in a pod, and return its standard output, with `stderr` also its standard error.

        The exit code of the command is ignored.
        """
        from kubernetes.client.exceptions import ApiException
        from kubernetes.stream.ws_client import websocket_call

        query = [("command", word) for word in command] + [("stdout", "true")]
        query += [("stderr", "true")] if stderr else []
        query += [("container", container)] if container else []
        try:
            answer = websocket_call(  # type: ignore[no-untyped-call]
                self._settings,
                "GET",
                f"{self._server}{path('pods', namespace, pod)}/exec",
                query_params=query,
                headers=self._headers(),
            )
        except ApiException as error:
            raise ClusterError(
                f"exec in pod {pod} of {namespace}: {error.reason}", error.status or 0
            ) from error
        return str(answer.data)

    @property
    def _server(self) -> str:
        return str(self._settings.host).rstrip("/")

    def _headers(self) -> dict[str, str]:
        # `auth_settings` renews a token that is about to expire.
        authorization = {
            setting["key"]: setting["value"]
            for setting in self._settings.auth_settings().values()
            if setting["in"] == "header" and setting["value"]
        }
        return {"Accept": "application/json", "User-Agent": "astro-pulumi", **authorization}

    def _json(
        self, method: str, url_path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Object:
        answer: Object = json.loads(self._request(method, url_path, body, query).data or b"{}")
        return answer

    def _request(
        self,
        method: str,
        url_path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        *,
        stream: bool = False,
    ) -> "BaseHTTPResponse":
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        url = self._server + quote(url_path) + (f"?{urlencode(query)}" if query else "")
        headers = self._headers()
        if body is not None:
            kind = "merge-patch+json" if method == "PATCH" else "json"
            headers["Content-Type"] = f"application/{kind}"
        # A followed log may be silent for any time.
        timeout = Timeout(connect=_CONNECT_TIMEOUT, read=None if stream else _READ_TIMEOUT)
        try:
            response: BaseHTTPResponse = self._client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=timeout,
                preload_content=not stream,
                retries=False,
            )
        except HTTPError as error:
            raise self._unreachable(error) from error
        if response.status >= 400:
            raise self._refusal(response, f"{method} {url_path}")
        return response

    def _refusal(self, response: "BaseHTTPResponse", request: str) -> ClusterError:
        text = (response.data or b"").decode(errors="replace").strip()
        try:
            said = json.loads(text).get("message") or text
        except (ValueError, AttributeError):
            said = text
        if response.status == 401:
            said = f"{self._server} does not accept the credentials of the kubeconfig: log in again"
        return ClusterError(
            f"{request}: {said or f'HTTP status {response.status}'}", response.status
        )

    def _unreachable(self, error: BaseException) -> ClusterError:
        return ClusterError(
            f"the Kubernetes API at {self._server} does not answer ({_innermost(error)}). "
            "Is this the right context, and does the cluster run? See: kubectl cluster-info"
        )


def path(resource: str, namespace: str | None = None, name: str | None = None) -> str:
    """Return the API path of a resource or of an object."""
    *group, plural = resource.split("/")
    version = group[1] if len(group) > 1 else "v1"
    root = f"/apis/{group[0]}/{version}" if group else "/api/v1"
    parts = [root, *(["namespaces", namespace] if namespace else []), plural]
    return "/".join([*parts, name] if name else parts)


def _source(kubeconfig: str | None) -> "str | io.StringIO | None":
    """Return the paths or the contents that the `kubernetes` package merges; None inside a cluster."""
    if kubeconfig:
        is_text = "\n" in kubeconfig or kubeconfig.lstrip().startswith("{")
        return io.StringIO(kubeconfig) if is_text else str(Path(kubeconfig).expanduser())
    paths = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    exists = any(Path(one).expanduser().exists() for one in paths.split(os.pathsep) if one)
    return None if not exists and os.environ.get("KUBERNETES_SERVICE_HOST") else paths


def _load(
    source: "str | io.StringIO", context: str | None, cluster: str | None, settings: Any
) -> None:
    from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

    merged = KubeConfigMerger(source).config  # type: ignore[no-untyped-call]
    if merged is None:
        raise ClusterError(
            f"there is no kubeconfig at {source}: set KUBECONFIG, or kubernetes:kubeconfig in the stack's "
            "configuration"
        )
    loader: Any = KubeConfigLoader(  # type: ignore[no-untyped-call]
        config_dict=merged, active_context=context
    )
    active = loader.current_context
    if cluster:
        active["context"]["cluster"] = cluster
        loader.set_active_context(active["name"])
    loader.load_and_set(settings)


def _unusable(source: object, problem: str) -> ClusterError:
    where = f" {source}" if isinstance(source, str) else ""
    return ClusterError(f"the kubeconfig{where} cannot be used: {problem}")


def _innermost(error: BaseException) -> str:
    """Return the root cause of an error of urllib3: `Connection refused`."""
    inner = getattr(error, "reason", None) or error.__cause__
    if isinstance(inner, BaseException):
        return _innermost(inner)
    return str(getattr(error, "strerror", None) or error)
