"""Bridges, and the packet filter rules of Kubernetes, CNI and Docker."""

import json
import re
import socket
from pathlib import Path

from local import commands, config, packages

DEFAULT_MTU = 1500
# Chains of kube-proxy, of the CNI plugins and of Docker, and the platform's bridges in rules.
KUBERNETES_RULES = r"KUBE-|CNI-|\bkcni0\b|\bknode0\b"
DOCKER_RULES = r"DOCKER|\bdocker0\b"


def default_mtu() -> int:
    """Return the MTU of the machine's default route. Clouds and VPNs have less than 1500."""
    found = json.loads(
        commands.capture(
            [packages.program("ip"), "-json", "route", "show", "default"],
            what="read the routes",
        )
        or "[]"
    )
    if not found:
        return DEFAULT_MTU
    return int(Path(f"/sys/class/net/{found[0]['dev']}/mtu").read_text())


def create_node_bridge() -> None:
    """Create the bridge with the node's address."""
    if not exists(config.NODE_BRIDGE):
        _ip("link", "add", config.NODE_BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{config.NODE_IP}/24", "dev", config.NODE_BRIDGE)
    _ip("link", "set", config.NODE_BRIDGE, "up")


def exists(interface: str) -> bool:
    """Return whether a network interface exists."""
    return Path(f"/sys/class/net/{interface}").exists()


def remove_bridge(name: str) -> None:
    """Remove a bridge if it exists."""
    if exists(name):
        _ip("link", "delete", name)


def in_use(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a process listens on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def forward_policy() -> str:
    """Return the policy for forwarded packets without a rule, which dockerd changes."""
    rules = commands.capture(
        [packages.program("iptables"), "-S", "FORWARD"], what="read the packet filter"
    )
    return rules.split()[2]


def set_forward_policy(policy: str) -> None:
    """Restore the policy from before the start of the platform's dockerd."""
    commands.capture(
        [packages.program("iptables"), "-P", "FORWARD", policy], what="set the FORWARD policy"
    )


def without(rules: str, pattern: str) -> str:
    """Return the output of iptables-save without the chains and rules that match a pattern."""
    return "".join(
        line
        for line in rules.splitlines(keepends=True)
        if not (line[0] in ":[-" and re.search(pattern, line))
    )


def remove_rules(*, docker: bool) -> None:
    """Remove the rules of this platform's daemons, and no others."""
    pattern = f"{KUBERNETES_RULES}|{DOCKER_RULES}" if docker else KUBERNETES_RULES
    for family in ("iptables", "ip6tables"):
        save = packages.program(f"{family}-save")
        rules = commands.capture([save, "-c"], what="read the packet filter")
        kept = without(rules, pattern)
        if kept != rules:
            restore = packages.program(f"{family}-restore")
            commands.capture([restore, "-c"], what="clean the packet filter", stdin=kept)


def _ip(*arguments: str) -> None:
    commands.capture([packages.program("ip"), *arguments], what="set up a bridge")
