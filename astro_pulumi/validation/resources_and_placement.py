"""Read the arguments of pods: resources, placement and pod templates."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import pulumi

from astro_pulumi.args.enums import TaintEffect, TolerationOperator
from astro_pulumi.args.resources_and_placement import DEFAULT_RESOURCES, Placement, Resources
from astro_pulumi.errors import ArgumentError
from astro_pulumi.pod_template_patch import Scope, check
from astro_pulumi.pulumi_inputs import computed
from astro_pulumi.validation.argument_reader import Arguments, amount_of

_RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")
NO_PLACEMENT: Final = Placement({}, (), None, None, None)


def read_resources(owner: Arguments, component: str) -> Resources:
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
    default = DEFAULT_RESOURCES[component]
    return Resources(
        requests={**_without(default.requests, named), **limits, **requests},
        limits={**_without(default.limits, named), **limits},
    )


def read_placement(owner: Arguments, base: Placement = NO_PLACEMENT) -> Placement:
    """Read `placement` of a section. Fields that are not given are those of `base`."""
    args = owner.section("placement")
    return Placement(
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
