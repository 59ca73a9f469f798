"""Configuration files and command lines of the cluster's daemons, as pure functions of a few facts.

The files are in `configuration/`, with `${name}` as the place of a fact. Unusual settings were each found
necessary on machines without systemd, without cgroup v2 or without all capabilities of root. Their reason
stands beside them.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml

from local.paths import SOURCE, Paths

NODE_NAME = "node1"
# On a bridge of its own: the kubelet refuses loopback as a node's address, and an address of the machine's
# own network would expose the cluster to that network.
NODE_BRIDGE = "knode0"
NODE_IP = "10.250.0.1"
POD_BRIDGE = "kcni0"
POD_SUBNET = "10.244.0.0/24"
CNI_NETWORK = "astro-local"
SERVICE_SUBNET = "10.96.0.0/16"
SERVICE_IP = "10.96.0.1"
DNS_IP = "10.96.0.10"
API_PORT = 6443
ETCD_PORT = 23790
ETCD_PEER_PORT = 23800
REGISTRY_PORT = 5000
REGISTRY = f"localhost:{REGISTRY_PORT}"
CONTEXT = "astro-local"
STORAGE_NAMESPACE = "local-path-storage"

_FILES = SOURCE / "configuration"
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """Inputs of the configuration besides constants."""

    paths: Paths
    binaries: Path
    mtu: int
    nameservers: tuple[str, ...]
    pause_image: str
    coredns_image: str
    helper_image: str
    containerd: str = "containerd"
    runc: str = "runc"
    etcd: str = "etcd"
    cni: Path = Path("/usr/lib/cni")

    @property
    def api_url(self) -> str:
        """URL of the API server."""
        return f"https://{NODE_IP}:{API_PORT}"

    def component_kubeconfig(self, name: str) -> Path:
        """Return the path of a component's kubeconfig."""
        return self.paths.config / f"{name}.kubeconfig"


def kubeconfig(server: str, ca: bytes, certificate: bytes, key: bytes, context: str) -> str:
    """Return a kubeconfig without references to other files."""

    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": context,
                    "cluster": {"server": server, "certificate-authority-data": encoded(ca)},
                }
            ],
            "users": [
                {
                    "name": context,
                    "user": {
                        "client-certificate-data": encoded(certificate),
                        "client-key-data": encoded(key),
                    },
                }
            ],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
            "current-context": context,
        },
        sort_keys=False,
    )


def containerd_config(facts: Facts) -> str:
    """Return containerd's configuration."""
    return _without_comments(_filled("containerd.toml", facts))


def registry_hosts(facts: Facts) -> str:
    """Return containerd's settings for the local registry."""
    return _without_comments(_filled("registry-hosts.toml", facts))


def cni_config(facts: Facts) -> str:
    """Return the configuration of the pod network."""
    return json.dumps(yaml.safe_load(_filled("pod-network.yaml", facts)), indent=2)


def kubelet_config(facts: Facts) -> str:
    """Return the kubelet's configuration."""
    return _yaml(_filled("kubelet.yaml", facts))


def kube_proxy_config(facts: Facts) -> str:
    """Return kube-proxy's configuration."""
    return _yaml(_filled("kube-proxy.yaml", facts))


def registry_config(paths: Paths) -> str:
    """Return the image registry's configuration."""
    text = (_FILES / "registry.yaml").read_text()
    return _yaml(Template(text).substitute(state=paths.state, registry_port=REGISTRY_PORT))


def _filled(name: str, facts: Facts) -> str:
    """Return a file of `configuration/` with the facts filled in."""
    forward = f"forward . {' '.join(facts.nameservers)}" if facts.nameservers else ""
    return Template((_FILES / name).read_text()).substitute(
        state=facts.paths.state,
        config=facts.paths.config,
        pki=facts.paths.pki,
        containerd_socket=facts.paths.containerd_socket,
        mtu=facts.mtu,
        cni=facts.cni,
        runc=facts.runc,
        forward=forward,
        pause_image=facts.pause_image,
        coredns_image=facts.coredns_image,
        helper_image=facts.helper_image,
        node_name=NODE_NAME,
        node_ip=NODE_IP,
        pod_bridge=POD_BRIDGE,
        pod_subnet=POD_SUBNET,
        cni_network=CNI_NETWORK,
        dns_ip=DNS_IP,
        registry=REGISTRY,
        storage_namespace=STORAGE_NAMESPACE,
    )


def _yaml(text: str) -> str:
    return yaml.safe_dump(yaml.safe_load(text), sort_keys=False)


def _without_comments(text: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines() if line and not line.startswith("#"))


def flags(values: Mapping[str, str | int | bool | Path]) -> list[str]:
    """Return the command line flags of a Go program."""

    def text(value: str | int | bool | Path) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return [f"--{name}={text(value)}" for name, value in values.items()]


def etcd_command(facts: Facts) -> list[str]:
    """Return etcd's command."""
    client, peer = f"http://127.0.0.1:{ETCD_PORT}", f"http://127.0.0.1:{ETCD_PEER_PORT}"
    return [
        facts.etcd,
        *flags(
            {
                "name": "local",
                "data-dir": facts.paths.state / "etcd",
                "listen-client-urls": client,
                "advertise-client-urls": client,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": f"local={peer}",
                # Without disk syncs writes are faster. A power cut may lose the last seconds of this cluster.
                "unsafe-no-fsync": True,
            }
        ),
    ]


def apiserver_command(facts: Facts) -> list[str]:
    """Return the API server's command."""
    pki = facts.paths.pki
    return [
        f"{facts.binaries}/kube-apiserver",
        *flags(
            {
                "etcd-servers": f"http://127.0.0.1:{ETCD_PORT}",
                "bind-address": NODE_IP,
                "advertise-address": NODE_IP,
                "secure-port": API_PORT,
                "tls-cert-file": pki / "apiserver.crt",
                "tls-private-key-file": pki / "apiserver.key",
                "client-ca-file": pki / "ca.crt",
                "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
                "kubelet-client-key": pki / "apiserver-kubelet-client.key",
                "kubelet-certificate-authority": pki / "ca.crt",
                "kubelet-preferred-address-types": "InternalIP",
                "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
                "service-account-key-file": pki / "sa.pub",
                "service-account-signing-key-file": pki / "sa.key",
                "service-cluster-ip-range": SERVICE_SUBNET,
                "authorization-mode": "Node,RBAC",
                "enable-admission-plugins": "NodeRestriction",
                "allow-privileged": True,
                "profiling": False,
                "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
                "requestheader-allowed-names": "front-proxy-client",
                "requestheader-username-headers": "X-Remote-User",
                "requestheader-group-headers": "X-Remote-Group",
                "requestheader-extra-headers-prefix": "X-Remote-Extra-",
                "proxy-client-cert-file": pki / "front-proxy-client.crt",
                "proxy-client-key-file": pki / "front-proxy-client.key",
            }
        ),
    ]


def controller_manager_command(facts: Facts) -> list[str]:
    """Return the controller manager's command."""
    pki, own = facts.paths.pki, facts.component_kubeconfig("kube-controller-manager")
    return [
        f"{facts.binaries}/kube-controller-manager",
        *flags(
            {
                "kubeconfig": own,
                "authentication-kubeconfig": own,
                "authorization-kubeconfig": own,
                "bind-address": "127.0.0.1",
                "root-ca-file": pki / "ca.crt",
                "client-ca-file": pki / "ca.crt",
                "service-account-private-key-file": pki / "sa.key",
                "use-service-account-credentials": True,
                "cluster-signing-cert-file": pki / "ca.crt",
                "cluster-signing-key-file": pki / "ca.key",
                "leader-elect": False,
                # host-local hands out pod addresses, so nodes need no range of their own.
                "controllers": "*,-node-ipam-controller",
                "flex-volume-plugin-dir": facts.paths.state / "volume-plugins",
            }
        ),
    ]


def scheduler_command(facts: Facts) -> list[str]:
    """Return the scheduler's command."""
    own = facts.component_kubeconfig("kube-scheduler")
    return [
        f"{facts.binaries}/kube-scheduler",
        *flags(
            {
                "kubeconfig": own,
                "authentication-kubeconfig": own,
                "authorization-kubeconfig": own,
                "bind-address": "127.0.0.1",
                "leader-elect": False,
            }
        ),
    ]


def kubelet_command(facts: Facts) -> list[str]:
    """Return the kubelet's command."""
    return [
        f"{facts.binaries}/kubelet",
        *flags(
            {
                "config": facts.paths.config / "kubelet.yaml",
                "kubeconfig": facts.component_kubeconfig("kubelet"),
                "root-dir": facts.paths.state / "kubelet",
                "cert-dir": facts.paths.state / "kubelet" / "pki",
                "hostname-override": NODE_NAME,
                "node-ip": NODE_IP,
            }
        ),
    ]


def kube_proxy_command(facts: Facts) -> list[str]:
    """Return kube-proxy's command."""
    config = facts.paths.config / "kube-proxy.yaml"
    return [f"{facts.binaries}/kube-proxy", *flags({"config": config})]


def provisioner_command(facts: Facts, binaries: Path) -> list[str]:
    """Return the volume provisioner's command: a daemon on the machine instead of a pod with an image."""
    return [
        f"{binaries}/local-path-provisioner",
        "start",
        *flags(
            {
                "kubeconfig": facts.paths.kubeconfig,
                "namespace": STORAGE_NAMESPACE,
                "helper-image": facts.helper_image,
                "service-account-name": "default",
            }
        ),
    ]


def dockerd_command(paths: Paths, dockerd: str, mtu: int) -> list[str]:
    """Return the command of the platform's Docker, which shares nothing with another Docker."""
    return [
        dockerd,
        *flags(
            {
                "host": f"unix://{paths.docker_socket}",
                "data-root": paths.state / "docker",
                "exec-root": paths.state / "docker-exec",
                "pidfile": paths.run / "dockerd.pid",
                # The MTU must not exceed that of the machine's default route.
                "mtu": mtu,
            }
        ),
    ]


def coredns(facts: Facts) -> list[Manifest]:
    """Return the manifests of the cluster's DNS."""
    manifests = list(yaml.safe_load_all(_filled("coredns.yaml", facts)))
    (settings,) = (one for one in manifests if one["kind"] == "ConfigMap")
    lines = settings["data"]["Corefile"].splitlines()
    settings["data"]["Corefile"] = "".join(f"{line}\n" for line in lines if line.strip())
    return manifests


def storage(facts: Facts) -> list[Manifest]:
    """Return the manifests of the default storage class."""
    return list(yaml.safe_load_all(_filled("storage.yaml", facts)))


def files(facts: Facts) -> dict[Path, str]:
    """Return every configuration file of the daemons with its content."""
    config = facts.paths.config
    return {
        config / "containerd.toml": containerd_config(facts),
        config / "certs.d" / REGISTRY / "hosts.toml": registry_hosts(facts),
        config / "cni" / "10-bridge.conflist": cni_config(facts),
        config / "kubelet.yaml": kubelet_config(facts),
        config / "kube-proxy.yaml": kube_proxy_config(facts),
        # For pods with `dnsPolicy: Default`, such as CoreDNS, whose Corefile names its servers itself.
        config / "resolv.conf": "",
    }


def nameservers(resolv_conf: str) -> tuple[str, ...]:
    """Return the name servers of a resolv.conf that a pod can reach, without those on loopback."""
    servers = [
        fields[1]
        for fields in map(str.split, resolv_conf.splitlines())
        if len(fields) > 1 and fields[0] == "nameserver"
    ]
    return tuple(server for server in servers if not server.startswith("127.") and server != "::1")


def dump(manifests: Sequence[Manifest]) -> str:
    """Return manifests as one YAML stream."""
    return yaml.safe_dump_all(manifests, sort_keys=False)
