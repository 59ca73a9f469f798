"""Every configuration file and command line of the cluster, as pure functions of a few facts.

The settings that look odd were each found necessary on machines without systemd, without cgroup v2
or without all of root's capabilities; the reason stands beside each.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.paths import Paths

NODE_NAME = "node1"
# On a bridge of its own: the kubelet refuses loopback as a node's address, and an address of the
# machine's own network would show the cluster to that network.
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

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """What the configuration depends on besides constants."""

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
        return f"https://{NODE_IP}:{API_PORT}"

    def component_kubeconfig(self, name: str) -> Path:
        """Return where a component's own kubeconfig is."""
        return self.paths.config / f"{name}.kubeconfig"


def kubeconfig(server: str, ca: bytes, certificate: bytes, key: bytes, context: str) -> str:
    """Return a kubeconfig that needs no other file."""

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
    """Return containerd's configuration, in the version that containerd 1.6 and 2 both read."""
    state = facts.paths.state / "containerd"
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    runc = f"{cri}.containerd.runtimes.runc"
    tables: dict[str, dict[str, str | int | bool | list[str]]] = {
        "": {
            "version": 2,
            "root": f"{state}/root",
            "state": f"{state}/state",
            # A negative score needs CAP_SYS_RESOURCE.
            "oom_score": 0,
            "disabled_plugins": [
                "io.containerd.internal.v1.opt",
                *(
                    f"io.containerd.snapshotter.v1.{name}"
                    for name in ("aufs", "btrfs", "zfs", "devmapper")
                ),
            ],
        },
        "grpc": {"address": str(facts.paths.containerd_socket)},
        "ttrpc": {"address": f"{facts.paths.containerd_socket}.ttrpc"},
        cri: {
            "sandbox_image": facts.pause_image,
            # Without it, and without CAP_SYS_RESOURCE, every sandbox fails in runc.
            "restrict_oom_score_adj": True,
            "stream_server_address": "127.0.0.1",
            "enable_unprivileged_ports": True,
            "enable_unprivileged_icmp": True,
            # So that `down` finds the network namespaces of our pods among those of others.
            "netns_mounts_under_state_dir": True,
        },
        f"{cri}.cni": {
            "bin_dir": str(facts.cni),
            "conf_dir": str(facts.paths.config / "cni"),
        },
        f"{cri}.containerd": {"snapshotter": "overlayfs", "default_runtime_name": "runc"},
        runc: {"runtime_type": "io.containerd.runc.v2"},
        f"{runc}.options": {"BinaryName": facts.runc, "SystemdCgroup": False},
        f"{cri}.registry": {"config_path": str(facts.paths.config / "certs.d")},
    }
    lines: list[str] = []
    for table, values in tables.items():
        lines += [f"[{table}]"] if table else []
        # A JSON string, number, boolean or list of strings is also one of TOML.
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def registry_hosts() -> str:
    """Return containerd's word that our registry speaks plain HTTP; it is on loopback only."""
    return (
        f'server = "http://{REGISTRY}"\n'
        f'[host."http://{REGISTRY}"]\n'
        'capabilities = ["pull", "resolve"]\n'
    )


def cni_config(facts: Facts) -> str:
    """Return the pod network: one bridge, addresses from a range on this host."""
    return json.dumps(
        {
            "cniVersion": "0.4.0",
            "name": CNI_NETWORK,
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": POD_BRIDGE,
                    "isGateway": True,
                    "ipMasq": True,
                    "hairpinMode": True,
                    "mtu": facts.mtu,
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": POD_SUBNET}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                        "dataDir": str(facts.paths.state / "cni"),
                    },
                },
                # dockerd sets the FORWARD policy to DROP: without this no pod reaches another.
                {"type": "firewall", "backend": "iptables"},
                {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
            ],
        },
        indent=2,
    )


def kubelet_config(facts: Facts) -> str:
    """Return the kubelet's configuration."""
    paths = facts.paths
    return yaml.safe_dump(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE_IP,
            "port": 10250,
            "readOnlyPort": 0,
            "healthzBindAddress": "127.0.0.1",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{paths.pki}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{paths.pki}/kubelet.crt",
            "tlsPrivateKeyFile": f"{paths.pki}/kubelet.key",
            "containerRuntimeEndpoint": f"unix://{paths.containerd_socket}",
            # There may be no systemd, and the kernel may have cgroup v1 only.
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "protectKernelDefaults": False,
            "oomScoreAdj": 0,
            "clusterDomain": "cluster.local",
            "clusterDNS": [DNS_IP],
            "resolvConf": f"{paths.config}/resolv.conf",
            "podLogsDir": f"{paths.state}/podlogs",
            "volumePluginDir": f"{paths.state}/volume-plugins",
            "enforceNodeAllocatable": ["pods"],
            # A machine's disk may be nearly full for reasons that are not ours.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
            },
            "maxPods": 250,
            "nodeStatusUpdateFrequency": "5s",
            "shutdownGracePeriod": "0s",
            # The default of 5 pulls a second makes a deploy's pods wait for each other.
            "serializeImagePulls": False,
            "registryPullQPS": 0,
        },
        sort_keys=False,
    )


def kube_proxy_config(facts: Facts) -> str:
    """Return kube-proxy's configuration."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            # nftables mode has no NodePorts on loopback.
            "mode": "iptables",
            "bindAddress": NODE_IP,
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "clusterCIDR": POD_SUBNET,
            "clientConnection": {"kubeconfig": str(facts.component_kubeconfig("kube-proxy"))},
            "hostnameOverride": NODE_NAME,
            "nodePortAddresses": ["127.0.0.0/8", f"{NODE_IP}/32"],
            # Zero keeps it from writing the machine's own conntrack settings.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "oomScoreAdj": 0,
        },
        sort_keys=False,
    )


def registry_config(paths: Paths) -> str:
    """Return the image registry's configuration."""
    return yaml.safe_dump(
        {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(paths.state / "registry")},
                "delete": {"enabled": True},
            },
            "http": {"addr": f"127.0.0.1:{REGISTRY_PORT}"},
        },
        sort_keys=False,
    )


def flags(values: Mapping[str, str | int | bool | Path]) -> list[str]:
    """Return a Go program's command line flags."""

    def text(value: str | int | bool | Path) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return [f"--{name}={text(value)}" for name, value in values.items()]


def etcd_command(facts: Facts) -> list[str]:
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
                # A power cut may cost this cluster its last seconds; a disk sync costs each write.
                "unsafe-no-fsync": True,
            }
        ),
    ]


def apiserver_command(facts: Facts) -> list[str]:
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
    config = facts.paths.config / "kube-proxy.yaml"
    return [f"{facts.binaries}/kube-proxy", *flags({"config": config})]


def provisioner_command(facts: Facts, binaries: Path) -> list[str]:
    """Return the volume provisioner's command: a daemon here rather than a pod with an image."""
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
    """Return the command of our own Docker, which shares nothing with another one."""
    return [
        dockerd,
        *flags(
            {
                "host": f"unix://{paths.docker_socket}",
                "data-root": paths.state / "docker",
                "exec-root": paths.state / "docker-exec",
                "pidfile": paths.run / "dockerd.pid",
                # A container's packets must fit the machine's way out.
                "mtu": mtu,
            }
        ),
    ]


def coredns(facts: Facts) -> list[Manifest]:
    """Return the cluster's DNS; names outside the cluster go to this machine's own servers."""
    forward = f"    forward . {' '.join(facts.nameservers)}\n" if facts.nameservers else ""
    corefile = (
        ".:53 {\n"
        "    errors\n"
        "    health\n"
        "    ready\n"
        "    kubernetes cluster.local in-addr.arpa ip6.arpa {\n"
        "        pods insecure\n"
        "    }\n"
        f"{forward}"
        "    cache 5\n"
        "    reload\n"
        "}\n"
    )
    meta = {"name": "coredns", "namespace": "kube-system"}
    labels = {"k8s-app": "kube-dns"}
    rbac = "rbac.authorization.k8s.io"
    ports = [("dns", "UDP"), ("dns-tcp", "TCP")]
    container = {
        "name": "coredns",
        "image": facts.coredns_image,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "50m", "memory": "70Mi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
        "ports": [{"containerPort": 53, "name": name, "protocol": kind} for name, kind in ports],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 10},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["endpoints", "services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
            ],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "system:coredns"},
            "subjects": [{"kind": "ServiceAccount"} | meta],
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"Corefile": corefile},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta | {"labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "serviceAccountName": "coredns",
                        "priorityClassName": "system-cluster-critical",
                        "dnsPolicy": "Default",
                        "containers": [container],
                        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {
                "clusterIP": DNS_IP,
                "selector": labels,
                "ports": [{"name": name, "port": 53, "protocol": kind} for name, kind in ports],
            },
        },
    ]


def storage(facts: Facts) -> list[Manifest]:
    """Return the default storage class; each volume is a directory below the state."""
    helper = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper-pod"},
        "spec": {
            "priorityClassName": "system-node-critical",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "helper-pod",
                    "image": facts.helper_image,
                    "imagePullPolicy": "IfNotPresent",
                }
            ],
        },
    }
    paths = {
        "nodePathMap": [
            {
                "node": "DEFAULT_PATH_FOR_NON_LISTED_NODES",
                "paths": [str(facts.paths.state / "volumes")],
            }
        ]
    }
    script = "#!/bin/sh\nset -eu\n"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STORAGE_NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "local-path-config", "namespace": STORAGE_NAMESPACE},
            "data": {
                "config.json": json.dumps(paths),
                "setup": f'{script}mkdir -m 0777 -p "$VOL_DIR"\n',
                "teardown": f'{script}rm -rf "$VOL_DIR"\n',
                "helperPod.yaml": yaml.safe_dump(helper, sort_keys=False),
            },
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "local-path",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "rancher.io/local-path",
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
        },
    ]


def files(facts: Facts) -> dict[Path, str]:
    """Return every configuration file that daemons read, with its content."""
    config = facts.paths.config
    return {
        config / "containerd.toml": containerd_config(facts),
        config / "certs.d" / REGISTRY / "hosts.toml": registry_hosts(),
        config / "cni" / "10-bridge.conflist": cni_config(facts),
        config / "kubelet.yaml": kubelet_config(facts),
        config / "kube-proxy.yaml": kube_proxy_config(facts),
        # What pods with `dnsPolicy: Default` see: CoreDNS, whose Corefile names its servers itself.
        config / "resolv.conf": "",
    }


def nameservers(resolv_conf: str) -> tuple[str, ...]:
    """Return the name servers of a resolv.conf that a pod can reach, so none on loopback."""
    servers = [
        fields[1]
        for fields in map(str.split, resolv_conf.splitlines())
        if len(fields) > 1 and fields[0] == "nameserver"
    ]
    return tuple(server for server in servers if not server.startswith("127.") and server != "::1")


def dump(manifests: Sequence[Manifest]) -> str:
    """Return manifests as one YAML stream."""
    return yaml.safe_dump_all(manifests, sort_keys=False)
