"""Read the arguments of the database and of PgBouncer."""

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from astro_pulumi.airflow.environment_variables import SCHEMA
from astro_pulumi.args.database import ExternalDatabase, PgBouncer
from astro_pulumi.args.embedded_or_external import EmbeddedService
from astro_pulumi.args.enums import SslMode
from astro_pulumi.args.resources_and_placement import Placement
from astro_pulumi.errors import ArgumentError
from astro_pulumi.validation import existing_secrets
from astro_pulumi.validation.argument_reader import Arguments
from astro_pulumi.validation.embedded_or_external import (
    is_external,
    read_address,
    read_embedded,
    url_check,
)
from astro_pulumi.validation.images import check_image
from astro_pulumi.validation.resources_and_placement import read_placement, read_resources

_EXTERNAL_ONLY: Final = (
    *("port", "name", "username", "password", "login_from", "ssl_mode"),
    *("ca_certificate", "ca_certificate_from"),
)
_CHECK_URL: Final = url_check(
    r"^postgres(ql)?(\+\w+)?://[^/\s]+/\S+$", "postgresql://user:password@host/name"
)
_FIXED_SETTINGS: Final = {
    "default_pool_size": "is set by the Deployment: use `pool_size`",
    "max_client_conn": "is set by the Deployment: use `max_client_connections`",
    "server_tls_sslmode": "is set by the Deployment: use `ssl_mode` in `database`",
    "server_tls_ca_file": "is set by the Deployment: use `ca_certificate` in `database`",
    **dict.fromkeys(
        ("auth_file", "auth_type", "listen_addr", "listen_port", "unix_socket_dir", "user"),
        "is what the Deployment's pods are built around; it cannot be set",
    ),
}


def read_database(args: Arguments, placement: Placement) -> EmbeddedService | ExternalDatabase:
    """Return the user's PostgreSQL, or the embedded one."""
    if not is_external(args, _EXTERNAL_ONLY):
        return read_embedded(args, "postgresql", placement)
    if args.has("host") and not args.has("login_from"):
        for key in ("username", "password"):
            if not args.has(key):
                raise ArgumentError(
                    args.path(key), "is required with `host`, or `login_from` in its place"
                )
    return ExternalDatabase(
        **read_address(args, _check_database_url),
        login_from=existing_secrets.read_login(args, needs_user=True),
        name=args.text("name"),
        ssl_mode=args.choice("ssl_mode", SslMode)
        if args.has("ssl_mode") or args.has("host")
        else None,
    )


def _check_database_url(url: str, path: str) -> str:
    _CHECK_URL(url, path)
    options = " ".join(value for key, value in parse_qsl(urlsplit(url).query) if key == "options")
    if "search_path" in options:
        # asyncpg and PgBouncer know no `options`, and KEDA's query must find the same tables.
        raise ArgumentError(path, f"has a search_path in its `options`, which {SCHEMA}")
    return url


def read_pgbouncer(given: Arguments, placement: Placement) -> PgBouncer:
    """Read the arguments of PgBouncer."""
    args = given.section("pgbouncer")
    return PgBouncer(
        image=args.text("image", check=check_image),
        replicas=args.number("replicas", 1, 100),
        resources=read_resources(args, "pgbouncer"),
        placement=read_placement(args, placement),
        pool_size=args.number("pool_size", 1, 10_000),
        max_client_connections=args.number("max_client_connections", 1, 1_000_000),
        settings=args.strings("settings", _check_pgbouncer_name, _check_pgbouncer_value),
    )


def _check_pgbouncer_name(name: str, path: str) -> None:
    if not re.fullmatch(r"[a-z_]+", name):
        raise ArgumentError(path, "is not the name of a setting of pgbouncer.ini")
    if problem := _FIXED_SETTINGS.get(name):
        raise ArgumentError(path, problem)


def _check_pgbouncer_value(value: str, path: str) -> str:
    if not value.strip() or "\n" in value:
        raise ArgumentError(path, "must be one line that is not empty")
    return value
