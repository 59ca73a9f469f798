"""Read the arguments of logs and metrics."""

import re

from astro_pulumi.args.monitoring import Metrics, RemoteLogging
from astro_pulumi.args.resources_and_placement import Placement
from astro_pulumi.errors import ArgumentError
from astro_pulumi.validation.argument_reader import Arguments
from astro_pulumi.validation.images import check_image
from astro_pulumi.validation.resources_and_placement import read_placement, read_resources

_LOG_FOLDER = re.compile(r"^(s3|gs|wasb|cloudwatch|stackdriver|oss|hdfs)://\S+$")


def read_remote_logging(given: Arguments) -> RemoteLogging:
    """Read where task logs are kept."""
    args = given.section("remote_logging")
    if args.has("folder") == args.has("elasticsearch_host"):
        raise ArgumentError(args.path("folder"), "give either `folder` or `elasticsearch_host`")
    return RemoteLogging(
        folder=args.optional_text("folder", _check_log_folder),
        connection_id=args.optional_text("connection_id"),
        encrypt_s3=args.flag("encrypt_s3"),
        elasticsearch_host=args.optional_text("elasticsearch_host"),
    )


def _check_log_folder(folder: str, path: str) -> str:
    if not _LOG_FOLDER.match(folder):
        raise ArgumentError(path, f"{folder!r} is not a folder such as s3://bucket/path")
    if folder.startswith("wasb:") and "@" in folder:
        raise ArgumentError(
            path,
            f"{folder!r} names an account, which belongs into the connection: wasb://container/path",
        )
    return folder


def read_metrics(args: Arguments, placement: Placement) -> Metrics:
    """Read where metrics go."""
    ways = [key for key in ("statsd_host", "otel_host", "exporter_image") if args.has(key)]
    if len(ways) > 1:
        raise ArgumentError(args.path(ways[1]), f"must not be given with `{ways[0]}`")
    if args.plain_flag("service_monitor") and not args.has("exporter_image"):
        raise ArgumentError(args.path("service_monitor"), "needs `exporter_image`")
    for key in ("resources", "placement"):
        if args.has(key) and not args.has("exporter_image"):
            raise ArgumentError(args.path(key), "needs `exporter_image`")
    for key in ("statsd", "otel"):
        if args.has(f"{key}_port") and not args.has(f"{key}_host"):
            raise ArgumentError(args.path(f"{key}_port"), f"needs `{key}_host`")
    return Metrics(
        statsd_host=args.optional_text("statsd_host"),
        statsd_port=args.number("statsd_port", 1, 65535),
        otel_host=args.optional_text("otel_host"),
        otel_port=args.number("otel_port", 1, 65535),
        exporter_image=args.optional_text("exporter_image", check_image),
        service_monitor=args.plain_flag("service_monitor"),
        prefix=args.text("prefix"),
        resources=read_resources(args, "statsd"),
        placement=read_placement(args, placement),
    )
