"""An image registry that wants a login, on loopback: Debian's docker-registry."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import yaml

from local import packages
from tests.cluster.servers import wait_for_login

USERNAME = "pusher"


@dataclass(frozen=True)
class Registry:
    """The same registry has two names here, as where a cluster reaches it by another one."""

    port: int
    password: str = field(repr=False)

    @property
    def push_server(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pull_server(self) -> str:
        return f"localhost:{self.port}"


@contextlib.contextmanager
def running(directory: Path, password: str) -> Iterator[Registry]:
    """Starts it, and stops it at the end."""
    directory.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        registry = Registry(probe.getsockname()[1], password)
    users = directory / "htpasswd"
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
    users.write_text(f"{USERNAME}:{hashed}\n")
    config = directory / "config.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "version": 0.1,
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
                "auth": {"htpasswd": {"realm": "test", "path": str(users)}},
                "http": {"addr": registry.push_server},
            }
        )
    )
    command = [packages.program("docker-registry"), "serve", str(config)]
    with (
        (directory / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            wait_for_login(registry.push_server, "/v2/")
            yield registry
        finally:
            process.terminate()
