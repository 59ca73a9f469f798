"""The user's own PostgreSQL and Redis, over TLS that is verified; PostgreSQL through PgBouncer."""

import json

from tests.cluster.component.conftest import Pair
from tests.cluster.component.services import ExternalServices, pod
from tests.cluster.kube import component_of

# Opens a connection and prints how that ended.
TRY_DATABASE = """
import sys, psycopg2
try:
    psycopg2.connect(sys.argv[1].replace("postgresql+psycopg2", "postgresql"), connect_timeout=10)
    print("connected")
except psycopg2.OperationalError as error:
    print(error)
"""
TRY_BROKER = """
import sys, celery
try:
    celery.Celery(broker=sys.argv[1]).connection().ensure_connection(max_retries=1, timeout=10)
    print("connected")
except Exception as error:
    print(repr(error))
"""


def attempt(pair: Pair, script: str, url: str) -> str:
    """What the scheduler of airflow3, which may call both, says of a URL."""
    (scheduler,) = pair.pods("airflow3", "scheduler")
    return pair.kube.execute(scheduler, "python", "-c", script, url, container="airflow")


def url(pair: Pair, secret: str, key: str) -> str:
    """A URL that the component made, from its Secret."""
    (found,) = (
        value
        for name, value in pair.kube.secret_values(pair.namespace).items()
        if name.startswith(f"airflow3-{secret}-") and name.endswith(f"/{key}")
    )
    return found


def test_every_session_is_encrypted_and_of_pgbouncer(
    pair: Pair, external: ExternalServices
) -> None:
    sessions = json.loads(
        external.sql(
            "SELECT json_agg(json_build_object('tls', s.ssl, 'from', host(a.client_addr)))"
            " FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)"
            " WHERE a.client_addr IS NOT NULL"
        )
    )
    (pgbouncer,) = (
        pod for pod in pair.kube.all_pods(pair.namespace) if component_of(pod) == "pgbouncer"
    )
    assert {session["tls"] for session in sessions} == {True}
    assert {session["from"] for session in sessions} == {pgbouncer["status"]["podIP"]}
    assert len(sessions) <= 20, "more than the pool holds"


def test_the_database_must_be_who_it_says(pair: Pair, external: ExternalServices) -> None:
    """By the URL that the release Job reaches it with, past PgBouncer."""
    good = url(pair, "migration", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
    address = pod(pair.kube, external.namespace, "postgres")["status"]["podIP"]

    assert attempt(pair, TRY_DATABASE, good).strip() == "connected"
    said = attempt(pair, TRY_DATABASE, good.replace(external.database_host, address))
    assert "does not match host name" in said
    said = attempt(pair, TRY_DATABASE, good.partition("&sslrootcert")[0])
    assert "root certificate" in said
    said = attempt(pair, TRY_DATABASE, good.replace("verify-full", "disable"))
    assert "no encryption" in said


def test_the_broker_must_be_who_it_says(pair: Pair, external: ExternalServices) -> None:
    good = url(pair, "broker", "AIRFLOW__CELERY__BROKER_URL")
    address = pod(pair.kube, external.namespace, "redis")["status"]["podIP"]

    assert attempt(pair, TRY_BROKER, good).strip() == "connected"
    said = attempt(pair, TRY_BROKER, good.partition("&ssl_ca_certs")[0])
    assert "CERTIFICATE_VERIFY_FAILED" in said
    said = attempt(pair, TRY_BROKER, good.replace(external.broker_host, address))
    assert "CERTIFICATE_VERIFY_FAILED" in said
