"""Pods: their resources, and the nodes that they run on."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.choices import Choice, TaintEffect, TolerationOperator


class ResourcesArgs(TypedDict):
    """Requests and limits of a container, as in Kubernetes. A resource that neither names has its default."""

    requests: NotRequired[Mapping[str, pulumi.Input[str]]]
    """What a node reserves, by resource: `{"cpu": "500m", "memory": "2Gi"}`. Default: that of each pod, see
    docs/sizing.md; of a resource with a limit alone, that limit."""
    limits: NotRequired[Mapping[str, pulumi.Input[str]]]
    """The most that the container may use, by resource: `{"memory": "2Gi", "ephemeral-storage": "10Gi"}`.
    Default: that of each pod, see docs/sizing.md; of a resource with a request alone, none."""


class TolerationArgs(TypedDict):
    """Lets pods run on nodes with a taint, as in a pod's `tolerations`."""

    key: NotRequired[pulumi.Input[str]]
    """Key of the taint. Default: every key, with operator `Exists`."""
    operator: NotRequired[pulumi.Input[Choice[TolerationOperator]]]
    """`Equal` or `Exists`. Default: `Equal`."""
    value: NotRequired[pulumi.Input[str]]
    """Value of the taint, with operator `Equal`."""
    effect: NotRequired[pulumi.Input[Choice[TaintEffect]]]
    """`NoSchedule`, `PreferNoSchedule` or `NoExecute`. Default: every effect."""
    toleration_seconds: NotRequired[pulumi.Input[int]]
    """How long to stay on a node that gets the taint, in seconds, with `NoExecute`. Default: for ever."""


class PlacementArgs(TypedDict):
    """Which nodes pods run on. Of a process, queue or service: each field replaces that of the Deployment."""

    node_selector: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Labels of the nodes: `{"pool": "airflow"}`. Default: every node."""
    tolerations: NotRequired[Sequence[TolerationArgs]]
    """Taints of nodes that the pods tolerate. Default: none."""
    affinity: NotRequired[Mapping[str, pulumi.Input[Any]]]
    """Affinity, in the words of a pod's `spec.affinity`. Default: none."""
    priority_class: NotRequired[pulumi.Input[str]]
    """PriorityClass. Default: the cluster's default."""
    topology_spread_constraints: NotRequired[Sequence[Mapping[str, pulumi.Input[Any]]]]
    """How replicas are spread, in the words of a pod's `spec.topologySpreadConstraints`. A constraint without
    `labelSelector` counts the replicas of one workload. Default: replicas are spread over nodes and zones
    where that can be had."""
