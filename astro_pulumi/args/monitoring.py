"""Logs and metrics."""

from typing import NotRequired, TypedDict

import pulumi

from astro_pulumi.args.pods import PlacementArgs, ResourcesArgs


class RemoteLoggingArgs(TypedDict):
    """Where task logs are kept for good. The image needs the provider of the place."""

    folder: NotRequired[pulumi.Input[str]]
    """`s3://bucket/path`, `gs://bucket/path`, `wasb://container/path`, whose account is in the connection,
    or `cloudwatch://arn`."""
    connection_id: NotRequired[pulumi.Input[str]]
    """Connection with the right to write there. Default: the identity of the pods."""
    encrypt_s3: NotRequired[pulumi.Input[bool]]
    """Whether S3 is asked to encrypt the logs. Default: false."""
    elasticsearch_host: NotRequired[pulumi.Input[str]]
    """URL of Elasticsearch, in place of `folder`. Workers write JSON to their output, and a log shipper
    of the cluster takes it there. Kept secret."""


class MetricsArgs(TypedDict):
    """Where Airflow's metrics go: to StatsD, or to OpenTelemetry, or to Prometheus by an exporter."""

    statsd_host: NotRequired[pulumi.Input[str]]
    """Host of a StatsD server of yours."""
    statsd_port: NotRequired[pulumi.Input[int]]
    """UDP port of that server. Default: 8125."""
    otel_host: NotRequired[pulumi.Input[str]]
    """Host of an OpenTelemetry collector, OTLP over HTTP."""
    otel_port: NotRequired[pulumi.Input[int]]
    """Port of that collector. Default: 4318."""
    exporter_image: NotRequired[pulumi.Input[str]]
    """Runs this image of Prometheus' statsd_exporter: `prom/statsd-exporter:v0.28.0`. Its metrics are
    at port 9102 of the Service `<name>-statsd`."""
    service_monitor: NotRequired[bool]
    """Makes a ServiceMonitor for the exporter; the cluster needs the Prometheus operator.
    Default: false."""
    prefix: NotRequired[pulumi.Input[str]]
    """Prefix of every metric. Default: `airflow`."""
    resources: NotRequired[ResourcesArgs]
    """What the exporter's pod requests and may use."""
    placement: NotRequired[PlacementArgs]
    """Which nodes the exporter runs on. Default: `placement` of the Deployment."""
