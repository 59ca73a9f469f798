"""The single-node Kubernetes: its daemons in their order, and the manifests that are applied to it."""

import datetime
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from astro_pulumi.cli.kubernetes_client import Cluster as Client
from astro_pulumi.errors import ClusterError
from local import cancellation, commands, config, network, packages, pki, probes, processes
from local.config import Facts
from local.daemons import Daemon, Daemons
from local.errors import DaemonError
from local.keys import content_key
from local.paths import Paths
from local.progress import Reporter

READY_TIMEOUT_SECONDS = 120.0


class Cluster:
    """A cluster, made of the daemons below a state directory."""

    def __init__(self, facts: Facts, daemons: Daemons, provisioner: Path) -> None:
        """Take the facts, the daemons and the directory of the volume provisioner."""
        self._facts = facts
        self._paths = facts.paths
        self._daemons = daemons
        self._provisioner = provisioner

    def prepare(self) -> None:
        """Write certificates and configuration, which needs only Python."""
        paths = self._paths
        leaves = pki.leaves(config.NODE_NAME, config.NODE_IP, config.SERVICE_IP)
        pki.create(paths.pki, leaves)
        for path, text in config.files(self._facts).items():
            write(path, text)
        components = ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")
        for name in components:
            write(self._facts.component_kubeconfig(name), self._kubeconfig(name, "local"))
        write(paths.kubeconfig, self._kubeconfig("admin", config.CONTEXT))

    def _kubeconfig(self, name: str, context: str) -> str:
        directory = self._paths.pki
        return config.kubeconfig(
            self._facts.api_url,
            (directory / "ca.crt").read_bytes(),
            (directory / f"{name}.crt").read_bytes(),
            (directory / f"{name}.key").read_bytes(),
            context,
        )

    def start_runtime(self, reporter: Reporter) -> None:
        """Start the daemons that need no Kubernetes program, while those are still being built."""
        network.create_node_bridge()
        self._start((self._etcd(), self._containerd()), "Start etcd and containerd", reporter)

    def start(self, reporter: Reporter) -> None:
        """Start Kubernetes, and return when its node is ready."""
        self._start((self._apiserver(),), "Start the API server", reporter)
        started = self._start(self._after_api(), "Start the other daemons", reporter)
        with reporter.phase("Wait for the node", quiet=True) as phase:
            phase.note(f"node {config.NODE_NAME} is not Ready")
            since = datetime.datetime.now(datetime.UTC) if "kubelet" in started else None
            node = self._reader("nodes", config.NODE_NAME)
            self._until(lambda: node_ready(node(), since), "the node is not Ready")

    def apply(self, reporter: Reporter) -> None:
        """Apply DNS and the storage class, unless the same manifests were applied before."""
        manifests = config.dump([*config.storage(self._facts), *config.coredns(self._facts)])
        applied = self._paths.state / "applied"
        key = content_key(manifests)
        with reporter.phase("Apply DNS and storage", quiet=True) as phase:
            if not applied.exists() or applied.read_text() != key:
                self._kubectl(
                    "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifests
                )
                applied.write_text(key)
            phase.note("CoreDNS is not ready")
            coredns = self._reader("apps/deployments", "coredns", "kube-system")
            self._until(lambda: available(coredns()), "CoreDNS is not ready")

    def start_storage(self, reporter: Reporter) -> None:
        """Start the volume provisioner, which reads its configuration from the applied manifests once."""
        self._start((self._provision(),), "Start the volume provisioner", reporter)

    def _kubectl(self, *arguments: str, stdin: str = "") -> str:
        return commands.capture(
            [
                self._facts.binaries / "kubectl",
                f"--kubeconfig={self._paths.kubeconfig}",
                *arguments,
            ],
            what=f"run kubectl {arguments[0]}",
            stdin=stdin,
        )

    def _reader(
        self, resource: str, name: str, namespace: str | None = None
    ) -> Callable[[], dict[str, Any]]:
        """Return a function that reads an object: empty without the object or while the API server starts."""
        client = Client.connect(str(self._paths.kubeconfig))

        def read() -> dict[str, Any]:
            try:
                return client.get(resource, name, namespace) or {}
            except ClusterError:
                return {}

        return read

    def _start(self, wanted: Sequence[Daemon], title: str, reporter: Reporter) -> list[str]:
        with reporter.phase(title, quiet=True) as phase:
            started = [daemon.name for daemon in wanted if self._daemons.start(daemon)]
            for daemon in wanted:
                self._daemons.wait(daemon, phase)
        return started

    def _until(self, condition: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while not condition():
            cancellation.check()
            if time.monotonic() > deadline:
                raise DaemonError(
                    f"After {READY_TIMEOUT_SECONDS:.0f} s {problem}.",
                    to_do=f"Look at {self._paths.logs}/kubelet.log.",
                )
            time.sleep(0.1)

    def _etcd(self) -> Daemon:
        return Daemon(
            "etcd",
            config.etcd_command(self._facts),
            probes.http_ok(config.ETCD_PORT, "/health"),
        )

    def _containerd(self) -> Daemon:
        file = self._paths.config / "containerd.toml"
        return Daemon(
            "containerd",
            [self._facts.containerd, "--config", str(file)],
            probes.accepts(self._paths.containerd_socket),
            config_files=[file],
        )

    def _apiserver(self) -> Daemon:
        return Daemon(
            "kube-apiserver",
            config.apiserver_command(self._facts),
            probes.apiserver_ready(config.NODE_IP, config.API_PORT, self._paths.pki),
        )

    def _after_api(self) -> list[Daemon]:
        facts, conf = self._facts, self._paths.config
        return [
            Daemon(
                "kube-controller-manager",
                config.controller_manager_command(facts),
                probes.https_ok(10257, "/healthz"),
            ),
            Daemon(
                "kube-scheduler",
                config.scheduler_command(facts),
                probes.https_ok(10259, "/healthz"),
            ),
            Daemon(
                "kubelet",
                config.kubelet_command(facts),
                probes.http_ok(10248, "/healthz"),
                config_files=[conf / "kubelet.yaml"],
            ),
            Daemon(
                "kube-proxy",
                config.kube_proxy_command(facts),
                probes.http_ok(10256, "/livez"),
                config_files=[conf / "kube-proxy.yaml"],
            ),
        ]

    def _provision(self) -> Daemon:
        # It has no endpoint for a probe. Its log shows a volume that never binds.
        command = config.provisioner_command(self._facts, self._provisioner)
        return Daemon("local-path-provisioner", command, lambda: True)


def pull(image: str, paths: Paths, reporter: Reporter) -> None:
    """Pull an image to the node, so that the first pod does not wait for it."""
    with reporter.phase(f"Pull {image} to the node", quiet=True):
        commands.capture(
            [
                packages.program("ctr"),
                "--address",
                paths.containerd_socket,
                "--namespace",
                "k8s.io",
                "images",
                "pull",
                "--hosts-dir",
                paths.config / "certs.d",
                image,
            ],
            what=f"pull {image} to the node",
        )


def write(path: Path, text: str) -> None:
    """Write a configuration file, readable by root alone since it may contain a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pki.write_private(path, text.encode())


def node_ready(node: dict[str, Any], since: datetime.datetime | None) -> bool:
    """Return whether a node is Ready, by a report that is not older than its kubelet.

    After a restart the condition still says Ready until the kubelet reports again.
    """
    for condition in node.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] == "True":
            heartbeat = datetime.datetime.fromisoformat(condition["lastHeartbeatTime"])
            return since is None or heartbeat >= since.replace(microsecond=0)
    return False


def available(deployment: dict[str, Any]) -> bool:
    """Return whether every replica of a Deployment of apps/v1 is available."""
    status = deployment.get("status", {})
    wanted = deployment.get("spec", {}).get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment.get("metadata", {}).get("generation", 1)
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("availableReplicas", 0) >= wanted
    )


def remove_pods(paths: Paths) -> None:
    """End every pod of this cluster, whether its daemons run or not.

    Each pod runs below a shim that outlives containerd. Shims are found by the socket of this platform's
    containerd in their arguments.
    """
    own = processes.shims(paths.containerd_socket)
    processes.kill_all([pid for shim in own for pid in processes.descendants(shim)])
    processes.kill_all(own)
    tasks = paths.state / "containerd" / "state" / "io.containerd.runtime.v2.task"
    for address in tasks.glob("*/*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)


def remove_traces(paths: Paths) -> None:
    """Remove files of the kubelet and the CNI plugins outside of the state directory."""
    processes.remove_cgroups("kubepods*")
    sandboxes = paths.state / "containerd" / "root" / "io.containerd.grpc.v1.cri" / "sandboxes"
    results = Path("/var/lib/cni/results")
    for pattern in (
        f"{config.CNI_NETWORK}-*",
        *(f"cni-loopback-{sandbox.name}-*" for sandbox in sandboxes.glob("*")),
    ):
        for result in results.glob(pattern):
            result.unlink()
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(paths.state):
            link.unlink()
    for bridge in (config.POD_BRIDGE, config.NODE_BRIDGE):
        network.remove_bridge(bridge)
