"""PgBouncer: many connections of Airflow's processes on few of the database, pooled by transaction.

Its settings about the database are derived from the database's URL, the single source of the address.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import pulumi

from astro_pulumi.airflow.database_and_broker_urls import existing_login
from astro_pulumi.airflow.ports import PGBOUNCER_PORT, POOLED_DATABASE
from astro_pulumi.args.database import PgBouncer
from astro_pulumi.args.existing_secrets import ValueFrom
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.errors import ArgumentError
from astro_pulumi.kubernetes.config_maps_and_secrets import file_source, variable_from
from astro_pulumi.kubernetes.labels import Manifest, selector
from astro_pulumi.kubernetes.pods import (
    container_security,
    mount_files,
    resources,
    service_pod,
    spread,
)
from astro_pulumi.kubernetes.services_and_ingress import port, service
from astro_pulumi.kubernetes.workloads import deployment
from astro_pulumi.naming import PGBOUNCER
from astro_pulumi.pod_files.astro_urls_with_login import login_variable
from astro_pulumi.pulumi_inputs import computed

_FOLDER: Final = "/etc/pgbouncer"
_CA_FILE: Final = "server-ca.pem"
_NOBODY: Final = 65534
# The endpoints change first. Then SIGINT lets transactions end, and the clients connect to another pod.
# Kubernetes sends SIGTERM, which aborts transactions (before 1.23) or waits for clients to disconnect (since
# 1.23), which Airflow's clients never do.
_DRAIN: Final = "sleep 5; kill -INT 1; sleep 55"
# If the login is in an existing Secret, the pod writes the list of users. The file format doubles quotes and
# has no other escapes. `$(...)` drops the newline at the end of Secrets that were created from files.
_USERS: Final = "/run/pgbouncer"
_START_WITH_USERS: Final = r"""
quoted() {
  rest=$1 result=
  while [ "${rest#*\"}" != "$rest" ]; do
    result="$result${rest%%\"*}\"\""
    rest=${rest#*\"}
  done
  printf '"%s"' "$result$rest"
}
username=$(printf %s "$ASTRO_DATABASE_USERNAME")
password=$(printf %s "$ASTRO_DATABASE_PASSWORD")
umask 077
printf '%s %s\n' "$(quoted "$username")" "$(quoted "$password")" > "$1/userlist.txt"
unset ASTRO_DATABASE_USERNAME ASTRO_DATABASE_PASSWORD
exec pgbouncer "$0"
"""


def workload(
    spec: DeploymentSpec, pgbouncer: PgBouncer, files_secret: Any, account: Any
) -> Manifest:
    """Build the workload. `files_secret` is the name of a Secret with the content of `secret_files`."""
    configuration = f"{_FOLDER}/pgbouncer.ini"
    probe = {"tcpSocket": {"port": PGBOUNCER_PORT}}
    container: Manifest = {
        "name": PGBOUNCER,
        "image": pgbouncer.image,
        # Images of PgBouncer differ in their entrypoints, but all have this program.
        "command": ["pgbouncer", configuration],
        "ports": [{"name": PGBOUNCER, "containerPort": PGBOUNCER_PORT}],
        "resources": resources(pgbouncer.resources),
        "securityContext": container_security(),
        "volumeMounts": [],
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", _DRAIN]}}},
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {**probe, "periodSeconds": 10},
        "livenessProbe": {**probe, "periodSeconds": 30, "failureThreshold": 5},
    }
    pod = service_pod(
        spec,
        container,
        account,
        _NOBODY,
        pgbouncer.placement,
        volumes=[],
        terminationGracePeriodSeconds=60,
        **spread(pgbouncer.placement, selector(spec.name, PGBOUNCER)),
    )
    existing = (
        [file_source(_CA_FILE, ca)] if isinstance(ca := _ca_certificate(spec), ValueFrom) else []
    )
    mount_files(pod, "files", [{"secret": {"name": files_secret}}, *existing], _FOLDER)
    if login := existing_login(spec, "database_url"):
        service, keys = login
        container["env"] = [
            variable_from(login_variable(service, part), key) for part, key in keys.parts.items()
        ]
        container["command"] = ["sh", "-c", _START_WITH_USERS, configuration, _USERS]
        container["volumeMounts"].append({"name": "users", "mountPath": _USERS})
        pod["volumes"].append({"name": "users", "emptyDir": {"medium": "Memory"}})
    return deployment(spec, PGBOUNCER, pod, pgbouncer.replicas)


def pgbouncer_service(spec: DeploymentSpec) -> Manifest:
    """Build the Service that Airflow uses as its database."""
    return service(spec, PGBOUNCER, port(PGBOUNCER, PGBOUNCER_PORT))


def secret_files(
    spec: DeploymentSpec, pool: PgBouncer, database_url: pulumi.Output[str]
) -> dict[str, pulumi.Output[str]]:
    """Return the content of PgBouncer's Secret. `database_url` is the plain URL."""
    certificate = _ca_certificate(spec)
    has_certificate, has_login = certificate is not None, not existing_login(spec, "database_url")
    configuration = partial(
        configuration_file, has_certificate=has_certificate, has_login=has_login
    )
    settings = {
        "default_pool_size": pool.pool_size,
        "max_client_conn": pool.max_client_connections,
        **pool.settings,
    }
    return {
        "pgbouncer.ini": computed(configuration, settings, database_url),
        **({"userlist.txt": database_url.apply(users_file)} if has_login else {}),
        **(
            {}
            if certificate is None or isinstance(certificate, ValueFrom)
            else {_CA_FILE: certificate}
        ),
    }


def configuration_file(
    given: Mapping[str, Any], url: str, *, has_certificate: bool, has_login: bool
) -> str:
    """Return `pgbouncer.ini`.

    Args:
        given: Settings in arguments.
        url: The database's own URL.
        has_certificate: Whether there is a certificate of the database's authority.
        has_login: Whether `url` has a login. Otherwise the pod writes the list of users.

    Raises:
        ArgumentError: The URL has an option that PgBouncer does not support.
    """
    parts = urlsplit(url)
    host, port = _address(parts, has_login)
    if "options" in dict(parse_qsl(parts.query)):
        raise ArgumentError(
            "database.url",
            "has `options`, which PgBouncer refuses: set them with ALTER ROLE <user> SET ...",
        )
    settings = {
        "listen_addr": "*",
        "listen_port": PGBOUNCER_PORT,
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": f"{_FOLDER if has_login else _USERS}/userlist.txt",
        "pool_mode": "transaction",
        "ignore_startup_parameters": "extra_float_digits",
        # Airflow connects often. Errors are still logged.
        "log_connections": 0,
        "log_disconnections": 0,
        **_tls(dict(parse_qsl(parts.query)), has_certificate),
        **given,
    }
    database = f"host={_quoted(host)} port={port} dbname={_quoted(unquote(parts.path.lstrip('/')))}"
    lines = [
        "[databases]",
        f"{POOLED_DATABASE} = {database}",
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in settings.items()),
    ]
    return "\n".join(lines) + "\n"


def users_file(url: str) -> str:
    """Return `userlist.txt`, with the login in the database's own URL."""
    parts = urlsplit(url)
    login = unquote(parts.username or ""), unquote(parts.password or "")
    return " ".join('"{}"'.format(text.replace('"', '""')) for text in login) + "\n"


def _ca_certificate(spec: DeploymentSpec) -> Any | None:
    return getattr(spec.database, "ca_certificate", None)


def _address(parts: SplitResult, has_login: bool) -> tuple[str, int]:
    try:
        host, port = parts.hostname, parts.port or 5432
    except ValueError:  # several hosts
        host, port = None, 0
    user_is_missing = has_login and not parts.username
    if not host or "," in host or user_is_missing or not parts.path.strip("/"):
        raise ArgumentError(
            "database.url", "must have one host, a user and a database name to be used by PgBouncer"
        )
    return host, port


def _tls(options: Mapping[str, str], has_certificate: bool) -> dict[str, str]:
    """Return PgBouncer's settings for the same TLS mode as libpq's."""
    mode = options.get("sslmode", "prefer")
    if "sslcert" in options or "sslkey" in options:
        raise ArgumentError("database.url", "has a client certificate, which PgBouncer cannot use")
    if mode.startswith("verify") and not has_certificate:
        raise ArgumentError(
            "database.ca_certificate", f"is required with sslmode {mode} and `pgbouncer`"
        )
    return {
        "server_tls_sslmode": mode,
        **({"server_tls_ca_file": f"{_FOLDER}/{_CA_FILE}"} if has_certificate else {}),
    }


def _quoted(text: str) -> str:
    return "'{}'".format(text.replace("'", "''"))
