"""The processes of the provider stand-ins."""

import os
import signal
from importlib.metadata import version

import pytest

from tests.unit.local.pulumi.client import PROVIDER, Client
from tests.unit.local.pulumi.processes import eventually_gone, output, start, started_by_a_cli


@pytest.mark.parametrize("name", ["docker", "random"])
def test_the_version_is_that_of_the_python_package(name: str) -> None:
    process = start(f"{name}_provider", "127.0.0.1:1")
    client = Client(PROVIDER, int(output(process).readline()))
    assert client("Handshake", engineAddress="127.0.0.1:1") == {"acceptSecrets": True}
    assert client("GetPluginInfo") == {"version": version(f"pulumi-{name}")}
    assert client("Configure", args={}) == {"acceptSecrets": True, "supportsPreview": True}
    assert client("Cancel") == {}
    os.killpg(process.pid, signal.SIGINT)
    assert output(process).read() == b""
    assert process.wait(4) == 0
    output(process).close()
    client.close()


def test_a_provider_ends_when_the_cli_is_killed() -> None:
    with started_by_a_cli("random_provider", "127.0.0.1:1") as (cli, _, number):
        cli.kill()
        assert eventually_gone(number)
