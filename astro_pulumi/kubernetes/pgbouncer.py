"""PgBouncer: many connections of Airflow's processes on few of the database, pooled by transaction.

What it is told about the database is made from the database's URL, so that the URL stays the one place
that says where the data is.
"""

from collections.abc import Mapping
from dataclasses import replace
from operator import itemgetter
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import pulumi

from astro_pulumi.airflow.endpoints import PGBOUNCER_PORT, POOLED_DATABASE
from astro_pulumi.errors import ArgumentError
from astro_pulumi.kubernetes.metadata import Manifest, selector
from astro_pulumi.kubernetes.pods import (
    container_security,
    deployment,
    mount_secret,
    resources,
    service_pod,
    spread,
)
from astro_pulumi.kubernetes.service import port, service
from astro_pulumi.naming import PGBOUNCER
from astro_pulumi.spec import DeploymentSpec, PgBouncer
from astro_pulumi.user_errors import shown_to_the_user

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
    probe = {"tcpSocket": {"port": PGBOUNCER_PORT}}
    container: Manifest = {
        "name": PGBOUNCER,
        "image": pgbouncer.image,
        # Images of PgBouncer differ in their entrypoints; what they share is the program.
        "command": ["pgbouncer", f"{_FOLDER}/pgbouncer.ini"],
        "ports": [{"name": PGBOUNCER, "containerPort": PGBOUNCER_PORT}],
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
        pod["topologySpreadConstraints"] = spread(selector(spec.name, PGBOUNCER))
    return deployment(spec, PGBOUNCER, pod, pgbouncer.size.replicas)


def pgbouncer_service(spec: DeploymentSpec) -> Manifest:
    """The Service that Airflow takes for its database."""
    return service(spec, PGBOUNCER, port(PGBOUNCER, PGBOUNCER_PORT))


def secret_files(
    spec: DeploymentSpec, pool: PgBouncer, database_url: pulumi.Output[str]
) -> dict[str, pulumi.Output[str]]:
    """Return the content of PgBouncer's Secret. `database_url` is the plain one."""
    certificate = getattr(spec.database, "ca_certificate", None)

    def made(values: list[Any]) -> dict[str, str]:
        with shown_to_the_user():
            return files(pool, values[0], values[1])

    content = pulumi.Output.all(database_url, certificate).apply(made)
    names = ["pgbouncer.ini", "userlist.txt", *([_CA_FILE] if certificate is not None else [])]
    return {name: content.apply(itemgetter(name)) for name in names}


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
        "listen_port": PGBOUNCER_PORT,
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
        f"{POOLED_DATABASE} = {database}",
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in settings.items()),
    ]
    login = " ".join('"{}"'.format(text.replace('"', '""')) for text in (username, password))
    return {
        "pgbouncer.ini": "\n".join(lines) + "\n",
        "userlist.txt": f"{login}\n",
        **({_CA_FILE: ca_certificate} if ca_certificate is not None else {}),
    }


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
