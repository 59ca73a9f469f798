"""Read the arguments of pods: resources, with the defaults of each pod, placement and pod templates."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import pulumi

from astro_pulumi import deployment_spec as spec
from astro_pulumi.args.enums import TaintEffect, TolerationOperator
from astro_pulumi.errors import ArgumentError
from astro_pulumi.pod_template_patch import Scope, check
from astro_pulumi.pulumi_inputs import computed
from astro_pulumi.validation.argument_reader import Arguments, amount_of

_RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")


def _defaults(cpu: str, memory: str, disk: str, cpu_limit: str, disk_limit: str) -> spec.Resources:
    """Build defaults. Memory is requested in full: a node that promises more than it has kills pods."""
    return spec.Resources(
        requests={"cpu": cpu, "memory": memory, "ephemeral-storage": disk},
        limits={"cpu": cpu_limit, "memory": memory, "ephemeral-storage": disk_limit},
    )


# Why these: docs/sizing.md. CPU limits are above the requests, since Airflow needs most when it starts.
DEFAULTS: Final[Mapping[str, spec.Resources]] = {
    "webserver": _defaults("500m", "2Gi", "256Mi", "2", "10Gi"),
    "scheduler": _defaults("500m", "2Gi", "256Mi", "2", "10Gi"),
    "triggerer": _defaults("250m", "1Gi", "256Mi", "2", "10Gi"),
    "dag-processor": _defaults("500m", "2Gi", "256Mi", "2", "10Gi"),
    "worker": _defaults("1", "2Gi", "1Gi", "2", "10Gi"),
    "pgbouncer": _defaults("100m", "256Mi", "10Mi", "1", "100Mi"),
    "postgresql": _defaults("500m", "1Gi", "100Mi", "2", "1Gi"),
    "redis": _defaults("100m", "512Mi", "100Mi", "1", "1Gi"),
    "statsd": _defaults("50m", "256Mi", "10Mi", "500m", "100Mi"),
}

NO_PLACEMENT: Final = spec.Placement({}, (), None, None, None)


def read_resources(owner: Arguments, component: str) -> spec.Resources:
    """Read `resources` of a section.

    A resource that is named is as Kubernetes reads it: a limit without a request is the request as well, and
    a request without a limit has none. The others have the defaults of the component.
    """
    args = owner.section("resources")
    requests, limits = args.quantities("requests"), args.quantities("limits")
    for kind, quantities in (("requests", requests), ("limits", limits)):
        for name in quantities:
            _check_name(name, args.path(f"{kind}[{name!r}]"))
    for name, request in requests.items():
        path = args.path(f"requests[{name!r}]")
        if name in limits:
            requests[name] = computed(partial(_at_most, path), request, limits[name])
        elif "/" in name:
            raise ArgumentError(
                path, "needs a limit too: Kubernetes accepts no request for it without one"
            )
    named = {*requests, *limits}
    default = DEFAULTS[component]
    return spec.Resources(
        requests={**_without(default.requests, named), **limits, **requests},
        limits={**_without(default.limits, named), **limits},
    )


def read_placement(owner: Arguments, base: spec.Placement = NO_PLACEMENT) -> spec.Placement:
    """Read `placement` of a section. Fields that are not given are those of `base`."""
    args = owner.section("placement")
    return spec.Placement(
        node_selector=args.strings("node_selector")
        if args.has("node_selector")
        else base.node_selector,
        tolerations=tuple(_toleration(one) for one in args.sections("tolerations"))
        if args.has("tolerations")
        else base.tolerations,
        affinity=args.mapping("affinity") if args.has("affinity") else base.affinity,
        priority_class=args.optional_text("priority_class")
        if args.has("priority_class")
        else base.priority_class,
        topology_spread_constraints=tuple(args.mappings("topology_spread_constraints"))
        if args.has("topology_spread_constraints")
        else base.topology_spread_constraints,
    )


def read_pod_template(owner: Arguments, scope: Scope) -> Mapping[str, Any]:
    """Read `pod_template` of a section and check that the patch fits."""
    return check(owner.mapping("pod_template"), owner.path("pod_template"), scope)


def _toleration(args: Arguments) -> dict[str, pulumi.Input[str | int]]:
    operator = args.choice("operator", TolerationOperator)
    toleration: dict[str, pulumi.Input[str | int]] = {
        "operator": computed(partial(_check_operator, args), operator),
        **{key: args.text(key) for key in ("key", "value") if args.has(key)},
    }
    if args.has("effect"):
        toleration["effect"] = args.choice("effect", TaintEffect)
    if args.has("toleration_seconds"):
        toleration["tolerationSeconds"] = args.number("toleration_seconds", 0)
    return toleration


def _check_operator(args: Arguments, operator: str) -> str:
    if operator == "Exists" and args.has("value"):
        raise ArgumentError(args.path("value"), "must not be given with operator Exists")
    if operator == "Equal" and not args.has("key"):
        raise ArgumentError(args.path("key"), "is required with operator Equal")
    return operator


def _check_name(name: str, path: str) -> None:
    if name not in _RESOURCES and "/" not in name and not name.startswith("hugepages-"):
        raise ArgumentError(
            path,
            f"there is no such resource. There are: {', '.join(_RESOURCES)}, and those of nodes, such as "
            "nvidia.com/gpu",
        )


def _at_most(path: str, request: str, limit: str) -> str:
    if amount_of(request) > amount_of(limit):
        raise ArgumentError(path, f"must be at most its limit, which is {limit}")
    return request


def _without(
    quantities: Mapping[str, pulumi.Input[str]], names: set[str]
) -> dict[str, pulumi.Input[str]]:
    return {name: quantity for name, quantity in quantities.items() if name not in names}
