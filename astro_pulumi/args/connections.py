"""Airflow Connections."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.existing_secrets import ValueFrom, ValueFromArgs


class ConnectionArgs(TypedDict):
    """An Airflow Connection, by `uri`, by `value_from`, or by `type` and the fields that it needs."""

    uri: NotRequired[pulumi.Input[str]]
    """The whole Connection: `postgres://user:password@host:5432/schema`."""
    value_from: NotRequired[ValueFromArgs]
    """The whole Connection in an existing Secret or ConfigMap, as a URI or as Airflow's JSON."""
    type: NotRequired[pulumi.Input[str]]
    """Connection type: `postgres`, `aws`, `http` ..."""
    host: NotRequired[pulumi.Input[str]]
    """Host name."""
    schema: NotRequired[pulumi.Input[str]]
    """Schema, or the type's own use of this field."""
    login: NotRequired[pulumi.Input[str]]
    """User name."""
    password: NotRequired[pulumi.Input[str]]
    """Password."""
    port: NotRequired[pulumi.Input[int]]
    """Port, 1 to 65535."""
    extra: NotRequired[pulumi.Input[str]]
    """Further fields of the type, as JSON text: `{"region_name": "eu-west-1"}`."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Validated `ConnectionArgs`: `uri`, `value_from`, or fields by the names of Airflow's JSON form."""

    uri: pulumi.Input[str] | None
    value_from: ValueFrom | None
    fields: Mapping[str, pulumi.Input[Any]]
