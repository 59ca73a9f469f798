"""URLs of the database and the broker, in the forms that Airflow, Celery and KEDA read."""

import shlex
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import pulumi

from astro_pulumi.airflow.mounted_pod_files import FILES
from astro_pulumi.airflow.ports import (
    DATABASE_NAME,
    DATABASE_USER,
    PGBOUNCER_PORT,
    POOLED_DATABASE,
    POSTGRESQL_PORT,
    REDIS_PORT,
)
from astro_pulumi.airflow.version_differences import CERTIFICATES
from astro_pulumi.args.broker import ExternalBroker
from astro_pulumi.args.database import ExternalDatabase
from astro_pulumi.args.embedded_or_external import ExternalService
from astro_pulumi.args.existing_secrets import LoginFrom, ValueFrom
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.naming import PGBOUNCER, POSTGRESQL, REDIS, object_name
from astro_pulumi.pulumi_inputs import computed

DATABASE_CA: Final = "database-ca.pem"
BROKER_CA: Final = "broker-ca.pem"
# Service whose login is in a URL, by the URL's name. The names of the login's variables contain the service.
_DATABASE: Final = "DATABASE"
_BROKER: Final = "BROKER"
_LOGINS: Final = {
    "keda_database_url": _DATABASE,
    "database_url": _DATABASE,
    "direct_database_url": _DATABASE,
    "async_database_url": _DATABASE,
    "result_backend": _DATABASE,
    "broker_url": _BROKER,
}


def service_urls(
    spec: DeploymentSpec,
    generated: dict[str, pulumi.Output[str]],
    namespace: pulumi.Output[str],
    checked: pulumi.Output[None],
) -> dict[str, pulumi.Output[str]]:
    """Return the URLs by their names in `AirflowFacts.secret_settings`.

    Two more URLs have no driver: `plain_database_url`, and `keda_database_url`, with which KEDA reaches the
    database from its own namespace. A URL whose login is in an existing Secret has no login here: see
    `existing_login`. The URLs of the database are unknown before `checked` is known, so that a refused deploy
    goes no further.
    """
    direct = pulumi.Output.all(_database_url(spec, generated), checked).apply(
        lambda values: str(values[0])
    )
    pooled = direct.apply(lambda url: pooled_url(spec, url)) if spec.pgbouncer else direct
    keda = pulumi.Output.all(direct, namespace).apply(
        lambda values: _as_seen_by_keda(spec, *map(str, values))
    )
    return {
        "plain_database_url": direct,
        "keda_database_url": keda,
        "database_url": pooled.apply(_with_driver),
        **({"direct_database_url": direct.apply(_with_driver)} if spec.pgbouncer else {}),
        **_for_asyncpg(spec, direct),
        "result_backend": pooled.apply(lambda url: f"db+{_with_driver(url)}"),
        "broker_url": _broker_url(spec, generated),
    }


def existing_login(spec: DeploymentSpec, url: str) -> tuple[str, LoginFrom] | None:
    """Return the service and the existing login that the URL of this name lacks, or None."""
    service = _LOGINS.get(url)
    given = spec.broker if service == _BROKER else spec.database
    if service is None or not isinstance(given, ExternalService) or given.login_from is None:
        return None
    return service, given.login_from


def composing_command(service: str, url: str) -> str:
    """Return the command that prints `url` with the login of `service`."""
    return shlex.join(["python", "-IS", f"{FILES}/astro_urls_with_login.py", service, url])


def pooled_url(spec: DeploymentSpec, url: str) -> str:
    """Return the URL of the database through PgBouncer, for Airflow's processes, with the same login.

    TLS options of `url` are between PgBouncer and the database. Other options are the client's.
    """
    parts = urlsplit(url)
    login = "".join(parts.netloc.rpartition("@")[:2])
    host = f"{object_name(spec.name, PGBOUNCER)}:{PGBOUNCER_PORT}"
    options = [(k, v) for k, v in parse_qsl(parts.query) if not k.startswith("ssl")]
    return urlunsplit((parts.scheme, f"{login}{host}", POOLED_DATABASE, urlencode(options), ""))


def certificates(spec: DeploymentSpec) -> dict[str, pulumi.Input[str] | ValueFrom]:
    """Return the certificates to mount, by file name."""
    found = {
        DATABASE_CA: getattr(spec.database, "ca_certificate", None),
        BROKER_CA: getattr(spec.broker, "ca_certificate", None),
    }
    return {name: certificate for name, certificate in found.items() if certificate is not None}


def _database_url(
    spec: DeploymentSpec, generated: dict[str, pulumi.Output[str]]
) -> pulumi.Output[str]:
    database = spec.database
    if not isinstance(database, ExternalDatabase):
        return pulumi.Output.format(
            "postgresql://{0}:{1}@{2}:{3}/{4}",
            DATABASE_USER,
            generated["postgresql"],
            object_name(spec.name, POSTGRESQL),
            POSTGRESQL_PORT,
            DATABASE_NAME,
        )
    certificate = database.ca_certificate is not None

    def with_tls(url: str, mode: str | None) -> str:
        options = {"sslmode": mode} if mode else {}
        if certificate:
            options["sslrootcert"] = f"{CERTIFICATES}/{DATABASE_CA}"
        return _with_options(_with_scheme(url, "postgresql"), options)

    url: pulumi.Output[str] = computed(
        with_tls,
        _given_url(database, "postgresql", computed(quote, database.name)),
        database.ssl_mode,
    )
    return url


def _broker_url(
    spec: DeploymentSpec, generated: dict[str, pulumi.Output[str]]
) -> pulumi.Output[str]:
    broker = spec.broker
    if not isinstance(broker, ExternalBroker):
        return pulumi.Output.format(
            "redis://:{0}@{1}:{2}/0",
            generated["redis"],
            object_name(spec.name, REDIS),
            REDIS_PORT,
        )

    def with_tls(url: str) -> str:
        if not url.startswith("rediss:"):
            return url
        # Celery refuses a rediss URL that does not say whether certificates are verified.
        options = {} if "ssl_cert_reqs" in url else {"ssl_cert_reqs": "CERT_REQUIRED"}
        if broker.ca_certificate is not None:
            options["ssl_ca_certs"] = f"{CERTIFICATES}/{BROKER_CA}"
        return _with_options(url, options)

    scheme = computed(lambda tls: "rediss" if tls else "redis", broker.tls)
    return _given_url(broker, scheme, computed(str, broker.database)).apply(with_tls)


def _given_url(
    service: ExternalService, scheme: pulumi.Input[str], path: pulumi.Input[str]
) -> pulumi.Output[str]:
    """Return the URL of a user's service: the given one, or one composed of its parts."""
    if service.url is not None:
        return pulumi.Output.secret(service.url)
    login = service.username, service.password  # neither, if it is in an existing Secret
    return pulumi.Output.secret(computed(_url_of, scheme, *login, service.host, service.port, path))


def _url_of(
    scheme: str, username: str | None, password: str | None, host: str, port: int, path: str
) -> str:
    return f"{scheme}://{_login(username, password)}{_host(host)}:{port}/{path}"


def _login(username: str | None, password: str | None) -> str:
    username, password = (quote(part or "", safe="") for part in (username, password))
    return f"{username}:{password}@" if password else f"{username}@" if username else ""


def _host(host: str) -> str:
    """Return the host in the form of URLs, with brackets around an IPv6 address."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _as_seen_by_keda(spec: DeploymentSpec, url: str, namespace: str) -> str:
    """Return the database's URL for KEDA, which lacks the names of this namespace and the pods' certificates.

    With a certificate of the user's, KEDA uses TLS without verification.
    """
    parts = urlsplit(url)
    if not isinstance(spec.database, ExternalDatabase):
        name = object_name(spec.name, POSTGRESQL)
        return url.replace(f"@{name}:", f"@{name}.{namespace}:")
    if spec.database.ca_certificate is None:
        return url
    options = [(k, v) for k, v in parse_qsl(parts.query) if k not in ("sslmode", "sslrootcert")]
    return urlunsplit(parts._replace(query=urlencode([*options, ("sslmode", "require")])))


def _for_asyncpg(
    spec: DeploymentSpec, database_url: pulumi.Output[str]
) -> dict[str, pulumi.Output[str]]:
    """Return the URL for asyncpg if Airflow cannot derive it, and the file of the certificate."""
    if spec.pgbouncer is None and not isinstance(spec.database, ExternalDatabase):
        return {}

    def translate(url: str) -> str:
        parts = urlsplit(_with_scheme(url, "postgresql+asyncpg"))
        mode = dict(parse_qsl(parts.query)).get("sslmode")
        return urlunsplit(parts._replace(query=urlencode({"ssl": mode} if mode else {})))

    values = {"async_database_url": database_url.apply(translate)}
    if getattr(spec.database, "ca_certificate", None) is not None:
        file = pulumi.Output.from_input(f"{CERTIFICATES}/{DATABASE_CA}")
        values["database_certificate_file"] = file
    return values


def _with_driver(url: str) -> str:
    return _with_scheme(url, "postgresql+psycopg2")


def _with_scheme(url: str, scheme: str) -> str:
    return f"{scheme}://{url.split('://', 1)[-1]}"


def _with_options(url: str, options: dict[str, str]) -> str:
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(options, safe="/")) if part)
    return urlunsplit(parts._replace(query=query))
