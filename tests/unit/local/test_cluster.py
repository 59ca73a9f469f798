"""What is taken for ready, what is taken for ours, and which rules are removed."""

import datetime
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local import cluster, network, processes

NOON = datetime.datetime(2026, 1, 1, 12, 0, 0, 500_000, tzinfo=datetime.UTC)


def node(status: str, heartbeat: str) -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat}
    return {"status": {"conditions": [{"type": "DiskPressure", "status": "False"}, condition]}}


class TestNodeReady:
    def test_without_an_answer_is_false(self) -> None:
        assert not cluster.node_ready({}, None)

    def test_follows_the_condition(self) -> None:
        assert cluster.node_ready(node("True", "2026-01-01T12:00:00Z"), None)
        assert not cluster.node_ready(node("False", "2026-01-01T12:00:00Z"), None)

    def test_a_report_from_before_the_restart_does_not_count(self) -> None:
        assert not cluster.node_ready(node("True", "2026-01-01T11:59:59Z"), NOON)

    def test_a_report_within_the_second_of_the_restart_counts(self) -> None:
        assert cluster.node_ready(node("True", "2026-01-01T12:00:00Z"), NOON)


class TestAvailable:
    def deployment(self, **status: int) -> dict[str, Any]:
        return {"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}

    def test_needs_the_newest_generation(self) -> None:
        ready = {"updatedReplicas": 1, "availableReplicas": 1}
        assert cluster.available(self.deployment(observedGeneration=2, **ready))
        assert not cluster.available(self.deployment(observedGeneration=1, **ready))

    def test_needs_every_replica(self) -> None:
        assert not cluster.available(
            self.deployment(observedGeneration=2, updatedReplicas=1, availableReplicas=0)
        )


class TestShims:
    SOCKET = Path("/state/containerd/containerd.sock")

    def arguments(self, socket: str) -> list[str]:
        return ["/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-address", socket, ""]

    def test_of_our_containerd_are_ours(self) -> None:
        assert processes.is_shim(self.arguments(str(self.SOCKET)), self.SOCKET)

    @pytest.mark.parametrize(
        "arguments",
        [
            ["/usr/bin/containerd-shim-runc-v2", "-address", "/run/containerd/containerd.sock"],
            ["grep", "-address", "/state/containerd/containerd.sock"],
            [""],
        ],
    )
    def test_others_are_not(self, arguments: list[str]) -> None:
        assert not processes.is_shim(arguments, self.SOCKET)


class TestPacketFilter:
    RULES = (
        "*nat\n"
        ":PREROUTING ACCEPT [1:2]\n"
        ":DOCKER - [0:0]\n"
        ":KUBE-SERVICES - [0:0]\n"
        ":ADMIN - [0:0]\n"
        '[0:0] -A PREROUTING -m comment --comment "kubernetes" -j KUBE-SERVICES\n'
        "[0:0] -A PREROUTING -j DOCKER\n"
        "[0:0] -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n"
        "[5:6] -A ADMIN -s 192.0.2.1/32 -j ACCEPT\n"
        "COMMIT\n"
    )

    def test_kubernetes_rules_go_and_all_others_stay(self) -> None:
        kept = network.without(self.RULES, network.KUBERNETES_RULES)
        assert "KUBE-" not in kept
        assert "-A PREROUTING -j DOCKER\n" in kept
        assert "[5:6] -A ADMIN" in kept
        assert kept.endswith("COMMIT\n")

    def test_dockers_rules_go_when_docker_was_ours(self) -> None:
        pattern = f"{network.KUBERNETES_RULES}|{network.DOCKER_RULES}"
        kept = network.without(self.RULES, pattern)
        assert "docker0" not in kept
        assert ":DOCKER" not in kept
        assert ":PREROUTING ACCEPT [1:2]" in kept
        assert ":ADMIN" in kept


def test_descendants_are_found_at_any_depth() -> None:
    code = (
        "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); "
        "print(p.pid, flush=True); sys.stdin.read(); p.kill()"
    )
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())
        assert grandchild in processes.descendants(process.pid)
        processes.kill_all(processes.descendants(process.pid))
        assert not Path(f"/proc/{grandchild}").exists()
