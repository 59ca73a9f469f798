"""Strategic merge patches of pod templates, merged as `kubectl patch` does.

Mappings are merged by key, and null deletes a key. Most lists are replaced as a whole. The lists in
`_Type.merged` are merged by a key of their items. The directives are Kubernetes' own: `$patch` (`replace`,
`delete`, `merge`), `$retainKeys`, `$deleteFromPrimitiveList/<field>` and `$setElementOrder/<field>`. See
"Update API Objects in Place Using kubectl patch" and the `patchMergeKey` tags of Kubernetes' API types.

Values may be Pulumi Outputs. Mappings, lists, merge keys and directives may not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

_PATCH: Final = "$patch"
_RETAIN_KEYS: Final = "$retainKeys"
_DELETE_FROM: Final = "$deleteFromPrimitiveList/"
_ORDER: Final = "$setElementOrder/"
_DIRECTIVES: Final = ("replace", "delete", "merge")


class PatchError(ValueError):
    """A patch does not fit a pod template."""

    def __init__(self, path: str, problem: str) -> None:
        """Take the place in the patch, such as `spec.containers[0].env`, and the problem."""
        super().__init__(f"{path}: {problem}")
        self.path, self.problem = path, problem


@dataclass(frozen=True, slots=True)
class _Type:
    """Fields of a Kubernetes API type that are mappings or lists. All other fields hold values."""

    mappings: Mapping[str, "_Type"] = field(default_factory=dict)
    atomic: frozenset[str] = frozenset()  # lists that a patch replaces
    merged: Mapping[str, tuple[str, "_Type"]] = field(
        default_factory=dict
    )  # by a key of their items
    fields: frozenset[str] | None = None  # all fields; None: fields are not checked


_ANY: Final = _Type()


def _mappings(*names: str) -> dict[str, _Type]:
    return dict.fromkeys(names, _ANY)


_CONTAINER: Final = _Type(
    mappings={
        **_mappings("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"),
        "resources": _Type(mappings=_mappings("limits", "requests"), atomic=frozenset({"claims"})),
        "securityContext": _Type(mappings=_mappings("capabilities", "seccompProfile")),
    },
    atomic=frozenset({"args", "command", "envFrom", "resizePolicy"}),
    merged={
        "env": ("name", _Type(mappings=_mappings("valueFrom"))),
        "ports": ("containerPort", _ANY),
        "volumeDevices": ("devicePath", _ANY),
        "volumeMounts": ("mountPath", _ANY),
    },
)
_SPEC: Final = _Type(
    mappings={
        **_mappings("affinity", "dnsConfig", "nodeSelector", "os", "overhead", "resources"),
        "securityContext": _Type(
            mappings=_mappings("seLinuxOptions", "seccompProfile"),
            atomic=frozenset({"supplementalGroups", "sysctls"}),
        ),
    },
    atomic=frozenset({"readinessGates", "tolerations"}),
    merged={
        "containers": ("name", _CONTAINER),
        "ephemeralContainers": ("name", _CONTAINER),
        "hostAliases": ("ip", _ANY),
        "imagePullSecrets": ("name", _ANY),
        "initContainers": ("name", _CONTAINER),
        "resourceClaims": ("name", _ANY),
        "schedulingGates": ("name", _ANY),
        "topologySpreadConstraints": ("topologyKey", _ANY),
        "volumes": (
            "name",
            _Type(mappings=_mappings("configMap", "csi", "emptyDir", "persistentVolumeClaim")),
        ),
    },
)
_TEMPLATE: Final = _Type(
    mappings={
        "metadata": _Type(mappings=_mappings("annotations", "labels")),
        "spec": _SPEC,
    },
    fields=frozenset({"metadata", "spec"}),
)


def merge(template: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod template with the patch merged into it, without changing either.

    Raises:
        PatchError: With the invalid place in the patch.
    """
    return _merge_mapping(template, patch, _TEMPLATE, "")


def _merge_mapping(original: Any, patch: Any, kind: _Type, path: str) -> dict[str, Any]:
    if not isinstance(patch, Mapping):
        raise PatchError(path, f"must be a mapping, not {_kind(patch)}")
    if kind.fields is not None:
        for key in patch:
            if key not in kind.fields and not str(key).startswith("$"):
                known = ", ".join(sorted(kind.fields))
                raise PatchError(_join(path, key), f"there is no such field. There are: {known}")
    directive = _directive(patch, path)
    if directive == "delete":
        return {}
    merged = {} if directive == "replace" else dict(original)
    merged = _retained(merged, patch, path)
    for key, value in patch.items():
        if not isinstance(key, str):
            raise PatchError(path, f"has the key {key!r}, which is not a string")
        if key.startswith(_DELETE_FROM):
            name = key.removeprefix(_DELETE_FROM)
            gone = _list(value, _join(path, key))
            merged[name] = [one for one in merged.get(name, []) if one not in gone]
        elif not key.startswith("$"):
            _merge_field(merged, key, value, patch.get(_ORDER + key), kind, _join(path, key))
        elif key not in (_PATCH, _RETAIN_KEYS) and not key.startswith(_ORDER):
            raise PatchError(_join(path, key), "is not a directive of strategic merge patches")
    return merged


def _merge_field(
    merged: dict[str, Any], key: str, value: Any, order: Any, kind: _Type, path: str
) -> None:
    """Merge one field of a patch into `merged`."""
    if value is None:
        merged.pop(key, None)
    elif key in kind.mappings:
        merged[key] = _merge_mapping(merged.get(key) or {}, value, kind.mappings[key], path)
    elif key in kind.merged:
        merge_key, item = kind.merged[key]
        merged[key] = _merge_list(merged.get(key) or [], value, order, merge_key, item, path)
    elif key in kind.atomic:
        merged[key] = _list(value, path)
    elif isinstance(value, Mapping):
        before = merged.get(key)
        merged[key] = _merge_mapping(
            before if isinstance(before, Mapping) else {}, value, _ANY, path
        )
    else:
        merged[key] = value


def _merge_list(
    original: Sequence[Any], patch: Any, order: Any, key: str, kind: _Type, path: str
) -> list[Any]:
    """Merge a list by `key` of its items, in kubectl's order."""
    items = _list(patch, path)
    given: dict[Any, Any] = {}
    merged = {} if {_PATCH: "replace"} in items else {item[key]: item for item in original}
    for index, item in enumerate(items):
        place = f"{path}[{index}]"
        if not isinstance(item, Mapping):
            raise PatchError(place, f"must be a mapping, not {_kind(item)}")
        if item == {_PATCH: "replace"}:
            continue
        directive = _directive(item, place)
        identity = _identity(item, key, place)
        if directive == "delete":
            merged.pop(identity, None)
        else:
            given[identity] = merged[identity] = _merge_mapping(
                merged.get(identity, {}), item, kind, place
            )
    if order is None:
        wanted = list(given)
    else:
        wanted = [_identity(item, key, path) for item in _list(order, path)]
        if missing := [one for one in given if one not in wanted]:
            raise PatchError(path, f"{missing[0]!r} is not in {_ORDER}{path.rpartition('.')[2]}")
    return _ordered(merged, wanted, [item[key] for item in original])


def _ordered(merged: dict[Any, Any], wanted: list[Any], before: list[Any]) -> list[Any]:
    """Order the items: those of the patch as in the patch, the others as before.

    If the order of two items is undefined, the item of the patch is first.
    """
    ours = [one for one in wanted if one in merged]
    theirs = [one for one in before if one in merged and one not in wanted]
    result = []
    while ours and theirs:
        known = ours[0] in before
        comes_first = known and before.index(theirs[0]) < before.index(ours[0])
        result.append((theirs if comes_first else ours).pop(0))
    return [merged[one] for one in (*result, *ours, *theirs)]


def _retained(original: dict[str, Any], patch: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the part of the original that `$retainKeys` keeps."""
    if _RETAIN_KEYS not in patch:
        return original
    keys = _list(patch[_RETAIN_KEYS], _join(path, _RETAIN_KEYS))
    for key, value in patch.items():
        if value is not None and not str(key).startswith("$") and key not in keys:
            raise PatchError(_join(path, key), f"is not in {_RETAIN_KEYS}")
    return {key: value for key, value in original.items() if key in keys}


def _directive(patch: Mapping[str, Any], path: str) -> str | None:
    directive = patch.get(_PATCH)
    if directive is not None and directive not in _DIRECTIVES:
        raise PatchError(_join(path, _PATCH), f"must be one of {', '.join(_DIRECTIVES)}")
    return directive


def _identity(item: Any, key: str, path: str) -> Any:
    """Return the value of the key that a list is merged by."""
    value = item.get(key) if isinstance(item, Mapping) else None
    if value is None:
        raise PatchError(path, f"needs `{key}`: the list is merged by it")
    if isinstance(value, pulumi.Output):
        raise PatchError(f"{path}.{key}", "must be known when the program runs; it is an Output")
    return value


def _list(value: Any, path: str) -> list[Any]:
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise PatchError(path, f"must be a list, not {_kind(value)}")
    return list(value)


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _kind(value: Any) -> str:
    if isinstance(value, pulumi.Output):
        return "an Output; its values may be Outputs"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    return f"{type(value).__name__} ({value!r})"
