"""Who set which field of an object: what `metadata.managedFields` says, and taking fields over."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Final

from astro_pulumi.embedded.providers.kubernetes.objects import Object, describe, dig

# (name, operation) of managers whose fields become ours: tools that set a whole object without
# server-side apply. pulumi-kubernetes creates objects as the first of them since 4.30.
_CLIENT_SIDE: Final = frozenset(
    {
        ("pulumi-kubernetes", "Update"),
        ("pulumi-kubernetes.exe", "Update"),
        ("pulumi-resource-kubernetes", "Update"),
        ("before-first-apply", "Update"),
        ("kubectl", "Update"),
        ("kubectl", "Apply"),
    }
)


def _managers(obj: Object) -> list[Object]:
    return list(dig(obj, "metadata", "managedFields") or [])


def _is_client_side(entry: Object) -> bool:
    return (entry.get("manager"), entry.get("operation")) in _CLIENT_SIDE and not entry.get(
        "subresource"
    )


def is_made_by_client_side_tool(live: Object) -> bool:
    """Whether fields belong to a tool that does not use server-side apply."""
    return any(_is_client_side(entry) for entry in _managers(live))


def is_applied_by(live: Object, manager: str) -> bool:
    """Whether the object was made with server-side apply by this manager."""
    return any(
        entry.get("manager") == manager and entry.get("operation") == "Apply"
        for entry in _managers(live)
    )


def transfer(live: Object, manager: str) -> list[Object]:
    """The JSON patch that makes the fields of client-side tools the manager's.

    It holds the object's resource version, so that it fails if the object has changed since.
    """
    kept: list[Object] = []
    fields: Object = {}
    ours: Object = {}
    for entry in _managers(live):
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            ours = entry
        elif not _is_client_side(entry):
            kept.append(entry)
            continue
        fields = _merge(fields, entry.get("fieldsV1") or {})
        ours = ours or entry
    taken = {**ours, "manager": manager, "operation": "Apply", "fieldsV1": fields}
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": [taken, *kept]},
        {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": dig(live, "metadata", "resourceVersion"),
        },
    ]


def _merge(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        merged = dict(one)
        for key, value in other.items():
            merged[key] = _merge(merged[key], value) if key in merged else value
        return merged
    return one


def keep_ignored(
    obj: Object, live: Object, manager: str, ignored: Iterable[tuple[str | int, ...]]
) -> Object:
    """`obj` without changes to the `ignored` fields: each is as it is in the cluster, or left out when
    only somebody else set it, an autoscaler for instance, so that it stays theirs.

    As with pulumi-kubernetes, paths into lists are not looked at.
    """
    obj = copy.deepcopy(obj)
    for path in ignored:
        *above, last = path
        value, inside = dig(live, *path), dig(obj, *above)
        if value is None or not isinstance(inside, dict):
            continue
        setters = {
            entry.get("manager") == manager
            for entry in _managers(live)
            if dig(entry, "fieldsV1", *(f"f:{key}" for key in path)) is not None
        }
        if setters == {False}:
            inside.pop(last, None)
        else:
            inside[last] = value
    return obj


def are_all_ours(causes: Sequence[Object]) -> bool:
    """Whether every conflict is with a manager of Pulumi's."""
    return all('conflict with "pulumi-' in str(cause.get("message")) for cause in causes)


def describe_conflict(obj: Object, causes: Sequence[Object]) -> str:
    """What a user can do about fields that someone else has set to other values."""
    fields = "; ".join(
        f"{cause.get('field')} ({str(cause.get('message')).removeprefix('conflict with ')})"
        for cause in causes
    )
    return (
        f"{describe(obj)}: someone else has set fields that this program sets: {fields}. Remove them from"
        ' the program, or take them over with the annotation pulumi.com/patchForce: "true"'
    )
