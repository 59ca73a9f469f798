"""What each argument of a Deployment does: one row each, and a new argument without a row fails.

`python -m tests.unit.component.test_arguments` prints the table.
"""

import fnmatch
import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

import pytest

from tests.mock_engine import Program, deploy, write_project
from tests.specs import (
    BY_URL,
    EMBEDDED,
    EXISTING,
    FERNET_KEY,
    PLACEMENT,
    PROCESSES,
    REPOSITORY,
    YOURS,
    arguments,
)
from tests.unit.test_bad_arguments import all_arguments

PROJECT: Final = "project"  # below the folder that the tests run in
POD: Final = "spec template spec"
CONTAINER: Final = f"{POD} containers 0"
SKEW: Final = "topologySpreadConstraints 0 maxSkew"
SETTINGS: Final = "ConfigMap settings data"


class Contains(str):
    """A part of the text that is found."""

    def __eq__(self, other: object) -> bool:
        return str(self) in str(other)

    __hash__ = str.__hash__


class Row(NamedTuple):
    """`argument`, given so, is found in an object that the Deployment makes."""

    argument: str
    given: dict[str, Any]
    # The object's kind and name, and where in it. Items of lists are named by their number or `name`.
    where: str
    expected: Any


# Few deploys with many arguments each: a deploy takes a while.
BUILT: Final[dict[str, Any]] = {
    "project": PROJECT,
    "image": None,
    "airflow_version": None,
    "platform": "linux/arm64",
    "registry": {
        "repository": REPOSITORY,
        "username": "acme",
        "password": "hunter2",
        "pull_repository": "mirror:5000/analytics",
    },
}


def _rows() -> Iterator[Row]:
    yield from _image_rows()
    yield from _size_rows()
    yield from _placement_rows()
    yield from _setting_rows()
    yield from _service_rows()
    yield from _existing_rows()
    yield from _exposure_rows()
    yield from _operation_rows()


def _image_rows() -> Iterator[Row]:
    login = "Secret registry stringData .dockerconfigjson"
    image, scheduler = "Image image", f"Deployment scheduler {CONTAINER}"
    yield Row("project", BUILT, f"{image} build context", Contains(".astro-pulumi/contexts/"))
    own = {**BUILT, "dag_deploys": True}
    yield Row("dag_deploys", own, "Image dags-image build args PODS_IMAGE", Contains("@sha256:"))
    yield Row("platform", BUILT, f"{image} build platform", "linux/arm64")
    yield Row("registry.repository", BUILT, f"{image} imageName", Contains(f"{REPOSITORY}:"))
    yield Row("registry.username", BUILT, login, Contains('"username": "acme"'))
    yield Row("registry.password", BUILT, login, Contains('"password": "hunter2"'))
    mirrored = Contains("mirror:5000/analytics@sha256:")
    yield Row("registry.pull_repository", BUILT, f"{scheduler} image", mirrored)
    pull_secret = "ServiceAccount airflow imagePullSecrets 0 name"
    yield Row("registry.pull_secret", YOURS, pull_secret, "mine")
    yield Row("image", BY_URL, f"{scheduler} image", BY_URL["image"])
    yield Row("airflow_version", BY_URL, f"Deployment webserver {CONTAINER} args 2", "webserver")
    yield Row("namespace", BY_URL, "Deployment scheduler metadata namespace", "data")


def _size_rows() -> Iterator[Row]:
    sized = [(section, section.replace("_", "-"), YOURS) for section in PROCESSES]
    sized += [("worker_queues", "worker-a", YOURS), ("pgbouncer", "pgbouncer", EMBEDDED)]
    for section, component, given in sized:
        replicas = "min_count" if section == "worker_queues" else "replicas"
        yield Row(f"{section}.{replicas}", given, f"Deployment {component} spec replicas", 3)
    worker = f"Deployment worker-a {CONTAINER}"
    yield Row("worker_queues.name", YOURS, f"{worker} args 5", Contains("a,"))
    yield Row("worker_queues.concurrency", YOURS, f"{worker} args 7", "7")
    name, period = "termination_grace_period_seconds", f"{POD} terminationGracePeriodSeconds"
    yield Row(f"worker_queues.{name}", YOURS, f"Deployment worker-a {period}", 60)
    yield Row(name, YOURS, f"Deployment worker-b {period}", 700)

    scaler = "HorizontalPodAutoscaler worker-a spec"
    target = f"{scaler} metrics 0 containerResource target averageUtilization"
    window = f"{scaler} behavior scaleDown stabilizationWindowSeconds"
    yield Row("worker_queues.max_count", EMBEDDED, f"{scaler} maxReplicas", 4)
    yield Row("autoscaling.target_cpu_percent", EMBEDDED, target, 50)
    yield Row("autoscaling.cooldown_period_seconds", EMBEDDED, window, 60)
    scaler = "ScaledObject worker-a spec"
    yield Row("autoscaling.type", BY_URL, f"{scaler} maxReplicaCount", 4)
    yield Row("autoscaling.polling_interval_seconds", BY_URL, f"{scaler} pollingInterval", 5)


def _placement_rows() -> Iterator[Row]:
    owners = [(f"{name}.", f"Deployment {name.replace('_', '-')}", YOURS) for name in PROCESSES]
    owners += [
        ("", "Job release-job", YOURS),
        ("worker_queues.", "Deployment worker-a", YOURS),
        ("database.", "StatefulSet postgresql", EMBEDDED),
        ("broker.", "StatefulSet redis", EMBEDDED),
        ("pgbouncer.", "Deployment pgbouncer", EMBEDDED),
        ("metrics.", "Deployment statsd", BY_URL),
    ]
    spread = ("worker_queues.", "pgbouncer.", *(f"{name}." for name in PROCESSES))
    for owner, workload, given in owners:
        if owner:
            limits = f"{workload} {CONTAINER} resources"
            yield Row(f"{owner}resources.limits", given, f"{limits} limits cpu", "1500m")
            yield Row(f"{owner}resources.requests", given, f"{limits} requests cpu", "700m")
        pod, name = f"{workload} {POD}", f"{owner}placement"
        yield Row(f"{name}.node_selector", given, f"{pod} nodeSelector", {"pool": "small"})
        yield Row(f"{name}.affinity", given, f"{pod} affinity", PLACEMENT["affinity"])
        yield Row(f"{name}.priority_class", given, f"{pod} priorityClassName", "high")
        constraints = f"{name}.topology_spread_constraints"
        where = pod if owner in spread else f"Deployment scheduler {POD}"
        yield Row(constraints, given if where == pod else YOURS, f"{where} {SKEW}", 2)
        one = f"{pod} tolerations 0"
        yield Row(f"{name}.tolerations.key", given, f"{one} key", "a")
        yield Row(f"{name}.tolerations.operator", given, f"{one} operator", "Equal")
        yield Row(f"{name}.tolerations.value", given, f"{one} value", "b")
        yield Row(f"{name}.tolerations.effect", given, f"{one} effect", "NoExecute")
        yield Row(f"{name}.tolerations.toleration_seconds", given, f"{one} tolerationSeconds", 60)
    for owner, workload, given in owners:
        if given is YOURS:
            label = f"{workload} spec template metadata labels team"
            yield Row(f"{owner}pod_template", given, label, "data")
    account = "ServiceAccount airflow metadata annotations c"
    yield Row("service_account_annotations", YOURS, account, "d")
    user = f"Deployment scheduler {CONTAINER} env USER value"
    yield Row("fixed_user_ids", YOURS, user, "airflow")


def _setting_rows() -> Iterator[Row]:
    secret = "Secret connections stringData AIRFLOW_"
    one, two = f"{secret}CONN_ONE", f"{secret}CONN_TWO"
    yield Row("environment", YOURS, f"{SETTINGS} A", "b")
    yield Row("secret_environment", YOURS, "Secret environment stringData C", "d")
    yield Row("connections.uri", YOURS, one, "http://h")
    yield Row("connections.type", YOURS, two, Contains('"conn_type": "postgres"'))
    yield Row("connections.host", YOURS, two, Contains('"host": "h"'))
    yield Row("connections.schema", YOURS, two, Contains('"schema": "s"'))
    yield Row("connections.login", YOURS, two, Contains('"login": "l"'))
    yield Row("connections.password", YOURS, two, Contains('"password": "p"'))
    yield Row("connections.port", YOURS, two, Contains('"port": 1'))
    yield Row("connections.extra", YOURS, two, Contains('"extra": "{\\"e\\": 1}"'))
    yield Row("variables", YOURS, f"{secret}VAR_GREETING", "hello")

    logging, groomer = f"{SETTINGS} AIRFLOW__LOGGING__", f"{POD} containers log-groomer args 4"
    elastic = "Secret environment stringData AIRFLOW__ELASTICSEARCH__HOST"
    yield Row("remote_logging.folder", YOURS, f"{logging}REMOTE_BASE_LOG_FOLDER", "s3://b/p")
    yield Row("remote_logging.connection_id", YOURS, f"{logging}REMOTE_LOG_CONN_ID", "aws")
    yield Row("remote_logging.encrypt_s3", YOURS, f"{logging}ENCRYPT_S3_LOGS", "True")
    yield Row("remote_logging.elasticsearch_host", EMBEDDED, elastic, "https://u:p@es:9200")
    yield Row("log_retention_days", YOURS, f"Deployment scheduler {groomer}", "3")

    metrics, monitor = f"{SETTINGS} AIRFLOW__METRICS__", "ServiceMonitor statsd spec endpoints 0"
    exporter = f"Deployment statsd {CONTAINER} image"
    yield Row("metrics.statsd_host", YOURS, f"{metrics}STATSD_HOST", "s.test")
    yield Row("metrics.statsd_port", YOURS, f"{metrics}STATSD_PORT", "9")
    yield Row("metrics.prefix", YOURS, f"{metrics}STATSD_PREFIX", "p")
    yield Row("metrics.otel_host", EMBEDDED, f"{metrics}OTEL_HOST", "o.test")
    yield Row("metrics.otel_port", EMBEDDED, f"{metrics}OTEL_PORT", "8")
    yield Row("metrics.exporter_image", BY_URL, exporter, "exporter:1")
    yield Row("metrics.service_monitor", BY_URL, f"{monitor} port", "metrics")


def _service_rows() -> Iterator[Row]:
    url = "Secret metadata stringData AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    certificate = "Secret certificates stringData"
    yield Row("database.url", BY_URL, url, Contains("postgresql+psycopg2://u:p@h/n?"))
    yield Row("database.host", YOURS, url, Contains("@db.test:"))
    yield Row("database.port", YOURS, url, Contains(":5433/"))
    yield Row("database.name", YOURS, url, Contains(":5433/n?"))
    yield Row("database.username", YOURS, url, Contains("//u:"))
    yield Row("database.password", YOURS, url, Contains(":p@"))
    yield Row("database.ssl_mode", YOURS, url, Contains("sslmode=verify-full"))
    yield Row("database.ca_certificate", YOURS, f"{certificate} database-ca.pem", "PEM")
    url = "Secret broker stringData AIRFLOW__CELERY__BROKER_URL"
    yield Row("broker.url", BY_URL, url, "redis://:p@h:1/2")
    yield Row("broker.host", YOURS, url, Contains("@redis.test:"))
    yield Row("broker.port", YOURS, url, Contains(":6380/"))
    yield Row("broker.database", YOURS, url, Contains(":6380/2?"))
    yield Row("broker.username", YOURS, url, Contains("//u:"))
    yield Row("broker.password", YOURS, url, Contains(":p@"))
    yield Row("broker.tls", YOURS, url, Contains("rediss://"))
    yield Row("broker.ca_certificate", YOURS, f"{certificate} broker-ca.pem", "PEM")
    for section, component in (("database", "postgresql"), ("broker", "redis")):
        claim = f"StatefulSet {component} spec volumeClaimTemplates 0 spec"
        image, size = f"StatefulSet {component} {CONTAINER} image", "resources requests storage"
        yield Row(f"{section}.image", EMBEDDED, image, "mine:1")
        yield Row(f"{section}.storage_class", EMBEDDED, f"{claim} storageClassName", "fast")
        yield Row(f"{section}.storage_size", EMBEDDED, f"{claim} {size}", "20Gi")
    claim = f"Job release-job {CONTAINER} env ASTRO_BACKUP_CLAIM value"
    yield Row("database.backup_before_downgrade", EMBEDDED, claim, "analytics-backups")
    ini, pool = "Secret pgbouncer stringData pgbouncer.ini", "pgbouncer"
    image = f"Deployment pgbouncer {CONTAINER} image"
    yield Row(f"{pool}.image", EMBEDDED, image, "pgbouncer:1")
    yield Row(f"{pool}.pool_size", EMBEDDED, ini, Contains("default_pool_size = 7\n"))
    yield Row(f"{pool}.max_client_connections", EMBEDDED, ini, Contains("max_client_conn = 70\n"))
    yield Row(f"{pool}.settings", EMBEDDED, ini, Contains("max_prepared_statements = 200\n"))


def _existing_rows() -> Iterator[Row]:
    yield Row(
        "fernet_key", YOURS, "Secret metadata stringData AIRFLOW__CORE__FERNET_KEY", FERNET_KEY
    )
    scheduler, job = f"Deployment scheduler {CONTAINER}", f"Job release-job {CONTAINER}"
    source = f"{scheduler} envFrom"
    yield Row("environment_from.secret", EXISTING, f"{source} 0 secretRef name", "tokens")
    yield Row("environment_from.config_map", EXISTING, f"{source} 1 configMapRef name", "shared")
    yield Row("environment_from.prefix", EXISTING, f"{source} 1 prefix", "AIRFLOW_VAR_")
    for argument, variable, name, key in (
        ("connections.value_from", f"{job} env AIRFLOW_CONN_ONE", "connections", "one"),
        ("variables_from", f"{job} env AIRFLOW_VAR_PASSWORD", "words", "open"),
        ("fernet_key_from", f"{scheduler} env AIRFLOW__CORE__FERNET_KEY", "fernet", "keys"),
        ("auth.admin_password_from", f"{job} env ASTRO_ADMIN_PASSWORD", "admin", "word"),
    ):
        reference = f"{variable} valueFrom secretKeyRef"
        yield Row(f"{argument}.secret", EXISTING, f"{reference} name", name)
        yield Row(f"{argument}.key", EXISTING, f"{reference} key", key)
    reference = f"{job} env AIRFLOW_VAR_GREETING valueFrom configMapKeyRef name"
    yield Row("variables_from.config_map", EXISTING, reference, "words")
    reference = f"{job} env AIRFLOW_CONN_TWO valueFrom configMapKeyRef name"
    yield Row("connections.value_from.config_map", EXISTING, reference, "words")
    for section, secret in (("database", "db-login"), ("broker", "redis-login")):
        variable = f"{scheduler} env ASTRO_{section.upper()}_"
        username = f"{variable}USERNAME valueFrom secretKeyRef"
        password = f"{variable}PASSWORD valueFrom secretKeyRef key"
        yield Row(f"{section}.login_from.secret", EXISTING, f"{username} name", secret)
        yield Row(f"{section}.login_from.username_key", EXISTING, f"{username} key", "user")
        yield Row(f"{section}.login_from.password_key", EXISTING, password, "pass")
    files = f"Deployment scheduler {POD} volumes certificates projected sources"
    of_database, of_broker = f"{files} 0 configMap", f"{files} 1 secret"
    name = "ca_certificate_from"
    yield Row(f"database.{name}.config_map", EXISTING, f"{of_database} name", "authorities")
    yield Row(f"database.{name}.key", EXISTING, f"{of_database} items 0 key", "db.pem")
    yield Row(f"broker.{name}.secret", EXISTING, f"{of_broker} name", "redis-ca")
    yield Row(f"broker.{name}.key", EXISTING, f"{of_broker} items 0 key", "ca.crt")
    of_database, of_broker = f"{files} 0 secret", f"{files} 1 configMap"
    yield Row(f"database.{name}.secret", BY_URL, f"{of_database} name", "db-ca")
    yield Row(f"broker.{name}.config_map", BY_URL, f"{of_broker} name", "authorities")


def _exposure_rows() -> Iterator[Row]:
    base_url = f"{SETTINGS} AIRFLOW__API__BASE_URL"
    found = "Service webserver"
    yield Row("service.type", YOURS, f"{found} spec type", "NodePort")
    yield Row("service.node_port", YOURS, f"{found} spec ports http nodePort", 31000)
    yield Row("service.annotations", YOURS, f"{found} metadata annotations a", "b")
    yield Row("service.base_url", YOURS, base_url, "https://airflow.acme.com")
    found = "Ingress webserver"
    yield Row("ingress.host", YOURS, f"{found} spec rules 0 host", "a.b")
    yield Row("ingress.path", YOURS, f"{found} spec rules 0 http paths 0 path", "/c")
    yield Row("ingress.class_name", YOURS, f"{found} spec ingressClassName", "nginx")
    yield Row("ingress.tls_secret", YOURS, f"{found} spec tls 0 secretName", "t")
    yield Row("ingress.annotations", YOURS, f"{found} metadata annotations d", "e")
    found = "HTTPRoute webserver spec"
    yield Row("http_route.gateway", EMBEDDED, f"{found} parentRefs 0 name", "g")
    yield Row("http_route.gateway_namespace", EMBEDDED, f"{found} parentRefs 0 namespace", "n")
    yield Row("http_route.listener", EMBEDDED, f"{found} parentRefs 0 sectionName", "l")
    yield Row("http_route.host", EMBEDDED, f"{found} hostnames 0", "a.b")
    yield Row("http_route.path", EMBEDDED, f"{found} rules 0 matches 0 path value", "/c")
    yield Row("http_route.tls", EMBEDDED, base_url, "http://a.b/c")
    manager = f"{SETTINGS} AIRFLOW__CORE__AUTH_MANAGER"
    yield Row("auth.manager", EMBEDDED, manager, Contains("SimpleAuthManager"))
    password = "Secret admin stringData ASTRO_ADMIN_PASSWORD"
    yield Row("auth.admin_password", YOURS, password, "s3same")
    callers = "NetworkPolicy webserver spec ingress -1 from"
    yield Row("network_policies.webserver_from", EMBEDDED, callers, [{"podSelector": {}}])
    called = "NetworkPolicy webserver spec egress -1"
    yield Row("network_policies.egress", EMBEDDED, called, {"ports": [{"port": 8200}]})
    yield Row("network_policies.enabled", BY_URL, "NetworkPolicy webserver spec", None)


def _operation_rows() -> Iterator[Row]:
    variable, deadline = (
        f"Job release-job {CONTAINER} env ASTRO_",
        "spec template spec activeDeadlineSeconds",
    )
    progress = "Deployment scheduler spec progressDeadlineSeconds"
    yield Row("database_downgrade", YOURS, f"{variable}DATABASE_DOWNGRADE value", "refuse")
    yield Row("history_limit", YOURS, f"{variable}HISTORY_LIMIT value", "7")
    yield Row("timeouts.release_job", YOURS, f"Job release-job {deadline}", 100 + 700)
    yield Row("timeouts.rollout", YOURS, progress, 200)


ROWS: Final = tuple(_rows())
# What needs more than one deploy to be seen, or has one value.
ELSEWHERE: Final = {
    "build_secrets": "unit/component/test_build_secrets.py::test_the_build_gets_them_as_one_secret",
    "rollback_to": "unit/release/test_rollback.py",
}


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A program's folder with an Astro project in it."""
    folder = tmp_path_factory.mktemp("program")
    write_project(folder / PROJECT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield
    _deployed.cache_clear()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.argument)
def test_argument(row: Row) -> None:
    kind, name, *steps = row.where.split(" ")
    assert row.expected == _found(row.given, kind, name, steps)
    assert row.expected != _found({}, kind, name, steps), "this is so without the argument, too"


def test_every_argument_has_a_row() -> None:
    arguments_there_are = {
        ".".join(step for step in path if isinstance(step, str) and step != "warehouse")
        for path, _ in all_arguments()
    }
    sections = {name.rpartition(".")[0] for name in arguments_there_are}
    tested = {row.argument for row in ROWS} | set(ELSEWHERE)
    assert arguments_there_are - sections == tested


@cache
def _deployed(given: str) -> Program:
    return deploy(arguments(**json.loads(given)))


def _found(given: dict[str, Any], kind: str, name: str, steps: list[str]) -> Any:
    """What is there in the object; None when nothing is."""
    try:
        (found,) = (
            resource.inputs
            for resource in _deployed(json.dumps(given)).resources[1:]
            if resource.kind == kind and fnmatch.fnmatch(resource.name, f"analytics-{name}")
        )
        for step in steps:
            found = _step(found, step)
    except (KeyError, IndexError, StopIteration, ValueError):
        return None
    return found


def _step(found: Any, step: str) -> Any:
    if not isinstance(found, list):
        return found[step]
    if step.lstrip("-").isdigit():
        return found[int(step)]
    return next(item for item in found if item["name"] == step)


def main() -> None:
    """Prints each argument with what is asserted of it."""
    for row in ROWS:
        expected = f"has {row.expected!s}" if isinstance(row.expected, Contains) else row.expected
        print(f"{row.argument:50} test_argument[{row.argument}]: {row.where} = {expected}")
    for argument, test in ELSEWHERE.items():
        print(f"{argument:50} {test}")
    print(f"{len(ROWS) + len(ELSEWHERE)} arguments")


if __name__ == "__main__":
    main()
