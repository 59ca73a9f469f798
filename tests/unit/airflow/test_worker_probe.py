"""The cheap question of the worker's probe: is there a connection to the broker?"""

import socket

from tests.unit.release import pod_file

worker_probe = pod_file.load("worker_probe")


def test_only_an_established_connection_to_the_port_counts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        port = broker.getsockname()[1]
        assert not worker_probe.is_connected(port), "it listens, and nobody has connected"
        with socket.create_connection(("127.0.0.1", port)):
            assert worker_probe.is_connected(port)
    assert not worker_probe.is_connected(port)
