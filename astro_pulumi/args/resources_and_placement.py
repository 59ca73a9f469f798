"""Pods: their resources, and the nodes that they run on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.default_types import Default, Defaults
from astro_pulumi.args.enums import Choice, TaintEffect, TolerationOperator

DEFAULTS: Final[Defaults] = {
    "TolerationArgs": {"operator": Default("Equal")},
}


class ResourcesArgs(TypedDict):
    """Requests and limits of a container, as in Kubernetes. A resource in neither has its default."""

    requests: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Reserved amounts by resource: `{"cpu": "500m", "memory": "2Gi"}`. Default: by kind of pod, see
    docs/sizing.md; for a resource with only a limit, the limit."""
    limits: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Maximum amounts by resource: `{"memory": "2Gi", "ephemeral-storage": "10Gi"}`. Default: by kind of
    pod, see docs/sizing.md; for a resource with only a request, none."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Validated `ResourcesArgs`, with the defaults."""

    requests: Mapping[str, pulumi.Input[str]]
    limits: Mapping[str, pulumi.Input[str]]


def _default(cpu: str, memory: str, disk: str, cpu_limit: str, disk_limit: str) -> Resources:
    """Build a default. Memory is requested in full: a node that promises more than it has kills pods."""
    return Resources(
        requests={"cpu": cpu, "memory": memory, "ephemeral-storage": disk},
        limits={"cpu": cpu_limit, "memory": memory, "ephemeral-storage": disk_limit},
    )


# By component. Why these: docs/sizing.md. CPU limits are above the requests, since Airflow needs most when it
# starts.
DEFAULT_RESOURCES: Final[Mapping[str, Resources]] = {
    "webserver": _default("500m", "2Gi", "256Mi", "2", "10Gi"),
    "scheduler": _default("500m", "2Gi", "256Mi", "2", "10Gi"),
    "triggerer": _default("250m", "1Gi", "256Mi", "2", "10Gi"),
    "dag-processor": _default("500m", "2Gi", "256Mi", "2", "10Gi"),
    "worker": _default("1", "2Gi", "1Gi", "2", "10Gi"),
    "pgbouncer": _default("100m", "256Mi", "10Mi", "1", "100Mi"),
    "postgresql": _default("500m", "1Gi", "100Mi", "2", "1Gi"),
    "redis": _default("100m", "512Mi", "100Mi", "1", "1Gi"),
    "statsd": _default("50m", "256Mi", "10Mi", "500m", "100Mi"),
}


class TolerationArgs(TypedDict):
    """A taint that pods tolerate, as in a pod's `tolerations`."""

    key: NotRequired[pulumi.Input[str]]
    """Key of the taint. Default: every key, with operator `Exists`."""
    operator: NotRequired[pulumi.Input[Choice[TolerationOperator]]]
    """`Equal` or `Exists`. Default: `Equal`."""
    value: NotRequired[pulumi.Input[str]]
    """Value of the taint, with operator `Equal`."""
    effect: NotRequired[pulumi.Input[Choice[TaintEffect]]]
    """`NoSchedule`, `PreferNoSchedule` or `NoExecute`. Default: every effect."""
    toleration_seconds: NotRequired[pulumi.Input[int]]
    """Seconds to stay on a node that gets the taint, with `NoExecute`. Default: forever."""


class PlacementArgs(TypedDict):
    """Which nodes pods run on. In a process, queue or service, each field overrides the Deployment's."""

    node_selector: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Labels of the nodes: `{"pool": "airflow"}`. Default: every node."""
    tolerations: NotRequired[Sequence[TolerationArgs]]
    """Taints of nodes that the pods tolerate. Default: none."""
    affinity: NotRequired[Mapping[str, pulumi.Input[Any]]]
    """Affinity, as in a pod's `spec.affinity`. Default: none."""
    priority_class: NotRequired[pulumi.Input[str]]
    """PriorityClass. Default: the cluster's default."""
    topology_spread_constraints: NotRequired[Sequence[Mapping[str, pulumi.Input[Any]]]]
    """How replicas are spread, as in a pod's `spec.topologySpreadConstraints`. A constraint without
    `labelSelector` counts the replicas of one workload. Default: replicas are spread over nodes and zones
    if possible."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Validated `PlacementArgs`, with values as in a pod's spec."""

    node_selector: Mapping[str, pulumi.Input[str]]
    tolerations: tuple[dict[str, Any], ...]
    affinity: Mapping[str, Any] | None
    priority_class: pulumi.Input[str | None] | None
    topology_spread_constraints: tuple[Mapping[str, Any], ...] | None
