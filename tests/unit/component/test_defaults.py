"""The defaults of arguments: what documents say, what the reader uses and what SDKs send are the same."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from astro_pulumi import args
from astro_pulumi.args import DEFAULTS
from astro_pulumi.pulumi_plugin import schema
from astro_pulumi.validation import specify
from tests.specs import arguments

PACKAGE = json.loads(schema(python_names=True))
# A literal after "Default:", such as `8Gi`, 5 or true. Other defaults are described in words.
LITERAL = re.compile(r"Default: (?:`([^`]+)`|(\d+|true|false)\b)")


def inputs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the type, Python name and definition of each argument."""
    types = {token: one.get("properties", {}) for token, one in PACKAGE["types"].items()}
    types |= {f"{token}Args": one["inputProperties"] for token, one in PACKAGE["resources"].items()}
    for token, properties in types.items():
        for key, definition in properties.items():
            name = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda upper: f"_{upper[1].lower()}", key)
            yield token.rpartition(":")[2], name, definition


def test_documents_state_the_defaults() -> None:
    names = {name for _, name, _ in inputs()}
    stated = {}
    for type_, name, definition in inputs():
        match = LITERAL.search(definition["description"])
        if match and match[1] not in names:
            stated[type_, name] = match[1] or json.loads(match[2])
    used = {
        (type_, name): default.value
        for type_, defaults in DEFAULTS.items()
        for name, default in defaults.items()
    }
    # A name of an argument is skipped above, though it may be a default as well.
    used = {key: value for key, value in used.items() if value not in names}
    assert stated == used


def test_every_argument_with_a_default_exists() -> None:
    known = {(type_, name) for type_, name, _ in inputs()}
    assert {(type_, name) for type_ in DEFAULTS for name in DEFAULTS[type_]} <= known
    assert set(DEFAULTS) <= set(args.__all__)


def test_true_or_false_always_has_a_default() -> None:
    flags = {(type_, name) for type_, name, one in inputs() if one.get("type") == "boolean"}
    assert [(type_, name) for type_, name in flags if name not in DEFAULTS.get(type_, {})] == []


def test_the_schema_shows_the_defaults_that_may_be_given() -> None:
    shown = {(type_, name) for type_, name, one in inputs() if "default" in one}
    sent = {
        (type_, name)
        for type_, defaults in DEFAULTS.items()
        for name, default in defaults.items()
        if default.in_schema
    }
    assert shown == sent


# The arguments that each section needs, so that it can be given.
NEEDED: Mapping[str, dict[str, Any]] = {
    "http_route": {"gateway": "g", "host": "a.b"},
    "ingress": {"host": "a.b"},
    "metrics": {"statsd_host": "s.test"},
    "pgbouncer": {"image": "pgbouncer:1"},
    "remote_logging": {"folder": "s3://b/p"},
    "database": {"host": "h", "login_from": {"secret": "s"}},
    "broker": {"host": "h", "login_from": {"secret": "s"}},
}


def with_defaults(type_: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as an SDK sends them: with the defaults of the schema."""
    sent: dict[str, Any] = {
        name: default.value
        for name, default in DEFAULTS.get(type_, {}).items()
        if default.in_schema
    }
    for name, value in given.items():
        token = definition_of(type_, name).get("$ref", "").rpartition(":")[2]
        sent[name] = with_defaults(token, value) if isinstance(value, dict) and token else value
    return sent


def definition_of(type_: str, name: str) -> dict[str, Any]:
    return next(one for owner, key, one in inputs() if (owner, key) == (type_, name))


SECTIONS = [
    name
    for type_, name, one in inputs()
    if type_ == "DeploymentArgs"
    and one.get("$ref", "").endswith("Args")
    and name not in ("registry", "fernet_key_from")
]


@pytest.mark.parametrize("section", SECTIONS)
def test_a_default_may_be_given_and_changes_nothing(section: str) -> None:
    given = arguments(**{section: NEEDED.get(section, {})})
    sent: Any = with_defaults("DeploymentArgs", given)
    assert sent != given
    assert specify("analytics", sent) == specify("analytics", given)


def test_the_defaults_of_a_queue_may_be_given() -> None:
    queue = {"name": "a"}
    sent = with_defaults("WorkerQueueArgs", queue)
    assert specify("analytics", arguments(worker_queues=[sent])) == specify(
        "analytics", arguments(worker_queues=[queue])
    )
