"""Which pods may talk to which: one NetworkPolicy for each kind of pod, made from one list of connections.

Kubelet's probes need no rule: a policy never cuts off a pod from its own node.
"""

from dataclasses import dataclass
from typing import Any, Final

from astro_pulumi.airflow.facts import WEBSERVER_PORT, Process
from astro_pulumi.airflow.settings import STATSD_PORT
from astro_pulumi.kubernetes import backing, monitoring
from astro_pulumi.kubernetes.metadata import Manifest, labels, object_name, selector
from astro_pulumi.release.job import COMPONENT as RELEASE_JOB
from astro_pulumi.spec import BackingService, DeploymentSpec, ExternalBroker, ExternalDatabase

_LOG_READERS: Final = ("webserver",)  # it shows the logs of running tasks
_DNS: Final = 53


@dataclass(frozen=True, slots=True)
class Connection:
    """`source` may open connections to `port` of `target`; both are names of components."""

    source: str
    target: str
    port: int
    protocol: str = "TCP"


def connections(spec: DeploymentSpec) -> list[Connection]:
    """Every connection between pods of the Deployment that is allowed."""
    allowed = []
    for client, process in _clients(spec).items():
        uses_database = "metadata" in process.reads or "broker" in process.reads  # results
        if uses_database and isinstance(spec.database, BackingService):
            allowed.append(Connection(client, "postgresql", backing.POSTGRESQL_PORT))
        if "broker" in process.reads and isinstance(spec.broker, BackingService):
            allowed.append(Connection(client, "redis", backing.REDIS_PORT))
        if process.calls_webserver:
            allowed.append(Connection(client, "webserver", WEBSERVER_PORT))
        if spec.metrics.exporter_image:
            allowed.append(Connection(client, monitoring.COMPONENT, STATSD_PORT, "UDP"))
        if "logs" in process.ports:
            allowed += [Connection(r, client, process.ports["logs"]) for r in _LOG_READERS]
    return allowed


def network_policies(spec: DeploymentSpec) -> dict[str, Manifest]:
    """The NetworkPolicies by component; none when they are switched off."""
    if not spec.network_policies.enabled:
        return {}
    clients = _clients(spec)
    components = [
        *clients,
        *(["postgresql"] if isinstance(spec.database, BackingService) else []),
        *(["redis"] if isinstance(spec.broker, BackingService) else []),
        *([monitoring.COMPONENT] if spec.metrics.exporter_image else []),
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
    """Everything that runs Airflow, by component."""
    job = Process(
        RELEASE_JOB, (), spec.facts.worker.probe, spec.facts.release_job_reads, runs_dag_code=True
    )
    return {p.component: p for p in (*spec.processes, spec.facts.worker, job)}


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
    if component == "webserver":
        who = spec.network_policies.webserver_from
        port = {"port": WEBSERVER_PORT, "protocol": "TCP"}
        return [{**({} if who is None else {"from": list(who)}), "ports": [port]}]
    if component == monitoring.COMPONENT:
        return [{"ports": [{"port": monitoring.METRICS_PORT, "protocol": "TCP"}]}]
    return []


def _to(spec: DeploymentSpec, component: str, process: Process | None) -> list[Manifest]:
    if process is None:  # PostgreSQL and Redis answer, they never call
        return []
    if process.runs_dag_code:
        return [{}]
    rules = [
        {
            "to": [{"podSelector": _pods(spec, allowed.target)}],
            "ports": [{"port": allowed.port, "protocol": allowed.protocol}],
        }
        for allowed in connections(spec)
        if allowed.source == component
    ]
    dns = [{"port": _DNS, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return [*rules, {"ports": dns}, {"ports": _ports_outside(spec)}]


def _ports_outside(spec: DeploymentSpec) -> list[Manifest]:
    """What Airflow's own processes may call anywhere: HTTPS, and the services that are the user's."""
    ports = {(443, "TCP")}
    for service in (spec.database, spec.broker):
        if isinstance(service, ExternalDatabase | ExternalBroker):
            if service.url is not None:  # its port may be known to nobody yet
                return [{"port": 1, "endPort": 65535, "protocol": "TCP"}]
            ports.add((service.port, "TCP"))
    if spec.metrics.otel_host:
        ports.add((spec.metrics.otel_port, "TCP"))
    if spec.metrics.statsd_host:
        ports.add((spec.metrics.statsd_port, "UDP"))
    return [{"port": port, "protocol": protocol} for port, protocol in sorted(ports)]


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
