"""A user's services: PostgreSQL and Redis with TLS of an own authority, and a collector of metrics."""

import dataclasses
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from local import pki
from local.platform import Platform
from tests.cluster.kube import Kube, Object, is_ready, wait_until

# Everything over the network is TLS; the socket is for the image's own entrypoint.
PG_HBA = "local all all trust\nhostssl all all all scram-sha-256\n"
# On the volume that `manifests` mounts: PostgreSQL keeps its data when its container restarts.
PGDATA = {"name": "PGDATA", "value": "/data/pgdata"}
REDIS_CONF = """port 0
tls-port 6379
tls-cert-file /tls/server.crt
tls-key-file /tls/server.key
tls-ca-cert-file /tls/ca.crt
tls-auth-clients no
user default on >{password} ~{prefix}* &* +@all
"""
# The broker's login may use keys with this prefix only.
KEY_PREFIX = "team3:"
# Its first argument is a command of Redis.
REDIS_CLI = """
REDISCLI_AUTH="$(sed -n 's/^user default on >\\(.*\\) ~.*/\\1/p' /tls/redis.conf)" \
  exec redis-cli --no-auth-warning --tls --insecure -p 6379 "$@"
"""
# Takes OTLP over HTTP; asked by GET, it says which metrics came.
COLLECTOR = """
import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

seen = set()

class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        for sender in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            seen.update(metric.name for scope in sender.scope_metrics for metric in scope.metrics)
        self.answer(b"")

    def do_GET(self):
        self.answer("\\n".join(sorted(seen)).encode())

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

ThreadingHTTPServer(("", 4318), Collector).serve_forever()
"""


@dataclass(frozen=True)
class ExternalServices:
    """All of them, in a namespace of their own."""

    kube: Kube
    namespace: str
    # The authority's certificate, in PEM.
    authority: str = dataclasses.field(repr=False)
    database_password: str = dataclasses.field(repr=False)
    broker_password: str = dataclasses.field(repr=False)

    @property
    def database_host(self) -> str:
        return host("postgres", self.namespace)

    @property
    def broker_host(self) -> str:
        return host("redis", self.namespace)

    @property
    def collector_host(self) -> str:
        return host("collector", self.namespace)

    def metrics(self) -> set[str]:
        """The names of the metrics that came to the collector."""
        text = self.kube.get_from_service(self.namespace, "collector", "4318", "")
        return set(text.split())

    def redis(self, *command: str) -> str:
        """What Redis answers, as the login of the broker."""
        redis = pod(self.kube, self.namespace, "redis")
        return self.kube.execute(redis, "sh", "-c", REDIS_CLI, "sh", *command)

    def stop_redis(self) -> None:
        """Ends Redis, which keeps nothing; returns when it is back, without any key."""

        def restarts() -> int:
            (status,) = pod(self.kube, self.namespace, "redis")["status"]["containerStatuses"]
            return int(status["restartCount"])

        before = restarts()
        self.kube.execute(pod(self.kube, self.namespace, "redis"), "sh", "-c", "kill 1")
        wait_until(
            "Redis has restarted",
            lambda: restarts() > before and is_ready(pod(self.kube, self.namespace, "redis")),
            seconds=180,
        )

    def sql(self, statement: str) -> str:
        """The rows that a statement gives, without a header."""
        return query(self.kube, pod(self.kube, self.namespace, "postgres"), statement)


def host(service: str, namespace: str) -> str:
    """The name that a service's certificate is for."""
    return f"{service}.{namespace}.svc.cluster.local"


def pod(kube: Kube, namespace: str, name: str) -> Object:
    (found,) = (pod for pod in kube.all_pods(namespace) if pod["metadata"]["name"] == name)
    return found


def query(kube: Kube, postgres: Object, statement: str) -> str:
    """Asks a PostgreSQL over its own socket."""
    return kube.execute(postgres, "psql", "-U", "airflow", "-d", "airflow", "-Atc", statement)


def start(kube: Kube, platform: Platform, namespace: str) -> ExternalServices:
    """Starts them in a namespace that exists; returns when they are ready."""
    ca = pki.authority("authority-of-a-test")
    services = ExternalServices(
        kube,
        namespace,
        ca.certificate.public_bytes(Encoding.PEM).decode(),
        secrets.token_urlsafe(24),
        # A URL must quote it, redis.conf must not.
        f"{secrets.token_urlsafe(24)}/+",
    )
    postgres_files = {"pg_hba.conf": PG_HBA, "password": services.database_password}
    redis_files = {
        "redis.conf": REDIS_CONF.format(password=services.broker_password, prefix=KEY_PREFIX)
    }
    postgres = {
        "image": platform.postgres_image,
        "args": [
            "postgres",
            *("-c", "ssl=on", "-c", "hba_file=/tls/pg_hba.conf"),
            *("-c", "ssl_cert_file=/tls/server.crt", "-c", "ssl_key_file=/tls/server.key"),
        ],
        "env": [
            {"name": "POSTGRES_USER", "value": "airflow"},
            {"name": "POSTGRES_PASSWORD_FILE", "value": "/tls/password"},
            PGDATA,
        ],
    }
    redis = {"image": platform.redis_image, "args": ["/tls/redis.conf"]}
    # Airflow's image has OpenTelemetry's messages.
    collector = {"image": platform.runtime_image, "args": ["python", "/tls/collector.py"]}
    for name, port, files, container in (
        ("postgres", 5432, postgres_files, postgres),
        ("redis", 6379, redis_files, redis),
        ("collector", 4318, {"collector.py": COLLECTOR}, collector),
    ):
        leaf = pki.issue(ca, pki.Leaf(name, name, hosts=(host(name, namespace),)))
        files |= {
            "ca.crt": services.authority,
            "server.crt": leaf.certificate.public_bytes(Encoding.PEM).decode(),
            "server.key": pki.private_pem(leaf.key).decode(),
        }
        for manifest in manifests(name, port, files, container):
            kube.create(manifest, namespace)
    wait_until(
        "all of them are ready",
        lambda: [is_ready(pod) for pod in kube.all_pods(namespace)] == [True] * 3,
        seconds=300,
    )
    return services


def manifests(
    name: str, port: int, files: dict[str, str], container: dict[str, Any]
) -> list[Object]:
    """A pod with a volume at /data, the Secret that is mounted in it at /tls, and its Service."""
    metadata = {"name": name, "labels": {"app": name}}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": files},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "containers": [
                    {
                        "name": name,
                        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
                        # Pods without a request get next to nothing where CPU is short.
                        "resources": {"requests": {"cpu": "100m"}},
                        "volumeMounts": [
                            {"name": "tls", "mountPath": "/tls"},
                            {"name": "data", "mountPath": "/data"},
                        ],
                        **container,
                    }
                ],
                "securityContext": {"runAsUser": 999, "runAsGroup": 999, "fsGroup": 999},
                "volumes": [
                    {"name": "tls", "secret": {"secretName": name, "defaultMode": 0o440}},
                    {"name": "data", "emptyDir": {}},
                ],
                "terminationGracePeriodSeconds": 1,
            },
        },
    ]
