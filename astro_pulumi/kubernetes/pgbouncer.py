"""PgBouncer: many connections of Airflow's processes on few of the database, pooled by transaction.

What it is told about the database is made from the database's URL, so that the URL stays the one place
that says where the data is.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from astro_pulumi.errors import ArgumentError
from astro_pulumi.kubernetes.metadata import Manifest, object_name, selector
from astro_pulumi.kubernetes.pods import (
    container_security,
    deployment,
    mount_secret,
    resources,
    service_pod,
    spread,
)
from astro_pulumi.kubernetes.service import port, service
from astro_pulumi.spec import DeploymentSpec, PgBouncer

COMPONENT: Final = "pgbouncer"
PORT: Final = 6432
_DATABASE: Final = "airflow"  # what clients call it
_FOLDER: Final = "/etc/pgbouncer"
_CA_FILE: Final = "server-ca.pem"
_NOBODY: Final = 65534
# The endpoints change first; then SIGINT lets transactions end, and the clients connect to another pod.
# SIGTERM, which Kubernetes sends, breaks transactions off (before 1.23) or waits for clients to go, which
# Airflow's never do (since 1.23).
_DRAIN: Final = "sleep 5; kill -INT 1; sleep 55"


def workload(
    spec: DeploymentSpec, pgbouncer: PgBouncer, files_secret: Any, account: Any
) -> Manifest:
    """`files_secret` is the name of a Secret with what `files` returns."""
    probe = {"tcpSocket": {"port": PORT}}
    container: Manifest = {
        "name": COMPONENT,
        "image": pgbouncer.image,
        # Images of PgBouncer differ in their entrypoints; what they share is the program.
        "command": ["pgbouncer", f"{_FOLDER}/pgbouncer.ini"],
        "ports": [{"name": COMPONENT, "containerPort": PORT}],
        "resources": resources(replace(pgbouncer.size, ephemeral_storage="100Mi")),
        "securityContext": container_security(),
        "volumeMounts": [],
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", _DRAIN]}}},
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {**probe, "periodSeconds": 10},
        "livenessProbe": {**probe, "periodSeconds": 30, "failureThreshold": 5},
    }
    pod = service_pod(container, account, _NOBODY, volumes=[], terminationGracePeriodSeconds=60)
    mount_secret(pod, "files", files_secret, _FOLDER)
    if pgbouncer.size.replicas > 1:
        pod["topologySpreadConstraints"] = spread(selector(spec.name, COMPONENT))
    return deployment(spec, COMPONENT, pod, pgbouncer.size.replicas)


def pgbouncer_service(spec: DeploymentSpec) -> Manifest:
    """The Service that Airflow takes for its database."""
    return service(spec, COMPONENT, port(COMPONENT, PORT))


def pooled_url(spec: DeploymentSpec, url: str) -> str:
    """The URL of the database as Airflow's processes use it: PgBouncer's, with the same login.

    What `url` says of TLS is between PgBouncer and the database; its other options are the client's.
    """
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    host = f"{object_name(spec.name, COMPONENT)}:{PORT}"
    options = [(k, v) for k, v in parse_qsl(parts.query) if not k.startswith("ssl")]
    return urlunsplit((parts.scheme, f"{login}@{host}", _DATABASE, urlencode(options), ""))


def files(pgbouncer: PgBouncer, url: str, ca_certificate: str | None) -> dict[str, str]:
    """`pgbouncer.ini`, the users that may log in, and the certificate of the database's authority.

    :param url: the database's own URL.
    :raises ArgumentError: when the URL has what PgBouncer cannot do.
    """
    parts = urlsplit(url)
    host, port = _address(parts)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    settings = {
        "listen_addr": "*",
        "listen_port": PORT,
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": f"{_FOLDER}/userlist.txt",
        "pool_mode": "transaction",
        "default_pool_size": pgbouncer.pool_size,
        "max_client_conn": pgbouncer.max_client_connections,
        "ignore_startup_parameters": "extra_float_digits",
        # Airflow connects all the time; errors are still logged.
        "log_connections": 0,
        "log_disconnections": 0,
        **_tls(dict(parse_qsl(parts.query)), ca_certificate),
        **pgbouncer.settings,
    }
    database = f"host={_quoted(host)} port={port} dbname={_quoted(unquote(parts.path.lstrip('/')))}"
    lines = [
        "[databases]",
        f"{_DATABASE} = {database}",
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in settings.items()),
    ]
    login = " ".join('"{}"'.format(text.replace('"', '""')) for text in (username, password))
    return {
        "pgbouncer.ini": "\n".join(lines) + "\n",
        "userlist.txt": f"{login}\n",
        **({_CA_FILE: ca_certificate} if ca_certificate is not None else {}),
    }


def file_names(has_certificate: bool) -> list[str]:
    """The names of the files that `files` makes, which are known before their content is."""
    return ["pgbouncer.ini", "userlist.txt", *([_CA_FILE] if has_certificate else [])]


def _address(parts: SplitResult) -> tuple[str, int]:
    try:
        host, port = parts.hostname, parts.port or 5432
    except ValueError:  # several hosts
        host, port = None, 0
    if not host or "," in host or not parts.username or not parts.path.strip("/"):
        raise ArgumentError(
            "database.url", "must have one host, a user and a database name to be used by PgBouncer"
        )
    return host, port


def _tls(options: Mapping[str, str], ca_certificate: str | None) -> dict[str, str]:
    """The same modes as libpq's, under the names of PgBouncer."""
    mode = options.get("sslmode", "prefer")
    if "sslcert" in options or "sslkey" in options:
        raise ArgumentError("database.url", "has a client certificate, which PgBouncer cannot use")
    if mode.startswith("verify") and ca_certificate is None:
        raise ArgumentError(
            "database.ca_certificate", f"is required with sslmode {mode} and `pgbouncer`"
        )
    return {
        "server_tls_sslmode": mode,
        **({"server_tls_ca_file": f"{_FOLDER}/{_CA_FILE}"} if ca_certificate is not None else {}),
    }


def _quoted(text: str) -> str:
    return "'{}'".format(text.replace("'", "''"))
