"""What an update would change, and whether Kubernetes lets it: pure functions on plain objects.

The rules are pulumi-kubernetes': the new inputs are compared with the live object as it was last seen,
reduced to the fields that the old inputs speak about.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from astro_pulumi.embedded import paths
from astro_pulumi.embedded.paths import Path
from astro_pulumi.embedded.provider import DiffKind, DiffResult
from astro_pulumi.embedded.providers.kubernetes.inputs import normalise, prune
from astro_pulumi.embedded.providers.kubernetes.kinds import group_of
from astro_pulumi.embedded.providers.kubernetes.objects import (
    AUTONAMED,
    Object,
    condition,
    is_annotated,
    name_of,
    namespace_of,
)

_IDENTITY: Final = ("metadata.name", "metadata.namespace")
_WORKLOAD_SELECTOR: Final = ("spec.selector",)
_STATEFUL_SET: Final = (
    "spec.podManagementPolicy",
    "spec.revisionHistoryLimit",
    "spec.selector",
    "spec.serviceName",
    "spec.volumeClaimTemplates",
)
_JOB: Final = ("spec.completions", "spec.parallelism", "spec.selector", "spec.template")
# Fields that cannot change in place, by API group and kind. `*` stands for every element of a list.
_REPLACING: Final[dict[tuple[str, str], Sequence[str]]] = {
    ("apps", "DaemonSet"): _WORKLOAD_SELECTOR,
    ("apps", "Deployment"): _WORKLOAD_SELECTOR,
    ("apps", "StatefulSet"): _STATEFUL_SET,
    ("batch", "Job"): _JOB,
    ("", "PersistentVolume"): tuple(
        f"spec.{source}"
        for source in ("csi", "fc", "flexVolume", "hostPath", "iscsi", "local", "nfs")
    ),
    ("", "PersistentVolumeClaim"): (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
    ),
    ("", "Pod"): ("spec",),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("", "Service"): ("spec.clusterIP",),
    # A Secret or ConfigMap is replaced when its content changes: under an automatic name the pods
    # that refer to it then roll to the new content.
    ("", "Secret"): ("type", "stringData", "data"),
    ("", "ConfigMap"): ("binaryData", "data"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner"),
}


def compare(
    old_inputs: Object,
    old_live: Object,
    new: Object,
    *,
    namespaced: bool,
    ignore_changes: Sequence[str] = (),
    keeps_configuration: frozenset[str] = frozenset(),
) -> DiffResult:
    """What turning the old object into `new` takes.

    `keeps_configuration` has the kinds (`Secret`, `ConfigMap`) that are changed in place: the
    provider's options `enableSecretMutable` and `enableConfigMapMutable`.
    """
    old_inputs, new = normalise(old_inputs), normalise(new)
    old = prune(old_live, old_inputs)
    old.setdefault("apiVersion", new.get("apiVersion"))
    old.setdefault("kind", new.get("kind"))
    old_metadata = dict(old.get("metadata") or {})
    new_metadata = new.get("metadata")
    if isinstance(new_metadata, dict):
        new_metadata = dict(new_metadata)
        for metadata in (old_metadata, new_metadata):
            if not namespaced:
                metadata.pop("namespace", None)
            elif not metadata.get("namespace"):
                metadata["namespace"] = "default"
        if name_of(new):
            # An object keeps its generated name when the program starts to spell it out.
            old_metadata["name"] = name_of(old_live)
        new = {**new, "metadata": new_metadata}
    old_metadata.pop("resourceVersion", None)
    old["metadata"] = old_metadata

    changes = _Changes(
        [tuple(pattern.split(".")) for pattern in _replacing(new, keeps_configuration)]
    )
    changes.compare_maps((), old, new)
    ignored = [paths.parse(path) for path in ignore_changes]
    detailed = {
        paths.render(path): kind
        for path, kind in changes.found.items()
        if not any(paths.contains(prefix, path) for prefix in ignored)
    }
    replaces = sorted(
        path
        for path, kind in detailed.items()
        if kind.endswith("_REPLACE") or (kind == "DELETE" and path == "metadata")
    )
    return DiffResult(
        changes=bool(detailed),
        replaces=replaces,
        delete_before_replace=bool(replaces) and takes_same_name(old_live, new),
        detailed=detailed,
    )


def takes_same_name(old_live: Object, new: Object) -> bool:
    """Whether a replacement would have the old object's name, so that the old one must go first."""
    return (
        not is_annotated(new, AUTONAMED)
        and name_of(new) == name_of(old_live)
        and namespace_of(new) == namespace_of(old_live)
    )


def _replacing(new: Object, keeps_configuration: frozenset[str]) -> list[str]:
    kind = str(new.get("kind"))
    patterns = _REPLACING.get((group_of(str(new.get("apiVersion"))), kind), ())
    if kind in keeps_configuration and not new.get("immutable"):
        patterns = ("type",) if kind == "Secret" else ()
    return [*_IDENTITY, *patterns]


@dataclass
class _Changes:
    """Collects the differing leaves of two nested values."""

    replacing: Sequence[tuple[str, ...]]
    found: dict[Path, DiffKind] = field(default_factory=dict)

    def compare_maps(self, path: Path, old: Object, new: Object) -> None:
        for key in old.keys() | new.keys():
            here = (*path, key)
            if new.get(key) is None:
                if old.get(key) is not None:
                    self._add(here, "DELETE", None)
            elif old.get(key) is None:
                self._add(here, "ADD", new[key])
            else:
                self._compare(here, old[key], new[key])

    def _compare(self, path: Path, old: Any, new: Any) -> None:
        if isinstance(old, dict) and isinstance(new, dict):
            self.compare_maps(path, old, new)
        elif isinstance(old, list) and isinstance(new, list):
            for index, (old_item, new_item) in enumerate(zip(old, new, strict=False)):
                self._compare((*path, index), old_item, new_item)
            for index in range(len(old), len(new)):
                self._add((*path, index), "ADD", new[index])
            for index in range(len(new), len(old)):
                self._add((*path, index), "DELETE", None)
        elif old != new:
            self._add(path, "UPDATE", new)

    def _add(self, path: Path, kind: str, value: Any) -> None:
        if any(_touches(pattern, path, value) for pattern in self.replacing):
            kind += "_REPLACE"
        self.found[path] = kind  # type: ignore[assignment]  # one of the six by construction


def _touches(pattern: Sequence[str], path: Path, value: Any) -> bool:
    """Whether a change at `path` to `value` is a change of the field that `pattern` names."""
    for wanted, step in zip(pattern, path, strict=False):
        if wanted != "*" and wanted != step:
            return False
    rest = pattern[len(path) :]
    # A whole object was added above the field: does it set the field?
    return not rest or any(True for _ in _values_at(value, rest))


def _values_at(value: Any, pattern: Sequence[str]) -> Iterator[Any]:
    if not pattern:
        yield value
    elif pattern[0] == "*":
        for item in value if isinstance(value, list) else ():
            yield from _values_at(item, pattern[1:])
    elif isinstance(value, dict) and value.get(pattern[0]) is not None:
        yield from _values_at(value[pattern[0]], pattern[1:])


def is_known_complete(live: Object) -> bool:
    """Whether a Job has succeeded, which it never loses again."""
    return condition(live, "Complete").get("status") == "True"
