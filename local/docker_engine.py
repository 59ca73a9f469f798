"""The Docker that builds images: the one that is there, else one of our own."""

import os
from pathlib import Path

from local import config, network, packages, probes
from local.daemons import Daemon, Daemons
from local.paths import Paths
from local.progress import Reporter

DEFAULT_SOCKET = Path("/var/run/docker.sock")


def existing(paths: Paths) -> str | None:
    """Return the address of a Docker daemon that is not ours, if one can be reached."""
    address = os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}"
    if address == own(paths):
        return None
    if not address.startswith("unix://"):
        return address  # chosen explicitly: whoever set it wants to hear if it does not answer
    socket = Path(address.removeprefix("unix://"))
    return address if probes.unix_ok(socket, "/_ping")() else None


def own(paths: Paths) -> str:
    """Return the address of our own Docker daemon, whether it runs or not."""
    return f"unix://{paths.docker_socket}"


def start(paths: Paths, daemons: Daemons, mtu: int, reporter: Reporter) -> None:
    """Start our own Docker daemon unless it runs."""
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
    """Undo what our own Docker daemon did to the machine's network."""
    policy = paths.run / "forward-policy"
    if policy.exists():
        network.remove_bridge("docker0")
        network.set_forward_policy(policy.read_text())
