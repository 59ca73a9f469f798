"""Every argument of a Deployment, given wrongly in every way: the answer names it, in the user's words.

The cases are made from the argument types themselves, so that a new argument is tested as soon as it is
there. What types cannot say is in `component/test_validation.py`.
"""

import math
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
from astro_pulumi.errors import ArgumentError
from astro_pulumi.validation import specify
from tests.specs import PROCESSES, REPOSITORY, arguments

WITH_PLACEMENT: Final = (
    *PROCESSES,
    *("worker_queues[0]", "database", "pgbouncer", "broker", "metrics"),
)
# What a section cannot be without.
REQUIRED: Final[dict[str, dict[str, Any]]] = {
    "registry": {"repository": REPOSITORY},
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
    "project": {"image": None, "registry": {"repository": REPOSITORY}},
    "registry.username": {"password": "x"},
    "registry.password": {"username": "x"},
    "service.node_port": {"type": "NodePort"},
    "service.load_balancer_source_ranges": {"type": "LoadBalancer"},
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
# `platform` means nothing without a project, and releases have tests of their own.
TESTED_ELSEWHERE: Final = {("platform",), ("rollback_to",)}
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
        siblings = {**REQUIRED.get(shown(above), {}), **(arguments() if not above else {})}
        siblings |= BESIDES.get(shown(path[: depth + 1]), {})
        built = {**{key: each for key, each in siblings.items() if each is not None}, step: built}
    assert isinstance(built, dict)
    return built


@pytest.mark.parametrize("path", WRONG_CASES, ids=shown)
def test_a_value_of_the_wrong_kind(path: Path) -> None:
    messages = set()
    for case in WRONG_CASES[path]:
        with pytest.raises(ArgumentError) as caught:
            specify("analytics", cast(DeploymentArgs, with_value(*case)))
        assert str(caught.value).startswith(f"{shown(case.path)}: "), case
        assert caught.value.argument == shown(case.path)
        messages.add(str(caught.value))
    assert len(messages) > 1, "not for its values: name what it needs in BESIDES"


def test_there_are_many_cases() -> None:
    """The types could change their form so that none is found."""
    assert sum(map(len, WRONG_CASES.values())) > 500
