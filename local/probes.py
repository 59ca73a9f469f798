"""Readiness checks of daemons: small requests over HTTP, every few milliseconds during the start."""

import http.client
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

TIMEOUT_SECONDS = 5.0
# Errors of a program that is starting or stopping.
UNREACHABLE = (OSError, http.client.HTTPException)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path) -> None:
        """Take the path of the socket."""
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(str(self._path))


def status(connection: http.client.HTTPConnection, path: str) -> int:
    """Return the status of a GET request; 0 without an answer."""
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except UNREACHABLE:
        return 0
    finally:
        connection.close()


def http_ok(port: int, path: str) -> Callable[[], bool]:
    """Return a check whether a server on loopback answers 200."""
    return lambda: (
        status(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS), path) == 200
    )


def https_ok(port: int, path: str) -> Callable[[], bool]:
    """Return a check for a server on loopback with a self-signed certificate."""
    # The request contains no secret and only checks readiness.
    context = ssl._create_unverified_context()  # noqa: S323

    def ask() -> bool:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=TIMEOUT_SECONDS, context=context
        )
        return status(connection, path) == 200

    return ask


def unix_ok(path: Path, url: str) -> Callable[[], bool]:
    """Return a check whether a server on a UNIX socket answers 200."""
    return lambda: status(UnixConnection(path), url) == 200


def accepts(path: Path) -> Callable[[], bool]:
    """Return a check whether a process listens on a UNIX socket."""

    def ask() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(TIMEOUT_SECONDS)
            return probe.connect_ex(str(path)) == 0

    return ask


def apiserver_ready(host: str, port: int, pki: Path) -> Callable[[], bool]:
    """Return a check whether the API server has finished its start-up hooks.

    It does not use `Cluster`: during the start, a check every few milliseconds must be cheap, and its errors
    need no message.
    """
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def ask() -> bool:
        connection = http.client.HTTPSConnection(
            host, port, timeout=TIMEOUT_SECONDS, context=context
        )
        return status(connection, "/readyz") == 200

    return ask
