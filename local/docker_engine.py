"""The Docker daemon that builds images: an existing one, or one of this platform."""

import os
from pathlib import Path

import docker
import docker.errors

from local import config, network, packages, probes, processes
from local.daemons import Daemon, Daemons
from local.errors import RequirementError
from local.paths import Paths
from local.progress import Reporter

DEFAULT_SOCKET = Path("/var/run/docker.sock")


def existing(paths: Paths) -> str | None:
    """Return the address of a reachable Docker daemon that is not this platform's; None without one."""
    chosen = os.environ.get("DOCKER_HOST")
    address = chosen or f"unix://{DEFAULT_SOCKET}"
    if address == own(paths):
        return None
    if answers(address):
        return address
    if chosen:
        raise RequirementError(
            f"No Docker daemon answers at {chosen}.",
            why="DOCKER_HOST names it.",
            to_do="Start it, or unset DOCKER_HOST to use the default socket or our own Docker.",
        )
    return None


def answers(address: str) -> bool:
    """Return whether a Docker daemon answers at an address."""
    if address.startswith("unix://"):
        return probes.unix_ok(Path(address.removeprefix("unix://")), "/_ping")()
    try:
        client = docker.DockerClient(base_url=address, timeout=10)
        return bool(client.ping())
    except docker.errors.DockerException:
        return False


def own(paths: Paths) -> str:
    """Return the address of this platform's Docker daemon, which may not run."""
    return f"unix://{paths.docker_socket}"


def start(paths: Paths, daemons: Daemons, mtu: int, reporter: Reporter) -> None:
    """Start this platform's Docker daemon unless it runs."""
    daemon = Daemon(
        "dockerd",
        config.dockerd_command(paths, packages.program("dockerd"), mtu),
        probes.unix_ok(paths.docker_socket, "/_ping"),
    )
    policy = paths.run / "forward-policy"
    if not policy.exists():
        policy.parent.mkdir(parents=True, exist_ok=True)
        policy.write_text(network.forward_policy())
    with reporter.phase("Start Docker", quiet=True) as phase:
        daemons.start(daemon)
        daemons.wait(daemon, phase)


def remove_traces(paths: Paths) -> None:
    """Undo the changes of this platform's Docker daemon to the machine's network."""
    policy = paths.run / "forward-policy"
    if policy.exists():
        processes.remove_cgroups("docker")
        network.remove_bridge("docker0")
        network.set_forward_policy(policy.read_text())
