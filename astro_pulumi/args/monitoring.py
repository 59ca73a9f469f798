"""Logs and metrics."""

from dataclasses import dataclass
from typing import Final, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.default_types import Default, Defaults, unsent
from astro_pulumi.args.resources_and_placement import (
    Placement,
    PlacementArgs,
    Resources,
    ResourcesArgs,
)

DEFAULTS: Final[Defaults] = {
    "RemoteLoggingArgs": {"encrypt_s3": Default(False)},
    "MetricsArgs": {
        "statsd_port": unsent(8125),
        "otel_port": unsent(4318),
        "service_monitor": Default(False),
        "prefix": Default("airflow"),
    },
}


class RemoteLoggingArgs(TypedDict):
    """Permanent storage of task logs. The image needs the provider of the storage."""

    folder: NotRequired[pulumi.Input[str]]
    """`s3://bucket/path`, `gs://bucket/path`, `wasb://container/path`, whose account is in the connection,
    or `cloudwatch://arn`."""
    connection_id: NotRequired[pulumi.Input[str]]
    """Connection that may write there. Default: the identity of the pods."""
    encrypt_s3: NotRequired[pulumi.Input[bool]]
    """Whether S3 is asked to encrypt the logs. Default: false."""
    elasticsearch_host: NotRequired[pulumi.Input[str]]
    """URL of Elasticsearch, in place of `folder`. Workers write JSON to their output, which a log shipper
    of the cluster sends to Elasticsearch. Kept secret."""


@dataclass(frozen=True, slots=True)
class RemoteLogging:
    """Validated `RemoteLoggingArgs`. Either `folder` or `elasticsearch_host` is set."""

    folder: pulumi.Input[str] | None
    connection_id: pulumi.Input[str] | None
    encrypt_s3: pulumi.Input[bool]
    elasticsearch_host: pulumi.Input[str] | None


class MetricsArgs(TypedDict):
    """Where Airflow's metrics go: StatsD, OpenTelemetry, or Prometheus through an exporter."""

    statsd_host: NotRequired[pulumi.Input[str]]
    """Host of your StatsD server."""
    statsd_port: NotRequired[pulumi.Input[int]]
    """UDP port of that server. Default: 8125."""
    otel_host: NotRequired[pulumi.Input[str]]
    """Host of an OpenTelemetry collector, OTLP over HTTP."""
    otel_port: NotRequired[pulumi.Input[int]]
    """Port of that collector. Default: 4318."""
    exporter_image: NotRequired[pulumi.Input[str]]
    """Image of Prometheus' statsd_exporter to run: `prom/statsd-exporter:v0.28.0`. Its metrics are at port
    9102 of the Service `<name>-statsd`."""
    service_monitor: NotRequired[bool]
    """Whether to make a ServiceMonitor for the exporter, which needs the Prometheus operator.
    Default: false."""
    prefix: NotRequired[pulumi.Input[str]]
    """Prefix of every metric. Default: `airflow`."""
    resources: NotRequired[ResourcesArgs]
    """Requests and limits of the exporter's pod."""
    placement: NotRequired[PlacementArgs]
    """Which nodes the exporter runs on. Default: `placement` of the Deployment."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Validated `MetricsArgs`. At most one of the two hosts and the image is set."""

    statsd_host: pulumi.Input[str] | None
    statsd_port: pulumi.Input[int]
    otel_host: pulumi.Input[str] | None
    otel_port: pulumi.Input[int]
    exporter_image: pulumi.Input[str] | None
    service_monitor: bool
    prefix: pulumi.Input[str]
    resources: Resources
    placement: Placement
