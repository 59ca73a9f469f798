"""Ports outside of the Deployment that its arguments name, for pods whose egress is limited."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import pulumi

from astro_pulumi.airflow.environment import PROXIES
from astro_pulumi.airflow.facts import Process
from astro_pulumi.inputs import computed, has_output
from astro_pulumi.kubernetes.metadata import Manifest
from astro_pulumi.naming import WEBSERVER
from astro_pulumi.spec import DeploymentSpec, ExternalService

Port = tuple[int, str]  # number and protocol

_DEFAULTS: Final = {
    "http": 80,
    "https": 443,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
}
_URL = re.compile(r"""([a-z][a-z0-9.-]*)(?:\+\w+)?://([^/\s"'?#,]*)""", re.IGNORECASE)


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
    return int(match[1]) if match else _DEFAULTS.get(scheme.lower())


def _rules(*named: list[Port]) -> list[Manifest]:
    ports: set[Port] = {port for ports in named for port in ports if 0 < port[0] < 65536}
    return [{"port": port, "protocol": protocol} for port, protocol in sorted(ports)]
