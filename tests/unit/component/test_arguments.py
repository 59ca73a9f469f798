"""What each argument of a Deployment does: one row each, and a new argument without a row fails.

`python -m tests.unit.component.test_arguments` prints the table.
"""

import fnmatch
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.mock_engine import Program, deploy, write_project
from tests.specs import arguments
from tests.unit.test_bad_arguments import all_arguments

PROJECT: Final = "project"  # below the folder that the tests run in
REPOSITORY: Final = "ghcr.io/acme/analytics"
POD: Final = "spec template spec"
CONTAINER: Final = f"{POD} containers 0"
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


def _sized(section: str, component: str, given: dict[str, Any]) -> Iterator[Row]:
    """The rows that all sizes have in common. `given` has 3, "1500m", "3Gi", "700m" and "2Gi"."""
    container = f"Deployment {component} {CONTAINER}"
    replicas = "min_count" if section == "worker_queues" else "replicas"
    yield Row(f"{section}.{replicas}", given, f"Deployment {component} spec replicas", 3)
    yield Row(f"{section}.cpu", given, f"{container} resources limits cpu", "1500m")
    yield Row(f"{section}.memory", given, f"{container} resources limits memory", "3Gi")
    if section != "pgbouncer":
        requests = f"{container} resources requests"
        yield Row(f"{section}.cpu_request", given, f"{requests} cpu", "700m")
        yield Row(f"{section}.memory_request", given, f"{requests} memory", "2Gi")


def _tolerations(section: str, component: str, given: Any) -> Iterator[Row]:
    one, other = f"Deployment {component} {POD} tolerations 0", {"key": "a", "value": "b"}
    toleration = {**other, "effect": "NoExecute", "toleration_seconds": 60}
    yield Row(f"{section}.key", given(toleration), f"{one} key", "a")
    yield Row(f"{section}.operator", given({"operator": "Exists"}), f"{one} operator", "Exists")
    yield Row(f"{section}.value", given(toleration), f"{one} value", "b")
    yield Row(f"{section}.effect", given(toleration), f"{one} effect", "NoExecute")
    yield Row(f"{section}.toleration_seconds", given(toleration), f"{one} tolerationSeconds", 60)


def _rows() -> Iterator[Row]:
    yield from _image_rows()
    yield from _size_rows()
    yield from _setting_rows()
    yield from _service_rows()
    yield from _exposure_rows()
    yield from _operation_rows()


def _image_rows() -> Iterator[Row]:
    built = {
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
    login = "Secret registry stringData .dockerconfigjson"
    image = "Image image"
    yield Row("project", built, f"{image} build context", Contains(".astro-pulumi/contexts/"))
    yield Row("platform", built, f"{image} build platform", "linux/arm64")
    yield Row("registry.repository", built, f"{image} imageName", Contains(f"{REPOSITORY}:"))
    yield Row("registry.username", built, login, Contains('"username": "acme"'))
    yield Row("registry.password", built, login, Contains('"password": "hunter2"'))
    yield Row(
        "registry.pull_repository",
        built,
        f"Deployment scheduler {CONTAINER} image",
        Contains("mirror:5000/analytics@sha256:"),
    )
    yield Row(
        "registry.pull_secret",
        {"registry": {"repository": REPOSITORY, "pull_secret": "mine"}},
        "ServiceAccount airflow imagePullSecrets 0 name",
        "mine",
    )
    other = {"image": f"{REPOSITORY}@sha256:abc", "airflow_version": "2.10.4", "namespace": "data"}
    yield Row("image", other, f"Deployment scheduler {CONTAINER} image", other["image"])
    yield Row("airflow_version", other, f"Deployment webserver {CONTAINER} args 1", "webserver")
    yield Row("namespace", other, "Deployment scheduler metadata namespace", "data")


def _size_rows() -> Iterator[Row]:
    requests = {"cpu_request": "700m", "memory_request": "2Gi"}
    size = {"replicas": 3, "cpu": "1500m", "memory": "3Gi"}
    for section in ("webserver", "scheduler", "triggerer", "dag_processor"):
        yield from _sized(section, section.replace("_", "-"), {section: {**size, **requests}})

    queue = {
        "name": "a",
        "concurrency": 7,
        "min_count": 3,
        "cpu": "1500m",
        "memory": "3Gi",
        "ephemeral_storage": "20Gi",
        "termination_grace_period_seconds": 60,
        "node_selector": {"pool": "big"},
        **requests,
    }
    queues = {"worker_queues": [queue]}
    worker = f"Deployment worker-a {CONTAINER}"
    yield from _sized("worker_queues", "worker-a", queues)
    yield Row("worker_queues.name", queues, f"{worker} args 4", Contains("a,"))
    yield Row("worker_queues.concurrency", queues, f"{worker} args 6", "7")
    yield Row(
        "worker_queues.ephemeral_storage",
        queues,
        f"{worker} resources limits ephemeral-storage",
        "20Gi",
    )
    yield Row(
        "worker_queues.termination_grace_period_seconds",
        queues,
        f"Deployment worker-a {POD} terminationGracePeriodSeconds",
        60,
    )
    yield Row(
        "worker_queues.node_selector",
        queues,
        f"Deployment worker-a {POD} nodeSelector",
        {"pool": "big"},
    )
    yield from _tolerations(
        "worker_queues.tolerations",
        "worker-a",
        lambda one: {"worker_queues": [{"name": "a", "tolerations": [one]}]},
    )
    yield Row(
        "termination_grace_period_seconds",
        {"termination_grace_period_seconds": 700},
        f"Deployment worker-default {POD} terminationGracePeriodSeconds",
        700,
    )

    scaled = [{"name": "a", "min_count": 1, "max_count": 4, "cpu": "2"}]
    by_cpu = {
        "worker_queues": scaled,
        "autoscaling": {"target_cpu_percent": 50, "cooldown_period_seconds": 60},
    }
    by_tasks = {
        "worker_queues": scaled,
        "autoscaling": {"type": "keda", "polling_interval_seconds": 5},
    }
    hpa = "HorizontalPodAutoscaler worker-a spec"
    yield Row("worker_queues.max_count", by_cpu, f"{hpa} maxReplicas", 4)
    yield Row(
        "autoscaling.target_cpu_percent",
        by_cpu,
        f"{hpa} metrics 0 resource target averageValue",
        "1000m",
    )
    yield Row(
        "autoscaling.cooldown_period_seconds",
        by_cpu,
        f"{hpa} behavior scaleDown stabilizationWindowSeconds",
        60,
    )
    yield Row("autoscaling.type", by_tasks, "ScaledObject worker-a spec maxReplicaCount", 4)
    yield Row(
        "autoscaling.polling_interval_seconds",
        by_tasks,
        "ScaledObject worker-a spec pollingInterval",
        5,
    )

    template = {
        "pod_template": {
            "labels": {"team": "data"},
            "annotations": {"a": "b"},
            "service_account_annotations": {"c": "d"},
            "node_selector": {"pool": "small"},
            "affinity": {"nodeAffinity": {}},
            "priority_class": "high",
        }
    }
    pods = "Deployment scheduler spec template"
    yield Row("pod_template.labels", template, f"{pods} metadata labels team", "data")
    yield Row("pod_template.annotations", template, f"{pods} metadata annotations", {"a": "b"})
    yield Row(
        "pod_template.service_account_annotations",
        template,
        "ServiceAccount airflow metadata annotations",
        {"c": "d"},
    )
    yield Row(
        "pod_template.node_selector", template, f"{pods} spec nodeSelector", {"pool": "small"}
    )
    yield Row("pod_template.affinity", template, f"{pods} spec affinity", {"nodeAffinity": {}})
    yield Row("pod_template.priority_class", template, f"{pods} spec priorityClassName", "high")
    yield from _tolerations(
        "pod_template.tolerations",
        "scheduler",
        lambda one: {"pod_template": {"tolerations": [one]}},
    )


def _setting_rows() -> Iterator[Row]:
    by_fields = {
        "type": "postgres",
        "host": "h",
        "schema": "s",
        "login": "l",
        "password": "p",
        "port": 1,
        "extra": '{"e": 1}',
    }
    given = {
        "environment": {"A": "b"},
        "secret_environment": {"C": "d"},
        "connections": {"one": {"uri": "http://h"}, "two": by_fields},
        "variables": {"greeting": "hello"},
    }
    one = "Secret connections stringData AIRFLOW_CONN_ONE"
    two = "Secret connections stringData AIRFLOW_CONN_TWO"
    yield Row("environment", given, f"{SETTINGS} A", "b")
    yield Row("secret_environment", given, "Secret environment stringData C", "d")
    yield Row("connections.uri", given, one, "http://h")
    yield Row("connections.type", given, two, Contains('"conn_type": "postgres"'))
    yield Row("connections.host", given, two, Contains('"host": "h"'))
    yield Row("connections.schema", given, two, Contains('"schema": "s"'))
    yield Row("connections.login", given, two, Contains('"login": "l"'))
    yield Row("connections.password", given, two, Contains('"password": "p"'))
    yield Row("connections.port", given, two, Contains('"port": 1'))
    yield Row("connections.extra", given, two, Contains('"extra": "{\\"e\\": 1}"'))
    yield Row("variables", given, "Secret connections stringData AIRFLOW_VAR_GREETING", "hello")

    logging = f"{SETTINGS} AIRFLOW__LOGGING__"
    s3 = {"remote_logging": {"folder": "s3://b/p", "connection_id": "aws", "encrypt_s3": True}}
    elastic = {"remote_logging": {"elasticsearch_host": "https://u:p@es:9200"}}
    yield Row("remote_logging.folder", s3, f"{logging}REMOTE_BASE_LOG_FOLDER", "s3://b/p")
    yield Row("remote_logging.connection_id", s3, f"{logging}REMOTE_LOG_CONN_ID", "aws")
    yield Row("remote_logging.encrypt_s3", s3, f"{logging}ENCRYPT_S3_LOGS", "True")
    yield Row(
        "remote_logging.elasticsearch_host",
        elastic,
        "Secret environment stringData AIRFLOW__ELASTICSEARCH__HOST",
        "https://u:p@es:9200",
    )
    yield Row(
        "log_retention_days",
        {"log_retention_days": 3},
        f"Deployment scheduler {POD} containers log-groomer args 4",
        "3",
    )

    metrics = f"{SETTINGS} AIRFLOW__METRICS__"
    statsd = {"metrics": {"statsd_host": "s.test", "statsd_port": 9, "prefix": "p"}}
    otel = {"metrics": {"otel_host": "o.test", "otel_port": 8}}
    exporter = {"metrics": {"exporter_image": "exporter:1", "service_monitor": True}}
    yield Row("metrics.statsd_host", statsd, f"{metrics}STATSD_HOST", "s.test")
    yield Row("metrics.statsd_port", statsd, f"{metrics}STATSD_PORT", "9")
    yield Row("metrics.prefix", statsd, f"{metrics}STATSD_PREFIX", "p")
    yield Row("metrics.otel_host", otel, f"{metrics}OTEL_HOST", "o.test")
    yield Row("metrics.otel_port", otel, f"{metrics}OTEL_PORT", "8")
    yield Row(
        "metrics.exporter_image", exporter, f"Deployment statsd {CONTAINER} image", "exporter:1"
    )
    yield Row(
        "metrics.service_monitor",
        exporter,
        "ServiceMonitor statsd spec endpoints 0 port",
        "metrics",
    )


def _service_rows() -> Iterator[Row]:
    url = "Secret metadata stringData AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    certificate = "Secret certificates stringData"
    database = {
        "database": {
            "host": "db.test",
            "port": 5433,
            "name": "n",
            "username": "u",
            "password": "p",
            "ssl_mode": "verify-full",
            "ca_certificate": "PEM",
        }
    }
    yield Row(
        "database.url",
        {"database": {"url": "postgresql://u:p@h/n"}},
        url,
        "postgresql+psycopg2://u:p@h/n",
    )
    yield Row("database.host", database, url, Contains("@db.test:"))
    yield Row("database.port", database, url, Contains(":5433/"))
    yield Row("database.name", database, url, Contains(":5433/n?"))
    yield Row("database.username", database, url, Contains("//u:"))
    yield Row("database.password", database, url, Contains(":p@"))
    yield Row("database.ssl_mode", database, url, Contains("sslmode=verify-full"))
    yield Row("database.ca_certificate", database, f"{certificate} database-ca.pem", "PEM")

    broker_url = "Secret broker stringData AIRFLOW__CELERY__BROKER_URL"
    broker = {
        "broker": {
            "host": "redis.test",
            "port": 6380,
            "database": 2,
            "username": "u",
            "password": "p",
            "tls": True,
            "ca_certificate": "PEM",
        }
    }
    yield Row("broker.url", {"broker": {"url": "redis://:p@h:1/2"}}, broker_url, "redis://:p@h:1/2")
    yield Row("broker.host", broker, broker_url, Contains("@redis.test:"))
    yield Row("broker.port", broker, broker_url, Contains(":6380/"))
    yield Row("broker.database", broker, broker_url, Contains(":6380/2?"))
    yield Row("broker.username", broker, broker_url, Contains("//u:"))
    yield Row("broker.password", broker, broker_url, Contains(":p@"))
    yield Row("broker.tls", broker, broker_url, Contains("rediss://"))
    yield Row("broker.ca_certificate", broker, f"{certificate} broker-ca.pem", "PEM")

    embedded = {"image": "mine:1", "storage_size": "20Gi", "storage_class": "fast"}
    for section, component in (("database", "postgresql"), ("broker", "redis")):
        given = {section: embedded}
        claim = f"StatefulSet {component} spec volumeClaimTemplates 0 spec"
        image = f"StatefulSet {component} {CONTAINER} image"
        yield Row(f"{section}.image", given, image, "mine:1")
        yield Row(f"{section}.storage_class", given, f"{claim} storageClassName", "fast")
        yield Row(f"{section}.storage_size", given, f"{claim} resources requests storage", "20Gi")

    pool = {
        "pgbouncer": {
            "image": "pgbouncer:1",
            "replicas": 3,
            "cpu": "1500m",
            "memory": "3Gi",
            "pool_size": 7,
            "max_client_connections": 70,
            "settings": {"max_prepared_statements": "200"},
        }
    }
    ini = "Secret pgbouncer stringData pgbouncer.ini"
    yield from _sized("pgbouncer", "pgbouncer", pool)
    yield Row("pgbouncer.image", pool, f"Deployment pgbouncer {CONTAINER} image", "pgbouncer:1")
    yield Row("pgbouncer.pool_size", pool, ini, Contains("default_pool_size = 7\n"))
    yield Row("pgbouncer.max_client_connections", pool, ini, Contains("max_client_conn = 70\n"))
    yield Row("pgbouncer.settings", pool, ini, Contains("max_prepared_statements = 200\n"))


def _exposure_rows() -> Iterator[Row]:
    service = {
        "service": {
            "type": "NodePort",
            "node_port": 31000,
            "annotations": {"a": "b"},
            "base_url": "https://airflow.acme.com",
        }
    }
    found = "Service webserver"
    yield Row("service.type", service, f"{found} spec type", "NodePort")
    yield Row("service.node_port", service, f"{found} spec ports http nodePort", 31000)
    yield Row("service.annotations", service, f"{found} metadata annotations a", "b")
    yield Row(
        "service.base_url",
        service,
        f"{SETTINGS} AIRFLOW__API__BASE_URL",
        "https://airflow.acme.com",
    )
    ingress = {
        "ingress": {
            "host": "a.b",
            "path": "/c",
            "class_name": "nginx",
            "tls_secret": "t",
            "annotations": {"d": "e"},
        }
    }
    found = "Ingress webserver"
    rule = f"{found} spec rules 0"
    yield Row("ingress.host", ingress, f"{rule} host", "a.b")
    yield Row("ingress.path", ingress, f"{rule} http paths 0 path", "/c")
    yield Row("ingress.class_name", ingress, f"{found} spec ingressClassName", "nginx")
    yield Row("ingress.tls_secret", ingress, f"{found} spec tls 0 secretName", "t")
    yield Row("ingress.annotations", ingress, f"{found} metadata annotations d", "e")
    route = {
        "http_route": {
            "gateway": "g",
            "gateway_namespace": "n",
            "listener": "l",
            "host": "a.b",
            "path": "/c",
            "tls": False,
        }
    }
    found = "HTTPRoute webserver spec"
    yield Row("http_route.gateway", route, f"{found} parentRefs 0 name", "g")
    yield Row("http_route.gateway_namespace", route, f"{found} parentRefs 0 namespace", "n")
    yield Row("http_route.listener", route, f"{found} parentRefs 0 sectionName", "l")
    yield Row("http_route.host", route, f"{found} hostnames 0", "a.b")
    yield Row("http_route.path", route, f"{found} rules 0 matches 0 path value", "/c")
    yield Row("http_route.tls", route, f"{SETTINGS} AIRFLOW__API__BASE_URL", "http://a.b/c")
    yield Row(
        "auth.manager",
        {"auth": {"manager": "simple"}},
        f"{SETTINGS} AIRFLOW__CORE__AUTH_MANAGER",
        Contains("SimpleAuthManager"),
    )
    closed: dict[str, Any] = {"network_policies": {"webserver_from": [{"podSelector": {}}]}}
    yield Row(
        "network_policies.webserver_from",
        closed,
        "NetworkPolicy webserver spec ingress -1 from",
        [{"podSelector": {}}],
    )
    open_ = {"network_policies": {"enabled": False}}
    yield Row("network_policies.enabled", open_, "NetworkPolicy webserver spec", None)


def _operation_rows() -> Iterator[Row]:
    given = {
        "description": "new sales model",
        "database_downgrade": "refuse",
        "history_limit": 7,
        "skip_dag_parse": True,
        "timeouts": {"release_job": 100, "rollout": 200},
    }
    variable = f"Job release-job {CONTAINER} env ASTRO_"
    yield Row("description", given, "ConfigMap origin-* data description", "new sales model")
    yield Row("database_downgrade", given, f"{variable}DATABASE_DOWNGRADE value", "refuse")
    yield Row("history_limit", given, f"{variable}HISTORY_LIMIT value", "7")
    yield Row("skip_dag_parse", given, f"{variable}SKIP_DAG_PARSE value", "true")
    yield Row(
        "timeouts.release_job", given, "Job release-job spec activeDeadlineSeconds", 100 + 600
    )
    yield Row("timeouts.rollout", given, "Deployment scheduler spec progressDeadlineSeconds", 200)


ROWS: Final = tuple(_rows())
# What needs more than one deploy to be seen, or has one value.
ELSEWHERE: Final = {
    "executor": "unit/component/test_validation.py::test_refused",
    "database.confirm_change": "unit/component/test_features.py::"
    "test_a_confirmed_change_of_the_database_goes_on",
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
    for test in ELSEWHERE.values():
        file, _, function = test.partition("::")
        assert f"def {function}" in (Path(__file__).parents[2] / file).read_text()


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
