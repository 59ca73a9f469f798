"""Airflow's processes, and the Celery workers by queue."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.default_types import Default, Defaults
from astro_pulumi.args.enums import AutoscalingType, Choice
from astro_pulumi.args.resources_and_placement import (
    Placement,
    PlacementArgs,
    Resources,
    ResourcesArgs,
)

DEFAULTS: Final[Defaults] = {
    "ProcessArgs": {"replicas": Default(1)},
    "WorkerQueueArgs": {"concurrency": Default(5), "min_count": Default(1)},
    "AutoscalingArgs": {
        "type": Default("cpu"),
        "target_cpu_percent": Default(70),
        "polling_interval_seconds": Default(10),
        "cooldown_period_seconds": Default(300),
    },
}


class ProcessArgs(TypedDict):
    """Pods of one Airflow process (webserver, scheduler, triggerer, dag-processor)."""

    replicas: NotRequired[pulumi.Input[int]]
    """Number of pods. A PodDisruptionBudget keeps all but one running. Default: 1."""
    resources: NotRequired[ResourcesArgs]
    """Requests and limits of one pod. The release Job, which parses the DAGs, has those of the process
    that parses them: the dag-processor, or the scheduler of an Airflow 2 without one."""
    placement: NotRequired[PlacementArgs]
    """Which nodes the pods run on. Default: `placement` of the Deployment."""
    pod_template: NotRequired[Mapping[str, Any]]
    """A patch of the pod template, applied after that of the Deployment."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Validated `ProcessArgs`."""

    replicas: pulumi.Input[int]
    resources: Resources
    placement: Placement
    pod_template: Mapping[str, Any]


class WorkerQueueArgs(TypedDict):
    """One Celery queue and the workers that serve it."""

    name: str
    """Name of the queue, as in a task's `queue=`. The first queue is the default of all tasks."""
    concurrency: NotRequired[pulumi.Input[int]]
    """Tasks that one worker runs at the same time. Default: 5."""
    min_count: NotRequired[int]
    """Number of workers. With autoscaling, the minimum; 0 needs KEDA. Default: 1."""
    max_count: NotRequired[int]
    """Maximum of workers with autoscaling. Default: `min_count`, without autoscaling."""
    resources: NotRequired[ResourcesArgs]
    """Requests and limits of one worker. A worker that uses more disk than its limit of
    `ephemeral-storage` is evicted."""
    termination_grace_period_seconds: NotRequired[pulumi.Input[int]]
    """Seconds that a worker of this queue has to finish its tasks when it is replaced. Default:
    `termination_grace_period_seconds` of the Deployment."""
    placement: NotRequired[PlacementArgs]
    """Which nodes the workers run on. Default: `placement` of the Deployment."""
    pod_template: NotRequired[Mapping[str, Any]]
    """A patch of the workers' pod template, applied after that of the Deployment."""


@dataclass(frozen=True, slots=True)
class WorkerQueue:
    """Validated `WorkerQueueArgs`."""

    name: str
    concurrency: pulumi.Input[int]
    min_count: int
    max_count: int
    resources: Resources
    placement: Placement
    pod_template: Mapping[str, Any]
    termination_grace_period_seconds: pulumi.Input[int]

    @property
    def is_scaled(self) -> bool:
        """Whether an autoscaler decides the number of workers."""
        return self.max_count > self.min_count


class AutoscalingArgs(TypedDict):
    """How worker queues with a `max_count` above their `min_count` are scaled."""

    type: NotRequired[Choice[AutoscalingType]]
    """`cpu`: a HorizontalPodAutoscaler, which needs the metrics server. `keda`: a KEDA ScaledObject by
    queued and running tasks, which needs KEDA. Default: `cpu`."""
    target_cpu_percent: NotRequired[pulumi.Input[int]]
    """With `cpu`: target average use, in percent of the worker's CPU request, 1 to 1000. Default: 70."""
    polling_interval_seconds: NotRequired[pulumi.Input[int]]
    """With `keda`: seconds between counts of the tasks. Default: 10."""
    cooldown_period_seconds: NotRequired[pulumi.Input[int]]
    """Seconds of less work before workers are stopped. Default: 300."""


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """Validated `AutoscalingArgs`."""

    type: str
    target_cpu_percent: pulumi.Input[int]
    polling_interval_seconds: pulumi.Input[int]
    cooldown_period_seconds: pulumi.Input[int]
