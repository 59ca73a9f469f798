"""NetworkPolicies as real connections: every pair of pods, where the cluster's network enforces policies.

Stand-ins carry the labels of a Deployment's pods and listen at their ports, so no Airflow need run. The
table of what is allowed is that of the unit test.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from astro_pulumi.kubernetes.network_policies import network_policies
from local.platform import Platform
from tests.cluster.kube import Kube, Object, is_ready, wait_until
from tests.specs import spec
from tests.unit.kubernetes.test_network_policies import ALLOWED_2, ALLOWED_3, PORTS, labels_of

CLOSED_PORT = 1
# Seconds. The network needs some to put policies into force, and pods on a busy machine to answer.
SETTLED_SECONDS = 60.0
# Seconds until the tests conclude that the network enforces no policies: there, they always wait that long.
ENFORCED_SECONDS = 15.0
LISTEN = """
import socketserver
class Server(socketserver.ThreadingTCPServer): allow_reuse_address = True
servers = [Server(("", port), socketserver.BaseRequestHandler) for port in {ports}]
import threading
for server in servers: threading.Thread(target=server.serve_forever).start()
"""
CONNECT = """
import concurrent.futures, json, socket, sys
def reached(target):
    try: socket.create_connection(target, timeout=10).close()
    except OSError: return False
    return True
targets = [tuple(target) for target in json.loads(sys.argv[1])]
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(reached, targets))))
"""
DENY_ALL: Object = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny-all"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}
Matrix = dict[str, set[str]]
EVERYTHING: Matrix = {target: set(PORTS) - {target} for target in PORTS}


@dataclass(frozen=True)
class StandIns:
    """One pod for each kind of pod of a Deployment, and one stranger."""

    kube: Kube
    namespace: str

    def pods(self) -> dict[str, Object]:
        return {pod["metadata"]["name"]: pod for pod in self.kube.all_pods(self.namespace)}

    def reached(self, ports: dict[str, int]) -> Matrix:
        """Who reaches which pod, at the port that is given for it."""
        pods = self.pods()
        found: Matrix = {target: set() for target in ports}
        for source, pod in pods.items():
            targets = [name for name in ports if name != source]
            addresses = [[pods[name]["status"]["podIP"], ports[name]] for name in targets]
            said = self.kube.execute(pod, "python3", "-c", CONNECT, json.dumps(addresses))
            for target, reached in zip(targets, json.loads(said), strict=True):
                if reached:
                    found[target].add(source)
        return found

    def settled(self, expected: Matrix, seconds: float = SETTLED_SECONDS) -> Matrix:
        """What is reached, at the latest after some seconds."""
        deadline = time.monotonic() + seconds
        while (found := self.reached(PORTS)) != expected and time.monotonic() < deadline:
            time.sleep(1)
        return found


@pytest.fixture(scope="module")
def stand_ins(kube: Kube, platform: Platform) -> Iterator[StandIns]:
    with kube.temporary_namespace("network") as namespace:
        for name in PORTS:
            kube.create(stand_in(name, platform.runtime_image), namespace)
        stand_ins = StandIns(kube, namespace)
        wait_until(
            "the stand-ins run",
            lambda: all(map(is_ready, stand_ins.pods().values())),
            seconds=300,
        )
        yield stand_ins


@pytest.fixture(scope="module")
def enforced(stand_ins: StandIns) -> None:
    """Skips where a policy that denies everything denies nothing."""
    kube, namespace = stand_ins.kube, stand_ins.namespace
    kube.create(DENY_ALL, namespace)
    try:
        found = stand_ins.settled({target: set() for target in PORTS}, ENFORCED_SECONDS)
    finally:
        kube.delete("NetworkPolicy", DENY_ALL["metadata"]["name"], namespace)
    if made := sum(map(len, found.values())):
        pytest.skip(
            "this cluster's network enforces no NetworkPolicy: with one that denies everything "
            f"{made} of {sum(map(len, EVERYTHING.values()))} connections were made"
        )


def test_without_policies_everyone_reaches_everyone_where_someone_listens(
    stand_ins: StandIns,
) -> None:
    assert stand_ins.settled(EVERYTHING) == EVERYTHING
    closed = stand_ins.reached(dict.fromkeys(PORTS, CLOSED_PORT))
    assert closed == {target: set() for target in PORTS}


@pytest.mark.parametrize(("version", "allowed"), [("2.11", ALLOWED_2), ("3.3", ALLOWED_3)])
def test_connections_are_those_of_the_matrix(
    stand_ins: StandIns, enforced: None, version: str, allowed: Matrix
) -> None:
    kube, namespace = stand_ins.kube, stand_ins.namespace
    policies = network_policies(spec(airflow_version=version, dag_processor={}))
    try:
        for policy in policies.values():
            kube.create(policy, namespace)
        assert stand_ins.settled(allowed) == allowed
    finally:
        for policy in policies.values():
            kube.delete("NetworkPolicy", policy["metadata"]["name"], namespace)


def stand_in(name: str, image: str) -> Object:
    """A pod that listens at every port of the matrix, with the labels of the kind of pod it stands for."""
    script = LISTEN.format(ports=sorted(set(PORTS.values())))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels_of(spec(), name)},
        "spec": {
            "containers": [
                {
                    "name": "stand-in",
                    "image": image,
                    "args": ["python3", "-c", script],
                    "resources": {"requests": {"cpu": "25m"}},
                    "readinessProbe": {
                        "tcpSocket": {"port": PORTS["stranger"]},
                        "periodSeconds": 1,
                    },
                }
            ],
            "securityContext": {
                "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
            },
            "terminationGracePeriodSeconds": 0,
        },
    }
