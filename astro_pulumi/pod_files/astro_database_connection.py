"""Connect to the database, and explain a failure."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from astro_termination_message import ReleaseRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds. A new server, or one that fails over, may be unavailable for that long.
PATIENCE = 30.0
TIMEOUT = 10


def connect(url: str, connect_by: Callable[..., Any], patience: float = PATIENCE) -> Any:
    """Return a connection, once the server answers.

    Args:
        url: URL as Airflow has it, with the driver in its scheme.
        connect_by: Opens a connection, such as psycopg2's `connect`.
        patience: Seconds to wait for the server.

    Raises:
        ReleaseRefusedError: The server refuses, or does not answer for `patience` seconds.
    """
    dsn = "postgresql://" + url.split("://", 1)[1]
    deadline = time.monotonic() + patience
    while True:
        try:
            return connect_by(dsn, connect_timeout=TIMEOUT)
        except Exception as error:
            text = " ".join(str(error).split())
            if may_pass(text) and time.monotonic() < deadline:
                time.sleep(1)
                continue
            raise ReleaseRefusedError(explain_refusal(text)) from error


# Message of libpq or the server -> explanation. The first match counts: with ssl_mode "prefer" libpq tries
# with TLS and without, and reports both.
REFUSALS = (
    (
        r"password authentication failed|no password supplied|role \".*\" does not exist"
        r"|authentication failed|not permitted to log in",
        "it refuses the login. Check user and password in `database`.",
    ),
    (
        r"database \".*\" does not exist",
        "it does not exist. Create it: CREATE DATABASE ... OWNER ... ENCODING 'UTF8' TEMPLATE template0.",
    ),
    (
        r"permission denied for database",
        "the user may not connect to it. As its owner: GRANT CONNECT ON DATABASE ... TO ...",
    ),
    (
        r"too many (clients|connections)|remaining connection slots",
        "all its connections are in use. Raise max_connections or the limit of the user or the database, or "
        "use `pgbouncer`.",
    ),
    (
        r"^(?!.*(SSL encryption|SSL on)).*no pg_hba\.conf entry.*(no encryption|SSL off)"
        r"|SSL connection is required|SSL required",
        'it accepts encrypted connections only. Set database.ssl_mode="require" or a stricter mode.',
    ),
    (
        r"no pg_hba\.conf entry",
        "it does not accept the user from this address. Allow it in pg_hba.conf, or in the firewall of the "
        "database service.",
    ),
    (
        r"does not support SSL, but SSL was required",
        "the server has no TLS, which database.ssl_mode demands. Enable TLS in the server, or set "
        'database.ssl_mode="disable".',
    ),
    (
        r"does not match host name",
        "its certificate is for another host. Set database.host to the name in the certificate, or "
        'set database.ssl_mode="verify-ca".',
    ),
    (
        r"certificate verify failed|root certificate file|self.signed certificate",
        "its certificate cannot be verified. Give the certificate of its authority as "
        "database.ca_certificate.",
    ),
    (r"FATAL", "it refuses the connection."),
)
PASSING = r"too many|remaining connection slots|starting up|shutting down|recovery mode"


def may_pass(text: str) -> bool:
    """Return whether an error of the driver may be temporary."""
    refused = any(re.search(pattern, text, re.IGNORECASE) for pattern, _ in REFUSALS)
    return not refused or bool(re.search(PASSING, text, re.IGNORECASE))


def explain_refusal(text: str) -> str:
    """Return the message for an error of the driver."""
    for pattern, meaning in REFUSALS:
        if re.search(pattern, text, re.IGNORECASE):
            return f"Database: {meaning} Nothing was changed. {text}"
    return (
        "Database: it does not answer. Check host and port in `database`, and that the cluster can reach it. "
        f"Nothing was changed. {text}"
    )
