"""Bridges, and the packet filter rules that Kubernetes, CNI and Docker leave behind."""

import json
import re
import socket
from pathlib import Path

from local import commands, config, packages

DEFAULT_MTU = 1500
# Chains of kube-proxy, of the CNI plugins and of Docker; and our bridges, which rules name.
KUBERNETES_RULES = r"KUBE-|CNI-|\bkcni0\b|\bknode0\b"
DOCKER_RULES = r"DOCKER|\bdocker0\b"


def default_mtu() -> int:
    """Return the packet size of the machine's way out; clouds and VPNs have less than 1500."""
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
    """Make the bridge whose address is the node's."""
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
    """Return whether something listens on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def forward_policy() -> str:
    """Return what happens to forwarded packets that no rule names; dockerd changes it."""
    rules = commands.capture(
        [packages.program("iptables"), "-S", "FORWARD"], what="read the packet filter"
    )
    return rules.split()[2]


def set_forward_policy(policy: str) -> None:
    """Put back what `forward_policy` returned before our dockerd started."""
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
    """Remove the rules that this platform's daemons made; all others stay as they are."""
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
