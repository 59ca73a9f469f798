"""Is a daemon ready? Small questions over HTTP, asked every few milliseconds while one starts."""

import http.client
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

TIMEOUT_SECONDS = 5.0
# What a program that is not up yet, or just going down, may answer with.
UNREACHABLE = (OSError, http.client.HTTPException)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(str(self._path))


def status(connection: http.client.HTTPConnection, path: str) -> int:
    """Return the status of a GET request; 0 when nothing answers."""
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except UNREACHABLE:
        return 0
    finally:
        connection.close()


def http_ok(port: int, path: str) -> Callable[[], bool]:
    """Return a question: does a server on loopback answer 200?"""
    return lambda: (
        status(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS), path) == 200
    )


def https_ok(port: int, path: str) -> Callable[[], bool]:
    """Return a question to a server on loopback that made its certificate itself."""
    # Nothing secret is sent, and only "is it up" is asked.
    context = ssl._create_unverified_context()  # noqa: S323

    def ask() -> bool:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=TIMEOUT_SECONDS, context=context
        )
        return status(connection, path) == 200

    return ask


def unix_ok(path: Path, url: str) -> Callable[[], bool]:
    """Return a question: does a server on a UNIX socket answer 200?"""
    return lambda: status(UnixConnection(path), url) == 200


def accepts(path: Path) -> Callable[[], bool]:
    """Return a question: does something listen on a UNIX socket?"""

    def ask() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(TIMEOUT_SECONDS)
            return probe.connect_ex(str(path)) == 0

    return ask


def apiserver_ready(host: str, port: int, pki: Path) -> Callable[[], bool]:
    """Return a question: has the API server finished its start-up hooks?

    `Cluster` is not asked: while the server starts, a question every few milliseconds is to cost no more
    than one here, and no error is worth a message.
    """
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def ask() -> bool:
        connection = http.client.HTTPSConnection(
            host, port, timeout=TIMEOUT_SECONDS, context=context
        )
        return status(connection, "/readyz") == 200

    return ask
