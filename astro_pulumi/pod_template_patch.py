"""Patches of Airflow's pod templates: what a patch may not change, and how patches are applied.

A patch has Kubernetes' own format and is merged as `kubectl patch` does (`strategic_merge.py`). Essential
parts of the Deployment cannot be patched. The error for a part with an argument of its own names the
argument.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from astro_pulumi.airflow.environment_variables import check_environment_name
from astro_pulumi.errors import ArgumentError
from astro_pulumi.naming import AIRFLOW_CONTAINER, OWN_LABELS, OWN_PREFIX
from astro_pulumi.strategic_merge import PatchError, merge

FILES_VOLUME: Final = "files"
_EMPTY_DIRS: Final = ("logs", "tmp")
# This package's sidecars. A patch of a sidecar applies to the pods that have it.
GROOMER: Final = "log-groomer"
SIMPLE_AUTH: Final = "simple-auth"
_OURS: Final = (AIRFLOW_CONTAINER, GROOMER, SIMPLE_AUTH)
_CONTAINERS: Final = ("containers", "initContainers")

_MAY_BE_SECRET: Final = {"secret", "projected", "csi"}

_PLACEMENT: Final = "is set by the Deployment: use `placement`"
_RESTARTS: Final = "differs between the processes, which run for ever, and the Jobs of a deploy"
_RUN: Final = "is the command of this process; it cannot be set"
_SPEC_REFUSED: Final = {
    "activeDeadlineSeconds": "is set by the Deployment: use `timeouts`",
    "affinity": _PLACEMENT,
    "ephemeralContainers": "does not belong in a pod template",
    "nodeSelector": _PLACEMENT,
    "priorityClassName": _PLACEMENT,
    "restartPolicy": _RESTARTS,
    "tolerations": _PLACEMENT,
    "topologySpreadConstraints": _PLACEMENT,
}
_GRACE_PERIOD: Final = {
    "terminationGracePeriodSeconds": "determines settings of Airflow: use "
    "`termination_grace_period_seconds`"
}
_ACCOUNT: Final = (
    "would take the rights away from the Jobs of a deploy: use `service_account_annotations`, or set it "
    "in the `pod_template` of a process or queue"
)
_ALL_PODS_REFUSED: Final = {
    **_GRACE_PERIOD,
    "serviceAccount": _ACCOUNT,
    "serviceAccountName": _ACCOUNT,
}
_AIRFLOW_REFUSED: Final = {
    "args": _RUN,
    "command": _RUN,
    "image": "is set by the Deployment: use `project` or `image`",
    "resources": "is set by the Deployment: use `resources` of the process, queue or Job",
}


class Scope(Enum):
    """The pods to which a patch applies."""

    ALL = "all Airflow pods, the Jobs of a deploy included"
    PROCESS = "the pods of a process"
    QUEUE = "the workers of a queue"


_REFUSED_BY_SCOPE: Final[Mapping[Scope, Mapping[str, str]]] = {
    Scope.ALL: _ALL_PODS_REFUSED,
    Scope.PROCESS: {},
    Scope.QUEUE: _GRACE_PERIOD,
}


def check(patch: Mapping[str, Any], path: str, scope: Scope) -> Mapping[str, Any]:
    """Return the patch of a pod template if it is valid.

    Raises:
        ArgumentError: With the place in the patch.
    """
    try:
        merge({}, patch)
        for place, problem in _problems(patch, scope):
            raise PatchError(place, problem)  # noqa: TRY301
    except PatchError as error:
        raise ArgumentError(f"{path}.{error.path}", error.problem) from None
    for place, name in _variables(patch):
        check_environment_name(name, f"{path}.{place}")
    return patch


def patched(template: Mapping[str, Any], *patches: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod template with valid patches merged into it in order."""
    result = dict(template)
    for patch in patches:
        result = merge(result, _for_containers_of(result, patch))
    return result


def without_secrets(patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a patch without possible secrets: variables from other objects, and volumes with keys."""
    spec = patch.get("spec") or {}
    hidden = {one["name"] for one in spec.get("volumes") or [] if _MAY_BE_SECRET & set(one)}

    def shown(container: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in container.items() if key != "envFrom"}
        if kept.get("env"):
            kept["env"] = [one for one in kept["env"] if not one.get("valueFrom")]
        if kept.get("volumeMounts"):
            kept["volumeMounts"] = [
                one for one in kept["volumeMounts"] if one.get("name") not in hidden
            ]
        return kept

    changed = dict(spec)
    for kind in _CONTAINERS:
        if spec.get(kind):
            changed[kind] = [shown(one) for one in spec[kind]]
    if hidden:
        changed["volumes"] = [one for one in spec["volumes"] if one["name"] not in hidden]
    return {**patch, "spec": changed} if spec else dict(patch)


def _problems(patch: Mapping[str, Any], scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield place and problem of each part that is valid for Kubernetes and not for the Deployment."""
    for place, part in (("", patch), *((f"{key}.", patch.get(key) or {}) for key in patch)):
        if isinstance(part, Mapping) and part.get("$patch", "merge") != "merge":
            yield f"{place}$patch", "would remove what the Deployment's pods are built around"
    metadata, spec = patch.get("metadata") or {}, patch.get("spec") or {}
    for key in metadata:
        if key not in ("labels", "annotations") and not key.startswith("$"):
            yield f"metadata.{key}", "there is no such field. There are: annotations, labels"
    for kind in ("labels", "annotations"):
        for key in metadata.get(kind) or {}:
            if key in OWN_LABELS or key.startswith(OWN_PREFIX):
                yield f"metadata.{kind}[{key!r}]", "is how the Deployment finds its own pods"
    for key, problem in {**_SPEC_REFUSED, **_REFUSED_BY_SCOPE[scope]}.items():
        if key in spec:
            yield f"spec.{key}", problem
    for kind in _CONTAINERS:
        if spec.get(kind, []) is None:
            yield f"spec.{kind}", "would remove what the Deployment's pods are built around"
        for index, container in enumerate(spec.get(kind) or []):
            place = f"spec.{kind}[{index}]"
            yield from _container_problems(container, place, kind, scope)
    yield from _volume_problems(spec)


def _container_problems(
    container: Mapping[str, Any], place: str, kind: str, scope: Scope
) -> Iterator[tuple[str, str]]:
    directive, name = container.get("$patch", "merge"), container.get("name")
    if name == AIRFLOW_CONTAINER or name is None:
        if kind == "initContainers" and name is not None:
            yield f"{place}.name", f"{AIRFLOW_CONTAINER!r} is the name of Airflow's own container"
        if directive != "merge":
            yield f"{place}.$patch", "would remove the container of Airflow itself"
        for key, problem in _AIRFLOW_REFUSED.items():
            if key in container:
                yield f"{place}.{key}", problem
    elif name not in _OURS and directive != "delete":
        if container.get("image") is None:
            yield place, f"needs `image`: there is no container named {name!r}"
        if kind == "containers" and scope is Scope.ALL:
            yield (
                place,
                "would keep the Jobs of a deploy running for ever: make it one of `initContainers` with "
                "restartPolicy Always, or set it in the `pod_template` of the processes and queues",
            )


def _volume_problems(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for index, volume in enumerate(spec.get("volumes") or []):
        place = f"spec.volumes[{index}]"
        if volume.get("name", FILES_VOLUME) == FILES_VOLUME:
            yield (
                place,
                f"the volume {FILES_VOLUME!r} has the files that the pods run; it cannot be set",
            )
        sources = [key for key, value in volume.items() if value is not None and key != "name"]
        sources = [key for key in sources if not key.startswith("$")]
        if len(sources) > 1:
            yield place, f"has more than one source: {' and '.join(sources)}"
        is_kept = "emptyDir" not in volume and not {"$patch", "$retainKeys"} & set(volume)
        if volume.get("name") in _EMPTY_DIRS and sources and is_kept:
            yield (
                place,
                "is an emptyDir, and would have two sources: set `emptyDir` to null as well",
            )


def _variables(patch: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the environment variables of Airflow's own container, with their places."""
    for index, container in enumerate((patch.get("spec") or {}).get("containers") or []):
        if container.get("name") == AIRFLOW_CONTAINER:
            for number, variable in enumerate(container.get("env") or []):
                if "name" in variable:
                    yield f"spec.containers[{index}].env[{number}].name", variable["name"]


def _for_containers_of(template: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the patch without the sidecars that this pod does not have."""
    spec = patch.get("spec")
    if not spec:
        return dict(patch)
    changed = dict(spec)
    for kind in _CONTAINERS:
        if kind in spec:
            there = {one["name"] for one in template["spec"].get(kind, [])}
            absent = set(_OURS) - there
            changed[kind] = [one for one in spec[kind] if one.get("name") not in absent]
    return {**patch, "spec": changed}
