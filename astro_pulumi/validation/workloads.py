"""Read the arguments of Airflow's processes, worker queues and their autoscaling."""

from typing import Final

from astro_pulumi.airflow.version_differences import AirflowFacts
from astro_pulumi.args.enums import AutoscalingType
from astro_pulumi.args.resources_and_placement import Placement
from astro_pulumi.args.workloads import Autoscaling, WorkerQueue, Workload
from astro_pulumi.errors import ArgumentError
from astro_pulumi.pod_template_patch import Scope
from astro_pulumi.validation.argument_reader import Arguments, check_label
from astro_pulumi.validation.resources_and_placement import (
    read_placement,
    read_pod_template,
    read_resources,
)

_WEEK: Final = 7 * 24 * 3600


def read_processes(
    given: Arguments, facts: AirflowFacts, placement: Placement
) -> dict[str, Workload]:
    """Read the size of each process that runs, by component."""
    workloads = {}
    for process in facts.processes:
        key = process.component.replace("-", "_")
        if process.on_request and not given.has(key):
            continue
        args = given.section(key)
        workloads[process.component] = Workload(
            replicas=args.number("replicas", 1, 100),
            resources=read_resources(args, process.component),
            placement=read_placement(args, placement),
            pod_template=read_pod_template(args, Scope.PROCESS),
        )
    return workloads


def read_worker_queues(given: Arguments, placement: Placement) -> tuple[WorkerQueue, ...]:
    """Read the worker queues. The first is the default queue."""
    grace_period = given.number("termination_grace_period_seconds", 0, _WEEK)
    autoscaling = read_autoscaling(given.section("autoscaling"))
    queues = []
    names: set[str] = set()
    for args in given.sections("worker_queues", [{"name": "default"}]):
        name = check_label(args.plain_text("name"), args.path("name"), 20)
        if name in names:
            raise ArgumentError(args.path("name"), f"there are two queues named {name!r}")
        names.add(name)
        min_count, max_count = _read_counts(args, autoscaling)
        own_period = args.optional_number("termination_grace_period_seconds", 0, _WEEK)
        queues.append(
            WorkerQueue(
                name=name,
                concurrency=args.number("concurrency", 1, 1000),
                min_count=min_count,
                max_count=max_count,
                resources=read_resources(args, "worker"),
                placement=read_placement(args, placement),
                pod_template=read_pod_template(args, Scope.QUEUE),
                termination_grace_period_seconds=grace_period if own_period is None else own_period,
            )
        )
    return tuple(queues)


def _read_counts(args: Arguments, autoscaling: Autoscaling) -> tuple[int, int]:
    """Return the least and the greatest number of workers of a queue."""
    minimum = args.plain_number("min_count", 0, 1000)
    maximum = args.plain_number("max_count", 1, 1000, default=minimum)
    if maximum < minimum:
        raise ArgumentError(
            args.path("max_count"), f"must be at least `min_count`, which is {minimum}"
        )
    if minimum == 0 and autoscaling.type != "keda":
        raise ArgumentError(
            args.path("min_count"),
            "must be at least 1: only KEDA starts workers from none. Set `autoscaling` to "
            'type "keda"',
        )
    return minimum, maximum


def read_autoscaling(args: Arguments) -> Autoscaling:
    """Read how worker queues are scaled."""
    return Autoscaling(
        type=args.plain_choice("type", AutoscalingType),
        target_cpu_percent=args.number("target_cpu_percent", 1, 1000),
        polling_interval_seconds=args.number("polling_interval_seconds", 1, 3600),
        cooldown_period_seconds=args.number("cooldown_period_seconds", 0, 3600),
    )
