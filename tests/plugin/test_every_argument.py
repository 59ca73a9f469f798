"""Every argument, in the shapes that other languages send, makes the same Deployment as from Python."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mock_engine import UNKNOWN, Resource, deploy
from tests.plugin.fake_engine import Plugin, output, started_plugin
from tests.specs import arguments, everything

SCHEMA = json.loads((Path(__file__).parents[2] / "schema.json").read_text())
INPUTS = SCHEMA["resources"]["astro:index:Deployment"]["inputProperties"]

TOLERATION = {
    "key": "a",
    "operator": "Equal",
    "value": "b",
    "effect": "NoExecute",
    "toleration_seconds": 60,
}
REQUESTS = {"cpu_request": "500m", "memory_request": "1Gi"}
SIZE = {"replicas": 2, "cpu": "1", "memory": "1Gi", **REQUESTS}
# Together they give every argument at least once; the tests see to it.
CASES: dict[str, Any] = {
    "everything": everything(
        network_policies={"enabled": True, "webserver_from": [{"podSelector": {}}]},
        http_route={
            "gateway": "g",
            "gateway_namespace": "n",
            "listener": "l",
            "host": "a.b",
            "path": "/c",
            "tls": True,
        },
        auth={"manager": "fab"},
        executor="celery",
        namespace="data",
        platform="linux/arm64",
        log_retention_days=3,
        description="the description",
        skip_dag_parse=True,
        max_removed_dags=3,
        database_downgrade="refuse",
        history_limit=10,
        termination_grace_period_seconds=700,
        timeouts={"release_job": 100, "rollout": 200},
    ),
    "external": arguments(
        database={
            "host": "db.test",
            "port": 5433,
            "name": "n",
            "username": "u",
            "password": "p",
            "ssl_mode": "verify-full",
            "ca_certificate": "PEM",
            "confirm_change": True,
        },
        pgbouncer={
            "image": "p",
            "replicas": 2,
            "cpu": "2",
            "memory": "1Gi",
            "pool_size": 30,
            "max_client_connections": 300,
            "settings": {"max_prepared_statements": "200"},
        },
        broker={
            "host": "redis.test",
            "port": 6380,
            "database": 2,
            "username": "u",
            "password": "p",
            "tls": True,
            "ca_certificate": "PEM",
        },
        remote_logging={"folder": "s3://a/b", "connection_id": "c", "encrypt_s3": False},
        metrics={"statsd_host": "s", "statsd_port": 1, "prefix": "p"},
        pod_template={
            "node_selector": {"a": "b"},
            "tolerations": [TOLERATION],
            "affinity": {"nodeAffinity": {"x": [1, {"y_z": "w"}]}},
        },
        registry={"repository": "a/b", "pull_repository": "c/d", "pull_secret": "e"},
        worker_queues=[
            {
                "name": "a",
                "min_count": 1,
                "max_count": 2,
                "cpu": "1",
                "tolerations": [TOLERATION],
                **REQUESTS,
            }
        ],
        **dict.fromkeys(("webserver", "scheduler", "triggerer", "dag_processor"), SIZE),
        autoscaling={"type": "cpu", "target_cpu_percent": 50, "cooldown_period_seconds": 60},
        service={"type": "NodePort", "node_port": 31000, "base_url": "https://a.b"},
        ingress={"host": "a.b", "path": "/", "annotations": {"c.d/e_f": "g"}},
    ),
    "urls": arguments(
        database={"url": "postgresql://u:p@h/n"},
        broker={"url": "redis://h"},
        connections={
            "by_uri": {"uri": "http://h"},
            "by_fields": {
                "type": "aws",
                "host": "h",
                "schema": "s",
                "login": "l",
                "password": "p",
                "port": 1,
                "extra": "{}",
            },
        },
        remote_logging={"elasticsearch_host": "https://es"},
        metrics={"otel_host": "o", "otel_port": 1},
        autoscaling={"type": "keda", "polling_interval_seconds": 5},
    ),
    "embedded": arguments(
        database={
            "image": "a",
            "storage_size": "1Gi",
            "storage_class": "c",
            "backup_before_downgrade": True,
        },
        broker={"image": "b", "storage_size": "1Gi", "storage_class": "c"},
    ),
}
# Given elsewhere: what needs a project on disk, or a release in a cluster.
NOT_HERE = {"project", "rollbackTo"}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    with started_plugin(tmp_path_factory.mktemp("program")) as running:
        yield running


def camel_case(key: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), key)


def walk(
    values: Any,
    definition: dict[str, Any],
    path: str,
    leaf: Callable[[Any, dict[str, Any], str], Any],
) -> Any:
    """`values` with the schema's names, and each leaf as `leaf(value, definition, path)` makes it."""
    reference = definition.get("$ref", "")
    if reference.startswith("#/types/"):
        return structure(values, SCHEMA["types"][reference.removeprefix("#/types/")], path, leaf)
    if isinstance(values, list):
        return [walk(value, definition["items"], path, leaf) for value in values]
    if isinstance(values, dict) and "additionalProperties" in definition:
        inner = definition["additionalProperties"]
        return {key: walk(value, inner, path, leaf) for key, value in values.items()}
    return leaf(values, definition, path)


def structure(
    values: Any, type_: dict[str, Any], path: str, leaf: Callable[[Any, dict[str, Any], str], Any]
) -> Any:
    properties = type_.get("inputProperties") or type_["properties"]
    return {
        (name := camel_case(key)): walk(
            value, properties[name], f"{path}.{name}" if path else name, leaf
        )
        for key, value in values.items()
    }


def sent(case: str, leaf: Callable[[Any, dict[str, Any], str], Any]) -> dict[str, Any]:
    inputs: dict[str, Any] = structure(
        CASES[case], SCHEMA["resources"]["astro:index:Deployment"], "", leaf
    )
    return inputs


def as_yaml(value: Any, definition: dict[str, Any], path: str) -> Any:
    """Numbers are floats."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_number else value


def as_outputs(value: Any, definition: dict[str, Any], path: str) -> Any:
    """TypeScript and Go: whatever may be an Output is one; and every second one is secret."""
    if definition.get("plain"):
        return as_yaml(value, definition, path)
    return output(value, secret=len(path) % 2 == 0)


def as_unknown(value: Any, definition: dict[str, Any], path: str) -> Any:
    """The preview of a program that makes everything else first."""
    return as_yaml(value, definition, path) if definition.get("plain") else UNKNOWN


def objects(resources: list[Resource]) -> dict[tuple[str, str], dict[str, Any]]:
    """By type and name; without the record, which marks the secrets among its arguments."""
    return {
        (r.type, re.sub(r"-origin-[0-9a-f]{8}$", "-origin", r.name)): r.inputs
        for r in resources
        if r.type != "astro:index:Deployment"
    }


RECORDS = {"analytics-release", "analytics-origin", "analytics-current-release"}


@pytest.mark.parametrize("leaf", [as_yaml, as_outputs])
@pytest.mark.parametrize("case", CASES)
def test_the_same_deployment(
    plugin: Plugin, case: str, leaf: Callable[[Any, dict[str, Any], str], Any]
) -> None:
    expected = objects(deploy(CASES[case]).resources)
    found = objects(plugin.construct(sent(case, leaf)).resources)
    assert set(found) == set(expected)
    for (kind, name), inputs in expected.items():
        if name in RECORDS or kind.endswith(
            ":Job"
        ):  # they carry a fingerprint of what is an Output
            continue
        assert found[kind, name] == inputs, name


@pytest.mark.parametrize("case", CASES)
def test_preview_with_everything_unknown(plugin: Plugin, case: str) -> None:
    planned = objects(plugin.construct(sent(case, as_unknown), preview=True).resources)
    assert set(planned) == set(objects(deploy(CASES[case]).resources))


def test_every_argument_is_tried() -> None:
    tried: set[str] = set()

    def note(value: Any, definition: dict[str, Any], path: str) -> Any:
        tried.add(path)
        return value

    for case in CASES:
        sent(case, note)
    assert set(paths(INPUTS, "")) - tried - NOT_HERE == set()


def paths(properties: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, definition in properties.items():
        path = f"{prefix}.{name}" if prefix else name
        inner = definition
        while "items" in inner or "additionalProperties" in inner:
            inner = inner.get("items") or inner["additionalProperties"]
        if inner.get("$ref", "").startswith("#/types/"):
            type_ = SCHEMA["types"][inner["$ref"].removeprefix("#/types/")]
            yield from paths(type_["properties"], path)
        else:
            yield path
