"""The connection to one cluster: kubeconfig, requests, watch streams, and where kinds are served.

On the official `kubernetes` client, which reads kubeconfigs and knows about credential plugins, proxies
and certificates. Its connection pool carries plain JSON: any kind of object is handled alike, and every
request is one that may be sent twice (GET, server-side apply, DELETE), so that a server that is away
for a moment is waited for.
"""

import contextlib
import io
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from astro_pulumi.embedded.providers import CLIENT_IMPORTS, innermost
from astro_pulumi.embedded.providers.kubernetes.kinds import ResourceKind, builtin_kind
from astro_pulumi.embedded.providers.kubernetes.objects import Object, dig
from astro_pulumi.embedded.values import Properties, reveal
from astro_pulumi.errors import ResourceError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

# An API server that answered once in this run is waited for; one that never did is probably the wrong
# address.
PATIENCE: Final = 90.0
FIRST_PATIENCE: Final = 8.0
_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
# Too many requests, or an API server that is starting, stopping or overloaded.
_TRANSIENT: Final = frozenset({429, 502, 503, 504})
_CONNECT_TIMEOUT: Final = 10.0
_READ_TIMEOUT: Final = 60.0
# The server sends a bookmark every minute: a stream that is silent for longer is dead.
STREAM_SILENCE: Final = 90.0

# Hears what a request is waiting for.
Notice = Callable[[str], None]


class ApiError(ResourceError):
    """The API server refused a request. `status` is the HTTP status, `body` its `Status` object."""

    def __init__(self, status: int, body: Object, doing: str) -> None:
        message = body.get("message") or body.get("reason") or f"HTTP status {status}"
        super().__init__(f"{doing}: {message}")
        self.status = status
        self.body = body

    @property
    def reason(self) -> str:
        """Kubernetes' word for it: `NotFound`, `Conflict`, `Forbidden`..."""
        return str(self.body.get("reason") or "")

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status in _TRANSIENT or (self.status == 500 and "etcdserver" in str(self))

    @property
    def causes(self) -> list[Object]:
        """The single problems of an invalid or conflicting object."""
        return list(dig(self.body, "details", "causes") or [])

    @property
    def is_about_taken_port(self) -> bool:
        """Whether a Service wants a node port that is taken."""
        return any(
            "port is already allocated" in str(cause.get("message")) for cause in self.causes
        )


class ApiUnreachableError(ResourceError):
    """The API server does not answer."""


class Cluster:
    """One cluster and the identity to use there. Threads may share it."""

    def __init__(self, config: Properties) -> None:
        """`config` has the keys of pulumi-kubernetes: kubeconfig, context, cluster, namespace."""
        self._config: Mapping[str, Any] = reveal(config)
        self._lock = threading.Lock()
        self._client: Any = None
        self._default_namespace = "default"
        self._discovered: dict[str, dict[str, ResourceKind]] = {}
        self._has_answered = False
        self._cancelled = threading.Event()

    @property
    def default_namespace(self) -> str:
        """The namespace of objects that name none: the provider's, else the context's."""
        if self._config.get("namespace"):
            return str(self._config["namespace"])
        self._connected()
        return self._default_namespace

    def option(self, name: str) -> bool:
        """A switch of the provider's configuration, given as a boolean or as text."""
        return str(self._config.get(name, "")).lower() == "true"

    def is_other_than(self, before: Properties) -> bool:
        """Whether the API server's address is not that of `before`, as far as both name one.

        As with pulumi-kubernetes, `clusterIdentifier` decides if it is set, and a kubeconfig of the
        environment says nothing: it is another one on each machine.
        """
        then = reveal(before)
        if self._config.get("clusterIdentifier") and then.get("clusterIdentifier"):
            return bool(self._config["clusterIdentifier"] != then["clusterIdentifier"])
        if self._config.get("kubeconfig") and then.get("kubeconfig"):
            with contextlib.suppress(ResourceError):  # the old file may be gone
                return self._host != Cluster(before)._host
        return False

    @property
    def _host(self) -> str:
        return str(self._connected().configuration.host)

    def warm_up(self) -> None:
        """Loads the client library in the background: 0.2 s that nobody has to wait for."""
        threading.Thread(target=self._try_to_connect, name="kubernetes-import", daemon=True).start()

    def cancel(self) -> None:
        """Ends requests that are being tried again."""
        self._cancelled.set()

    def _try_to_connect(self) -> None:
        with contextlib.suppress(
            ResourceError
        ):  # raised again by the first request, where it is shown
            self._connected()

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        # Imported here, since a deploy that changes nothing needs no cluster.
        with CLIENT_IMPORTS:
            from kubernetes.client import ApiClient, Configuration
            from kubernetes.config import ConfigException
            from kubernetes.config.incluster_config import load_incluster_config
            from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger
            from yaml import YAMLError

        settings = Configuration()
        source = self._kubeconfig()
        try:
            if source is None:
                load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
                namespace = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
                self._default_namespace = namespace.read_text().strip()
            else:
                merged = KubeConfigMerger(source).config  # type: ignore[no-untyped-call]
                if merged is None:
                    raise ResourceError(
                        f"kubeconfig {source!r} does not exist: set KUBECONFIG or the option"
                        " kubernetes:kubeconfig to the cluster's kubeconfig"
                    )
                context = self._config.get("context") or None
                loader: Any = KubeConfigLoader(  # type: ignore[no-untyped-call]
                    config_dict=merged, active_context=context
                )
                active = loader.current_context
                if self._config.get("cluster"):
                    active["context"]["cluster"] = self._config["cluster"]
                    loader.set_active_context(active["name"])
                loader.load_and_set(settings)
                self._default_namespace = dig(active, "context", "namespace") or "default"
        except (ConfigException, YAMLError, OSError, ValueError) as error:
            raise _unusable(source, " ".join(str(error).split())) from error
        except (TypeError, AttributeError) as error:  # text or a list in the place of a mapping
            raise _unusable(source, "it has another form than a kubeconfig") from error
        settings.retries = False
        # Every wait in progress holds a stream open, and requests should find a warm connection.
        settings.connection_pool_maxsize = 64
        return ApiClient(settings)

    def _kubeconfig(self) -> Any:
        """What `KubeConfigMerger` takes: paths, or a stream with the contents; None inside a cluster."""
        given = self._config.get("kubeconfig")
        if isinstance(given, Mapping):
            return io.StringIO(json.dumps(given))
        if given:
            path = Path(str(given)).expanduser()
            try:
                is_file = path.is_file()
            except OSError:  # too long for a path: contents
                is_file = False
            return str(path) if is_file else io.StringIO(str(given))
        paths = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
        exists = any(Path(path).expanduser().exists() for path in paths.split(os.pathsep) if path)
        if not exists and os.environ.get("KUBERNETES_SERVICE_HOST"):
            return None
        return paths

    def get(self, path: str, **query: str) -> Object:
        """Reads an object or a list."""
        return self.request("GET", path, query=query)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        notice: Notice | None = None,
        patience: float | None = None,
    ) -> Object:
        """One request and its JSON answer; transient failures are tried again for a while.

        Raises `ApiError` when the server refuses, `ApiUnreachableError` when it does not answer.
        """
        started = time.monotonic()
        attempt = 0
        while True:
            try:
                return self._request_once(method, path, body, query, content_type)
            except ApiUnreachableError as error:
                limit = PATIENCE if self._has_answered else FIRST_PATIENCE
                problem: ResourceError = error
            except ApiError as error:
                if not error.is_transient:
                    raise
                limit = PATIENCE
                problem = error
            if patience is not None:
                limit = patience
            if time.monotonic() - started > limit:
                raise problem
            if notice and attempt == len(_PAUSES) // 2:
                notice(f"{problem}; trying again")
            pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
            # A little at random, so that many threads do not come back at once.
            if self._cancelled.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311
                raise problem
            attempt += 1

    def _request_once(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, str] | None,
        content_type: str,
    ) -> Object:
        response = self._send(method, path, body, query, content_type, stream=False)
        return self._parse(response.status, response.data, f"{method} {path}")

    def text(self, path: str, **query: str) -> str:
        """Reads what is not JSON: a container's log."""
        response = self._send("GET", path, None, query, "", stream=False)
        if response.status >= 400:
            self._parse(response.status, response.data, f"GET {path}")
        return response.data.decode(errors="replace")

    def execute(self, namespace: str, pod: str, command: Sequence[str]) -> str:
        """Runs a command in a pod; -> its standard output.

        Without `CoreV1Api`, whose import takes a second.
        """
        from kubernetes.client.exceptions import ApiException
        from kubernetes.stream.ws_client import websocket_call

        settings = self._connected().configuration
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
        try:
            answer = websocket_call(  # type: ignore[no-untyped-call]
                settings,
                "GET",
                settings.host.rstrip("/") + path,
                query_params=[*(("command", word) for word in command), ("stdout", "true")],
                headers=_headers(settings),
            )
        except ApiException as error:
            raise ResourceError(f"exec in {namespace}/{pod}: {error.reason}") from error
        return str(answer.data)

    def stream(self, path: str, query: Mapping[str, str]) -> Iterator[Object]:
        """The events of a watch until the server ends it. Errors as with `request`, without retries.

        The first event is an empty bookmark: the server has answered.
        """
        from urllib3.exceptions import ReadTimeoutError

        response = self._send("GET", path, None, query, "", stream=True)
        with contextlib.closing(response):
            if response.status >= 400:
                self._parse(response.status, response.data, f"watch {path}")
            yield {"type": "BOOKMARK"}
            try:
                for line in _lines(response):
                    if line.strip():
                        yield json.loads(line)
            except ReadTimeoutError:
                # Nothing has changed for a while, or the server is gone: the next request tells.
                return
            except Exception as error:
                raise self._unreachable(error) from error

    def lines(self, path: str, **query: str) -> Iterator[str]:
        """The lines of what is not JSON as they come, however long that takes: a log that goes on."""
        response = self._send("GET", path, None, query, "", stream=True, silence=None)
        with contextlib.closing(response):
            if response.status >= 400:
                self._parse(response.status, response.data, f"GET {path}")
            try:
                for line in _lines(response):
                    yield line.decode(errors="replace")
            except Exception as error:
                raise self._unreachable(error) from error

    def _send(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, str] | None,
        content_type: str,
        *,
        stream: bool,
        silence: float | None = STREAM_SILENCE,
    ) -> "BaseHTTPResponse":
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        client = self._connected()
        settings = client.configuration
        url = settings.host.rstrip("/") + quote(path)
        if query:
            url += "?" + urlencode(query)
        headers = _headers(settings)
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body).encode()
        read_timeout = silence if stream else _READ_TIMEOUT
        try:
            response: BaseHTTPResponse = client.rest_client.pool_manager.request(
                method,
                url,
                body=data,
                headers=headers,
                timeout=Timeout(connect=_CONNECT_TIMEOUT, read=read_timeout),
                preload_content=not stream,
                retries=False,
            )
        except HTTPError as error:
            raise self._unreachable(error) from error
        self._has_answered = True
        return response

    def _unreachable(self, error: Exception) -> ApiUnreachableError:
        host = self._client.configuration.host
        return ApiUnreachableError(
            f"the Kubernetes API at {host} does not answer ({innermost(error)})"
        )

    @staticmethod
    def _parse(status: int, data: bytes, doing: str) -> Object:
        try:
            body = json.loads(data) if data else {}
        except ValueError:
            body = {"message": data.decode(errors="replace").strip()}
        if status >= 400:
            raise ApiError(status, body if isinstance(body, dict) else {}, doing)
        return dict(body)

    def resource_kind(self, api_version: str, kind: str) -> ResourceKind | None:
        """Where objects of this kind live; None when the cluster does not know the kind."""
        found = builtin_kind(api_version, kind)
        if found:
            return found
        with self._lock:
            known = self._discovered.get(api_version)
        if known is None or kind not in known:
            known = self._discover(api_version)
            with self._lock:
                self._discovered[api_version] = known
        return known.get(kind)

    def _discover(self, api_version: str) -> dict[str, ResourceKind]:
        try:
            listed = self.get(f"/apis/{api_version}")
        except ApiError as error:
            if error.status == 404:
                return {}
            raise
        return {
            entry["kind"]: ResourceKind(
                api_version, entry["kind"], entry["name"], entry["namespaced"]
            )
            for entry in listed.get("resources") or []
            if "/" not in entry["name"]  # a subresource
        }


def _lines(response: "BaseHTTPResponse") -> Iterator[bytes]:
    """The lines of a streamed response, whose chunks end anywhere."""
    rest = b""
    for chunk in response.stream(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _headers(settings: Any) -> dict[str, str]:
    # `auth_settings` renews a token that is about to expire.
    authorization = {
        setting["key"]: setting["value"]
        for setting in settings.auth_settings().values()
        if setting["in"] == "header" and setting["value"]
    }
    return {"Accept": "application/json", "User-Agent": "astro-pulumi", **authorization}


def _unusable(source: Any, problem: str) -> ResourceError:
    where = f" {source}" if isinstance(source, str) else ""
    return ResourceError(f"the kubeconfig{where} cannot be used: {problem}")
