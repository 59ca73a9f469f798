"""Servers with a login that tests start."""

import http
import http.client
import time


def wait_for_login(address: str, path: str) -> None:
    """Return when the server at `host:port` refuses who has no login.

    Raises:
        AssertionError: The server does not answer in 30 s, or with something else.
    """
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection(address, timeout=5)
        try:
            connection.request("GET", path)
            assert connection.getresponse().status == http.HTTPStatus.UNAUTHORIZED
        except OSError:
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
