"""Every argument of a Deployment, given wrongly in every way: the answer names it, in the user's words.

The cases are made from the argument types themselves, so that a new argument is tested as soon as it is
there; what types cannot say stands in a table below.
"""

import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from enum import EnumMeta
from typing import (
    Any,
    Final,
    NamedTuple,
    NotRequired,
    Union,
    cast,
    get_args,
    get_origin,
    is_typeddict,
)

import pulumi
import pytest

from astro_pulumi.args import DeploymentArgs
from astro_pulumi.errors import ArgumentError, AstroError
from astro_pulumi.validation import specify
from tests.unit.project.projects import write_project

IMAGE: Final = "ghcr.io/acme/analytics@sha256:" + "0" * 64
LEAST: Final[dict[str, Any]] = {"image": IMAGE, "airflow_version": "3.3"}

PROCESSES: Final = ("webserver", "scheduler", "triggerer", "dag_processor")
WITH_PLACEMENT: Final = (
    *PROCESSES,
    *("worker_queues[0]", "database", "pgbouncer", "broker", "metrics"),
)
# What a section cannot be without.
REQUIRED: Final[dict[str, dict[str, Any]]] = {
    "registry": {"repository": "ghcr.io/acme/analytics"},
    "pgbouncer": {"image": "pgbouncer:1"},
    "worker_queues[0]": {"name": "default"},
    **{
        f"{owner}placement.tolerations[0]": {"key": "pool"}
        for owner in ("", *(f"{section}." for section in WITH_PLACEMENT))
    },
    "metrics": {"exporter_image": "exporter:1"},
    "ingress": {"host": "airflow.acme.com"},
    "http_route": {"gateway": "public", "host": "airflow.acme.com"},
    "connections['warehouse']": {"type": "postgres"},
    "remote_logging": {"folder": "s3://logs/a"},
    "environment_from[0]": {"secret": "s"},
    **{
        name: {"secret": "s", "key": "k"}
        for name in (
            "connections['warehouse'].value_from",
            "variables_from['warehouse']",
            "fernet_key_from",
            "database.ca_certificate_from",
            "broker.ca_certificate_from",
            "auth.admin_password_from",
        )
    },
    "database.login_from": {"secret": "s"},
    "broker.login_from": {"secret": "s"},
}
# What has to be there besides, or must not (None), for an argument to be looked at.
A_DATABASE: Final = {"host": "db", "username": "u", "password": "p"}
BESIDES: Final[dict[str, dict[str, Any]]] = {
    "registry.username": {"password": "x"},
    "registry.password": {"username": "x"},
    "service.node_port": {"type": "NodePort"},
    **{
        f"database.{name}": A_DATABASE
        for name in (
            *("host", "port", "name", "username", "password", "ssl_mode"),
            *("ca_certificate", "ca_certificate_from"),
        )
    },
    "database.login_from": {"host": "db"},
    **{
        f"broker.{name}": {"host": "redis"}
        for name in (
            *("port", "database", "username", "password", "login_from", "tls"),
            *("ca_certificate", "ca_certificate_from"),
        )
    },
    "connections['warehouse'].uri": {"type": None},
    "connections['warehouse'].value_from": {"type": None},
    "environment_from[0].config_map": {"secret": None},
    "connections['warehouse'].value_from.config_map": {"secret": None},
    "variables_from['warehouse'].config_map": {"secret": None},
    "database.ca_certificate_from.config_map": {"secret": None},
    "broker.ca_certificate_from.config_map": {"secret": None},
    **{
        f"metrics.{name}": {"exporter_image": None, f"{name.partition('_')[0]}_host": "h"}
        for name in ("statsd_host", "statsd_port", "otel_host", "otel_port")
    },
    "remote_logging.elasticsearch_host": {"folder": None},
}
# `project` and `image` are in the table below, `platform` means nothing without a project, and releases
# have tests of their own.
TESTED_ELSEWHERE: Final = {("project",), ("image",), ("platform",), ("rollback_to",)}
# Strings that are quantities may be numbers as well.
QUANTITIES: Final = {"storage_size"}
A_MAPPING: Final = {"a": "b"}
WRONG: Final[dict[Any, tuple[Any, ...]]] = {
    str: (5, True, ["x"], A_MAPPING, "", "  ", pulumi.Output.from_input("later")),
    int: (
        "5",
        1.5,
        math.nan,
        math.inf,
        True,
        -1,
        10**12,
        [5],
        A_MAPPING,
        pulumi.Output.from_input(5),
    ),
    bool: ("yes", 1, 0.0, ["x"], A_MAPPING, pulumi.Output.from_input(True)),
    Mapping: ("x", 5, True, ["x"], pulumi.Output.from_input(A_MAPPING)),
    Sequence: ("x", 5, True, A_MAPPING, pulumi.Output.from_input(["x"])),
}


Step = str | int
Path = tuple[Step, ...]  # ("connections", "warehouse", "port"), ("worker_queues", 0, "cpu")


class Case(NamedTuple):
    """One argument with one wrong value."""

    path: Path
    value: Any

    def __str__(self) -> str:
        return f"{shown(self.path)}={self.value!r:.30}"


def shown(path: Path) -> str:
    """As an error shows it: `connections['warehouse'].port`, `worker_queues[0].cpu`."""
    text = ""
    kind: Any = DeploymentArgs
    for step in path:
        if is_typeddict(kind):
            text += f".{step}" if text else str(step)
            kind = fields_of(kind).get(str(step))
        else:
            text += f"[{step!r}]"
            kind = get_args(kind)[-1]
    return text


def fields_of(kind: Any) -> dict[str, Any]:
    """The fields of a TypedDict, whether required or not."""
    return {
        name: get_args(hint)[0] if get_origin(hint) is NotRequired else hint
        for name, hint in kind.__annotations__.items()
    }


def all_arguments(kind: Any = DeploymentArgs, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, type) of every argument, also of those in others."""
    for name, field in fields_of(kind).items():
        path: Path = (*above, name)
        yield path, field
        if get_origin(field) is Sequence:
            field, path = get_args(field)[0], (*path, 0)
        elif get_origin(field) is Mapping:
            field, path = get_args(field)[1], (*path, "warehouse")
        if is_typeddict(field):
            yield from all_arguments(field, path)


def wrong_values(kind: Any) -> Sequence[Any]:
    """What is wrong for every argument of this type. Of an Input, an Output as such is right."""
    if is_typeddict(kind):
        return WRONG[Mapping]
    if get_origin(kind) is Union:  # pulumi.Input
        values = wrong_values(get_args(kind)[0])
        return [value for value in values if not isinstance(value, pulumi.Output)]
    if isinstance(kind, EnumMeta):
        return [*WRONG[str], "no such choice"]
    return WRONG[kind] if kind in WRONG else WRONG[get_origin(kind)]


def wrong_cases() -> Iterator[tuple[Path, list[Case]]]:
    """Every argument with every value that cannot be right."""
    for path, kind in all_arguments():
        if path in TESTED_ELSEWHERE:
            continue
        cases = [
            Case(path, value)
            for value in wrong_values(kind)
            if path[-1] not in QUANTITIES or value != 5
        ]
        if is_typeddict(kind):
            cases.append(Case((*path, "colour"), "red"))
        yield path, cases


WRONG_CASES: Final = dict(wrong_cases())


def with_value(path: Path, value: Any) -> dict[str, Any]:
    """The least that a Deployment needs, with `value` at `path`."""
    built: Any = value
    for depth in reversed(range(len(path))):
        step, above = path[depth], path[:depth]
        if isinstance(step, int):
            built = [built]
            continue
        siblings = {**REQUIRED.get(shown(above), {}), **(LEAST if not above else {})}
        siblings |= BESIDES.get(shown(path[: depth + 1]), {})
        built = {**{key: each for key, each in siblings.items() if each is not None}, step: built}
    assert isinstance(built, dict)
    return built


@pytest.mark.parametrize("path", WRONG_CASES, ids=shown)
def test_a_value_of_the_wrong_kind(path: Path) -> None:
    for case in WRONG_CASES[path]:
        with pytest.raises(ArgumentError) as caught:
            specify("analytics", cast(DeploymentArgs, with_value(*case)))
        assert str(caught.value).startswith(f"{shown(case.path)}: "), case
        assert caught.value.argument == shown(case.path)


def test_there_are_many_cases() -> None:
    """The types could change their form so that none is found."""
    assert sum(map(len, WRONG_CASES.values())) > 500


REGISTRY: Final = {"repository": "ghcr.io/acme/analytics"}
ANY_PROJECT: Final = "<a project>"


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        # the name of the Deployment
        ("", {}, "name of the Deployment: '' must be lower-case letters"),
        ("Analytics", {}, "name of the Deployment: 'Analytics' must be lower-case letters"),
        ("my_airflow", {}, "name of the Deployment: 'my_airflow' must be lower-case letters"),
        ("-a", {}, "name of the Deployment: '-a' must be lower-case letters"),
        ("a" * 31, {}, "has 31 characters; 30 are the most"),
        # project, image, registry
        ("a", {"image": None}, "project: give either `project`"),
        ("a", {"project": ANY_PROJECT}, "project: give either `project`"),
        ("a", {"image": None, "project": ANY_PROJECT}, "registry: is required with `project`"),
        ("a", {"image": None, "project": 5, "registry": REGISTRY}, "project: must be a string"),
        ("a", {"image": None, "project": "", "registry": REGISTRY}, "project: is empty"),
        (
            "a",
            {"image": None, "project": pulumi.Output.from_input("p"), "registry": REGISTRY},
            "project: must be known when the program runs",
        ),
        (
            "a",
            {"image": None, "project": "nowhere", "registry": REGISTRY},
            "nowhere: there is no such directory",
        ),
        (
            "a",
            {"image": None, "project": ANY_PROJECT, "registry": REGISTRY, "platform": 5},
            "platform: must be a string, not a number (5)",
        ),
        (
            "a",
            {"image": None, "project": ANY_PROJECT, "registry": {}},
            "registry.repository: is required",
        ),
        (
            "a",
            {"registry": {"repository": "ghcr.io/acme/analytics:latest"}},
            "registry.repository: 'ghcr.io/acme/analytics:latest' must not carry a tag",
        ),
        (
            "a",
            {"registry": {"repository": "ghcr.io/Acme"}},
            "registry.repository: 'ghcr.io/Acme' must be",
        ),
        ("a", {"registry": {**REGISTRY, "username": "acme"}}, "registry.password: is required"),
        ("a", {"image": 5}, "image: must be a string"),
        ("a", {"image": ""}, "image: is empty"),
        (
            "a",
            {"image": "ghcr.io/Acme/a:1"},
            "image: 'ghcr.io/Acme/a:1' is no reference of an image",
        ),
        ("a", {"image": "ghcr.io/acme/a@sha256:abc"}, "such as postgres:17 or"),
        ("a", {"database": {"image": "a b"}}, "database.image: 'a b' is no reference"),
        ("a", {"broker": {"image": "http://a/b"}}, "broker.image: 'http://a/b' is no reference"),
        ("a", {"pgbouncer": {"image": "a:"}}, "pgbouncer.image: 'a:' is no reference"),
        ("a", {"metrics": {"exporter_image": "A"}}, "metrics.exporter_image: 'A' is no reference"),
        ("a", {"airflow_version": None}, "airflow_version: is required with `image`"),
        ("a", {"airflow_version": "latest"}, "airflow_version: 'latest' is not an Airflow version"),
        ("a", {"airflow_version": "1.10"}, "airflow_version: 1.10 cannot be deployed"),
        ("a", {"airflow_version": "4.0"}, "airflow_version: 4.0 cannot be deployed"),
        # no such argument
        ("a", {"colour": "red"}, "colour: there is no such argument. There are: project"),
        ("a", {"workerQueues": []}, "workerQueues: there is no such argument"),
        # names and lengths
        ("a", {"worker_queues": [{"name": "q" * 21}]}, "worker_queues[0].name: "),
        (
            "a",
            {"worker_queues": [{"name": "big queue"}]},
            "worker_queues[0].name: 'big queue' must be",
        ),
        ("a", {"worker_queues": [{"name": "a"}, {}]}, "worker_queues[1].name: is required"),
        ("a", {"worker_queues": []}, "worker_queues: is empty; leave it out for the default"),
        ("a", {"environment": {"1A": "x"}}, "environment['1A']: is not a name"),
        ("a", {"environment": {"": "x"}}, "environment['']: is not a name"),
        ("a", {"environment": {"A": 1}}, "environment['A']: must be a string, not a number (1)"),
        ("a", {"variables": {"a-b": "x"}}, "variables['a-b']: must have a name of letters"),
        ("a", {"connections": {"a b": {"uri": "x://"}}}, "connections['a b']: must have a name"),
        # numbers and quantities
        ("a", {"scheduler": {"replicas": -1}}, "scheduler.replicas: must be 1 to 100, not -1"),
        ("a", {"scheduler": {"replicas": 0}}, "scheduler.replicas: must be 1 to 100, not 0"),
        *(
            (
                "a",
                {"scheduler": {"resources": {"limits": {"memory": wrong}}}},
                f"scheduler.resources.limits['memory']: '{wrong}' is not a Kubernetes quantity",
            )
            for wrong in ("0", "-1", "2GB", "2 Gi")
        ),
        ("a", {"database": {"storage_size": "8 Gi"}}, "database.storage_size: '8 Gi' is not"),
        (
            "a",
            {"termination_grace_period_seconds": -1},
            "termination_grace_period_seconds: must be 0 to 604800, not -1",
        ),
        ("a", {"history_limit": 1}, "history_limit: must be 2 to 1000, not 1"),
        ("a", {"timeouts": {"rollout": 0}}, "timeouts.rollout: must be 1 to"),
        (
            "a",
            {"service": {"type": "NodePort", "node_port": 8080}},
            "service.node_port: must be 30000 to 32767, not 8080",
        ),
    ],
)
def test_what_types_cannot_say(
    name: str, given: dict[str, Any], says: str, tmp_path: pathlib.Path
) -> None:
    arguments = {**LEAST, **given}
    if arguments.get("project") == ANY_PROJECT:
        arguments["project"] = str(write_project(tmp_path))
    with pytest.raises(AstroError) as caught:
        specify(name, cast(DeploymentArgs, arguments))
    assert says in str(caught.value)
