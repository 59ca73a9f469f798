"""NetworkPolicies: one for each kind of pod, built from one list of allowed connections.

Probes need no rule: a policy never blocks the kubelet of the pod's own node.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import pulumi

from astro_pulumi.airflow.environment_variables import PROXIES
from astro_pulumi.airflow.ports import (
    METRICS_PORT,
    PGBOUNCER_PORT,
    POSTGRESQL_PORT,
    REDIS_PORT,
    STATSD_PORT,
    WEBSERVER_PORT,
)
from astro_pulumi.airflow.version_differences import Process
from astro_pulumi.args.embedded_or_external import EmbeddedService, ExternalService
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.labels import Manifest, labels, selector
from astro_pulumi.naming import (
    PGBOUNCER,
    POSTGRESQL,
    REDIS,
    RELEASE_JOB,
    ROLLOUT,
    STATSD,
    WEBSERVER,
    object_name,
)
from astro_pulumi.pulumi_inputs import computed, has_output

Port = tuple[int, str]  # number and protocol

# A policy sees the port of the pod, not of its Service: the DNS pods of OpenShift listen on 5353.
_DNS: Final = (53, 5353)
_PAST_PGBOUNCER: Final = {"migration", "metadata-async"}  # groups of secrets
# KEDA's operator, which counts the tasks, has this label in its Helm chart and in its manifests.
_KEDA: Final = {
    "namespaceSelector": {},
    "podSelector": {"matchLabels": {"app": "keda-operator"}},
}
_DEFAULT_PORTS: Final = {
    "http": 80,
    "https": 443,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
}
_URL = re.compile(r"""([a-z][a-z0-9.-]*)(?:\+\w+)?://([^/\s"'?#,]*)""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Connection:
    """An allowed connection from the component `source` to `port` of the component `target`."""

    source: str
    target: str
    port: int
    protocol: str = "TCP"


def connections(spec: DeploymentSpec) -> list[Connection]:
    """Return every allowed connection between pods of the Deployment."""
    allowed = []
    for client, process in _clients(spec).items():
        if spec.pgbouncer and _reads_database(process) and client != RELEASE_JOB:
            allowed.append(Connection(client, PGBOUNCER, PGBOUNCER_PORT))
        if _reaches_database(spec, process) and isinstance(spec.database, EmbeddedService):
            allowed.append(Connection(client, POSTGRESQL, POSTGRESQL_PORT))
        if "broker" in process.reads and isinstance(spec.broker, EmbeddedService):
            allowed.append(Connection(client, REDIS, REDIS_PORT))
        if process.calls_webserver:
            allowed.append(Connection(client, WEBSERVER, WEBSERVER_PORT))
        if spec.metrics.exporter_image is not None:
            allowed.append(Connection(client, STATSD, STATSD_PORT, "UDP"))
        if "logs" in process.ports:  # the webserver shows the logs of running tasks
            allowed.append(Connection(WEBSERVER, client, process.ports["logs"]))
    if spec.pgbouncer and isinstance(spec.database, EmbeddedService):
        allowed.append(Connection(PGBOUNCER, POSTGRESQL, POSTGRESQL_PORT))
    return allowed


def network_policies(spec: DeploymentSpec) -> dict[str, Manifest]:
    """Build the NetworkPolicies by component; none if they are disabled."""
    if not spec.network_policies.enabled:
        return {}
    clients = _clients(spec)
    components = [
        *clients,
        ROLLOUT,
        *([PGBOUNCER] if spec.pgbouncer else []),
        *([POSTGRESQL] if isinstance(spec.database, EmbeddedService) else []),
        *([REDIS] if isinstance(spec.broker, EmbeddedService) else []),
        *([STATSD] if spec.metrics.exporter_image is not None else []),
    ]
    return {
        component: _policy(
            spec,
            component,
            ingress=[*_from_pods(spec, component), *_from_outside(spec, component)],
            egress=_to(spec, component, clients.get(component)),
        )
        for component in components
    }


def _clients(spec: DeploymentSpec) -> dict[str, Process]:
    """Return every workload that runs Airflow, by component."""
    processes = (*spec.processes, spec.facts.worker, spec.facts.release_job)
    return {process.component: process for process in processes}


def _reads_database(process: Process) -> bool:
    return "metadata" in process.reads


def _reaches_database(spec: DeploymentSpec, process: Process) -> bool:
    """Return whether a process connects to the database directly, not only through PgBouncer."""
    if spec.pgbouncer is None:
        return _reads_database(process)
    return not _PAST_PGBOUNCER.isdisjoint(process.reads)


def _from_pods(spec: DeploymentSpec, component: str) -> list[Manifest]:
    ports: dict[tuple[int, str], list[str]] = {}
    for allowed in connections(spec):
        if allowed.target == component:
            ports.setdefault((allowed.port, allowed.protocol), []).append(allowed.source)
    return [
        {
            "from": [{"podSelector": _pods(spec, source)} for source in sources],
            "ports": [{"port": port, "protocol": protocol}],
        }
        for (port, protocol), sources in ports.items()
    ]


def _from_outside(spec: DeploymentSpec, component: str) -> list[Manifest]:
    if component == WEBSERVER:
        who = spec.network_policies.webserver_from
        port = {"port": WEBSERVER_PORT, "protocol": "TCP"}
        return [{**({} if who is None else {"from": list(who)}), "ports": [port]}]
    if component == STATSD:
        return [{"ports": [{"port": METRICS_PORT, "protocol": "TCP"}]}]
    if component == POSTGRESQL and spec.keda_counts_tasks:
        port = {"port": POSTGRESQL_PORT, "protocol": "TCP"}
        return [{"from": [_KEDA], "ports": [port]}]
    return []


def _to(spec: DeploymentSpec, component: str, process: Process | None) -> list[Manifest]:
    if component == ROLLOUT:
        # The Kubernetes API, whose address and port differ between clusters.
        return [{}]
    if process is None and component != PGBOUNCER:
        return []  # PostgreSQL, Redis and the exporter answer, they never call
    if process and process.runs_dag_code:
        return [{}]
    rules = [
        {
            "to": [{"podSelector": _pods(spec, allowed.target)}],
            "ports": [{"port": allowed.port, "protocol": allowed.protocol}],
        }
        for allowed in connections(spec)
        if allowed.source == component
    ]
    dns = [{"port": port, "protocol": protocol} for port in _DNS for protocol in ("UDP", "TCP")]
    outside = ports_outside(spec, process, reaches_database=_calls_database(spec, process))
    return [
        *rules,
        {"ports": dns},
        # An empty list would allow every port.
        *([{"ports": outside}] if outside else []),
        *(dict(rule) for rule in spec.network_policies.egress if process),
    ]


def _calls_database(spec: DeploymentSpec, process: Process | None) -> bool:
    """Return whether the pod connects to the database directly. Without a process, the pod is PgBouncer's."""
    return process is None or _reaches_database(spec, process)


def _policy(
    spec: DeploymentSpec, component: str, ingress: list[Any], egress: list[Any]
) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": object_name(spec.name, component),
            "labels": labels(spec.name, component),
        },
        "spec": {
            "podSelector": _pods(spec, component),
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def _pods(spec: DeploymentSpec, component: str) -> Manifest:
    return {"matchLabels": selector(spec.name, component)}


def ports_outside(
    spec: DeploymentSpec, process: Process | None, *, reaches_database: bool
) -> pulumi.Input[list[Manifest]]:
    """Return the `ports` of an egress rule for addresses that no selector can describe.

    Args:
        spec: The Deployment.
        process: The process, or None for PgBouncer.
        reaches_database: Whether the pod connects to the database directly.
    """
    named: list[pulumi.Input[list[Port]]] = []
    if reaches_database and isinstance(spec.database, ExternalService):
        named.append(_of_service(spec.database))
    if process is not None:
        named += [[(443, "TCP")], *_of_process(spec, process)]
    found = computed(_rules, *named)
    # A port is not a secret, even if its URL is.
    return pulumi.Output.unsecret(found) if isinstance(found, pulumi.Output) else found


def _of_process(spec: DeploymentSpec, process: Process) -> Iterator[pulumi.Input[list[Port]]]:
    if "broker" in process.reads and isinstance(spec.broker, ExternalService):
        yield _of_service(spec.broker)
    if spec.metrics.otel_host is not None:
        yield computed(lambda port: [(port, "TCP")], spec.metrics.otel_port)
    if spec.metrics.statsd_host is not None:
        yield computed(lambda port: [(port, "UDP")], spec.metrics.statsd_port)
    if process.component == WEBSERVER:
        yield from _of_logs(spec)
    for name, value in {**spec.environment, **spec.secret_environment}.items():
        yield computed(lambda text, name=name: _of_variable(name, text), value)


def _of_logs(spec: DeploymentSpec) -> Iterator[pulumi.Input[list[Port]]]:
    """Return the ports of the remote log storage, which the webserver reads."""
    logging = spec.remote_logging
    if logging is None:
        return
    if logging.elasticsearch_host is not None:
        yield computed(_of_address, logging.elasticsearch_host)
    wanted = logging.connection_id
    for name, connection in spec.connections.items():
        if name == wanted or has_output(wanted):
            fields = (connection.fields.get(key) for key in ("host", "extra", "port"))
            yield computed(partial(_of_connection, name), wanted, connection.uri, *fields)


def _of_connection(
    name: str, wanted: str, uri: str | None, host: str | None, extra: str | None, port: int | None
) -> list[Port]:
    """Return the ports of the Connection `name` if it is the wanted one."""
    if name != wanted:
        return []
    ports = [port for text in (uri, host, extra) for port in _of_text(text or "")]
    return [*ports, (port, "TCP")] if port else ports


def _of_service(service: ExternalService) -> pulumi.Input[list[Port]]:
    ports: pulumi.Input[list[Port]] = (
        computed(lambda port: [(port, "TCP")], service.port)
        if service.url is None
        else computed(_of_service_url, service.url)
    )
    return ports


def _of_service_url(url: str) -> list[Port]:
    """Return the ports of a URL that may name several hosts."""
    parts = urlsplit(url)
    scheme = parts.scheme.partition("+")[0]
    hosts = parts.netloc.rpartition("@")[2].split(",")
    return [(port, "TCP") for host in hosts if (port := _port(scheme, host))]


def _of_variable(name: str, text: str) -> list[Port]:
    if name.lower() in PROXIES:
        return _of_address(text)
    if name.endswith("_PORT") and text.isdecimal():
        return [(int(text), "TCP"), (int(text), "UDP")]
    return _of_text(text)


def _of_address(text: str) -> list[Port]:
    return _of_text(text if "://" in text else f"http://{text}")


def _of_text(text: str) -> list[Port]:
    """Return the ports of all URLs in `text`, such as JSON."""
    found = (_port(scheme, host.rpartition("@")[2]) for scheme, host in _URL.findall(text))
    return [(port, "TCP") for port in found if port]


def _port(scheme: str, host: str) -> int | None:
    """Return the port of `host:port`, otherwise the default of the scheme, if it has one."""
    match = re.search(r":(\d{1,5})$", host)
    return int(match[1]) if match else _DEFAULT_PORTS.get(scheme.lower())


def _rules(*named: list[Port]) -> list[Manifest]:
    ports: set[Port] = {port for ports in named for port in ports if 0 < port[0] < 65536}
    return [{"port": port, "protocol": protocol} for port, protocol in sorted(ports)]
