"""`kubernetes:*` resources: pulumi-kubernetes' behaviour for single objects, on the official client."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from astro_pulumi.embedded import paths
from astro_pulumi.embedded.provider import (
    CheckResult,
    DiffResult,
    InitializationError,
    Log,
    Provider,
    ReadResult,
    Request,
    Resource,
)
from astro_pulumi.embedded.providers.kubernetes import diff, ownership
from astro_pulumi.embedded.providers.kubernetes.client import (
    ApiError,
    ApiUnreachableError,
    Cluster,
    Notice,
)
from astro_pulumi.embedded.providers.kubernetes.inputs import (
    assign_name,
    field_manager,
    live_inputs,
    normalise,
    prune,
)
from astro_pulumi.embedded.providers.kubernetes.kinds import ResourceKind, from_type_token
from astro_pulumi.embedded.providers.kubernetes.objects import (
    AUTONAMED,
    DELETION_PROPAGATION,
    FIELD_MANAGER,
    FIELD_MANAGER_KEY,
    PATCH_FORCE,
    REPLACE_UNREADY,
    SKIP_AWAIT,
    TIMEOUT_SECONDS,
    Object,
    annotation,
    checkpoint,
    describe,
    dig,
    is_annotated,
    mark_secrets,
    name_of,
    namespace_of,
    object_id,
    split_checkpoint,
    split_id,
    to_object,
    to_properties,
)
from astro_pulumi.embedded.providers.kubernetes.wait import NotReadyError, Waiter
from astro_pulumi.embedded.providers.kubernetes.watch import Watcher
from astro_pulumi.embedded.values import UNKNOWN, Properties, has_unknown
from astro_pulumi.errors import ResourceError

DEFAULT_TIMEOUT: Final = 600.0
_APPLY: Final = "application/apply-patch+yaml"  # of which JSON is a part
# A custom resource may come a moment before its kind is served, an object before its namespace.
_CREATE_PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
_PREVIEW_PATIENCE: Final = 3.0
_PROPAGATION: Final = {"orphan": "Orphan", "background": "Background"}
# Kinds whose deletion `skipAwait` does not wait for, as with pulumi-kubernetes.
_DELETED_WITHOUT_WAITING: Final = frozenset(
    {"DaemonSet", "Deployment", "Job", "Namespace", "Pod", "ReplicationController", "StatefulSet"}
)


class KubernetesProvider(Provider):
    """Deploys Kubernetes objects with server-side apply and waits until they are ready."""

    name = "kubernetes"
    version = "4.34.2"

    def __init__(self, config: Properties, cluster: Cluster | None = None) -> None:
        """`config` has pulumi-kubernetes' keys; `cluster` is given by tests."""
        if config.get("renderYamlToDirectory") or config.get("enableServerSideApply") in (
            False,
            "false",
        ):
            raise ResourceError(
                "the embedded engine applies objects server-side to a cluster; the provider options"
                " renderYamlToDirectory and enableServerSideApply=false need the Pulumi CLI"
            )
        self._cluster = cluster or Cluster(config)
        if cluster is None:
            self._cluster.warm_up()
        self._waiter = Waiter(self._cluster, Watcher(self._cluster))
        # Namespaces made by this run hold nothing that could be in the way.
        self._own_namespaces: set[str] = set()

    def check(self, request: Request) -> CheckResult:
        """Adds the name, the namespace and what else the API server would fill in alike."""
        resource = request.resource
        from_type_token(resource.type)
        old, new = to_object(request.old_inputs), normalise(to_object(request.inputs))
        assign_name(new, old, resource.name, request.random_seed)
        metadata = new["metadata"]
        if metadata is not UNKNOWN:
            if metadata.get("generateName") and not metadata.get("name"):
                raise ResourceError(
                    f"{resource.name}: metadata.generateName cannot be applied; leave it out"
                )
            if not metadata.get("namespace") and self._is_namespaced(new):
                metadata["namespace"] = self._cluster.default_namespace
        inputs: Properties = to_properties(new)
        mark_secrets(inputs, request.inputs)
        return CheckResult(inputs)

    def diff(self, request: Request) -> DiffResult:
        """Compares the new inputs with the object as it was seen last."""
        recorded, live = split_checkpoint(request.old_outputs)
        new = to_object(request.inputs)
        mutable = {"Secret": "enableSecretMutable", "ConfigMap": "enableConfigMapMutable"}
        result = diff.compare(
            recorded or to_object(request.old_inputs),
            live,
            new,
            namespaced=self._is_namespaced(new),
            ignore_changes=request.ignore_changes,
            keeps_configuration=frozenset(
                kind for kind, option in mutable.items() if self._cluster.option(option)
            ),
        )
        if is_annotated(new, REPLACE_UNREADY) and new.get("kind") == "Job":
            return self._replace_unready(result, live, new)
        return result

    def _replace_unready(self, result: DiffResult, live: Object, new: Object) -> DiffResult:
        """Replaces a Job that has not succeeded: waiting for it again would be in vain."""
        if diff.is_known_complete(live):
            return result
        kind = self._kind(live)
        try:
            live = self._cluster.get(kind.path(namespace_of(live), name_of(live)))
        except ApiError:
            return result  # it is not there; the update says so, or makes it again
        if diff.is_known_complete(live):
            return result
        return DiffResult(
            changes=True,
            replaces=[*result.replaces, f'.metadata.annotations["{REPLACE_UNREADY}"]'],
            delete_before_replace=diff.takes_same_name(live, new),
            detailed=result.detailed,
        )

    def create(self, request: Request) -> tuple[str, Properties]:
        """Applies the object and waits until it is ready."""
        inputs, log = request.inputs, request.log
        obj = to_object(inputs)
        manager = self._manager(request.resource, obj, {})
        if request.preview:
            known = not has_unknown(inputs)
            return "", self._preview(request, normalise(obj), {}, manager) if known else inputs
        kind = self._kind_to_come(obj, log)
        self._make_way(kind, obj, manager, request)
        applied = self._apply(kind, obj, manager, request, is_new=True)
        if obj.get("kind") == "Namespace":
            self._own_namespaces.add(name_of(obj))
        return object_id(applied), self._finish(kind, applied, obj, manager, request)

    def update(self, request: Request) -> Properties:
        """Applies the changed object and waits until it is ready again."""
        _, live = split_checkpoint(request.old_outputs)
        obj = normalise(to_object(request.inputs))
        manager = self._manager(request.resource, obj, request.old_outputs)
        if request.preview and has_unknown(request.inputs):
            return request.inputs
        if request.ignore_changes:
            obj = self._keep_ignored(obj, manager, request.ignore_changes)
        if request.preview:
            return self._preview(request, obj, live, manager)
        kind = self._kind(obj)
        if ownership.is_made_by_client_side_tool(live):
            self._take_ownership(kind, obj, manager)
        applied = self._apply(kind, obj, manager, request, is_new=False)
        return self._finish(kind, applied, obj, manager, request)

    def read(self, request: Request) -> ReadResult | None:
        """The object as it is now. Without inputs it is imported: they follow from the object."""
        inputs, outputs = request.inputs, request.old_outputs
        _, recorded = split_checkpoint(outputs)
        known = normalise(to_object(inputs))
        kind = self._find_kind({**_declared(request), **recorded, **known})
        namespace, name = split_id(request.id)
        if kind is None:
            return None  # its definition is gone, and the object with it
        if known.get("kind"):
            namespace = namespace_of(known)  # as pulumi-kubernetes: not the one in the id
        if kind.namespaced and not namespace:
            namespace = self._cluster.default_namespace
        try:
            live = self._cluster.get(kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        new_inputs = prune(live, known) if known else live_inputs(live)
        manager = self._manager(request.resource, known, outputs)
        state = checkpoint(new_inputs, live, inputs, manager)
        read_inputs: Properties = to_properties(new_inputs)
        mark_secrets(read_inputs, inputs)
        return ReadResult(request.id or object_id(live), read_inputs, state)

    def recover(self, request: Request) -> ReadResult | None:
        obj = to_object(request.inputs)
        found = self.read(replace(request, id=object_id(obj)))
        manager = self._manager(request.resource, obj, {})
        if found and ownership.is_applied_by(to_object(found.outputs), manager):
            return found
        return None

    def delete(self, request: Request) -> None:
        """Deletes the object after what belongs to it, and waits until it is gone."""
        recorded, live = split_checkpoint(request.old_outputs)
        kind = self._find_kind({**_declared(request), **live})
        if kind is None:
            return
        namespace, name = split_id(request.id)
        policy = _PROPAGATION.get(annotation(recorded, DELETION_PROPAGATION).lower(), "Foreground")
        try:
            answer = self._cluster.request(
                "DELETE",
                kind.path(namespace, name),
                body={"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy},
                notice=_notice(request.log),
            )
        except ApiError as error:
            if error.status == 404:
                return
            raise
        if answer.get("kind") == "Status" and not dig(answer, "metadata", "uid"):
            return  # gone at once
        if is_annotated(recorded, SKIP_AWAIT) and kind.kind in _DELETED_WITHOUT_WAITING:
            return
        self._waiter.until_gone(kind, answer, _timeout(request.timeout, recorded), request.log)

    def is_elsewhere(self, before: Properties) -> bool:
        return self._cluster.is_other_than(before)

    def cancel(self) -> None:
        self._waiter.cancel()

    def _is_namespaced(self, obj: Object) -> bool:
        try:
            kind = self._find_kind(obj)
        except ResourceError:
            kind = None
        # A custom resource whose definition is yet to come, or cannot be asked for: most are.
        return kind is None or kind.namespaced

    def _find_kind(self, obj: Object) -> ResourceKind | None:
        return self._cluster.resource_kind(str(obj.get("apiVersion")), str(obj.get("kind")))

    def _kind(self, obj: Object) -> ResourceKind:
        kind = self._find_kind(obj)
        if kind is None:
            raise ResourceError(
                f"{describe(obj)}: the cluster has no {obj.get('apiVersion')} {obj.get('kind')};"
                " is its CustomResourceDefinition installed?"
            )
        return kind

    def _kind_to_come(self, obj: Object, log: Log) -> ResourceKind:
        """As `_kind`, for a definition that may have been made a moment ago."""
        for pause in _CREATE_PAUSES:
            if kind := self._find_kind(obj):
                return kind
            log("info", f"waiting for the kind {obj.get('kind')}")
            time.sleep(pause)
        return self._kind(obj)

    @staticmethod
    def _manager(resource: Resource, obj: Object, outputs: Properties) -> str:
        recorded = outputs.get(FIELD_MANAGER_KEY)
        return annotation(obj, FIELD_MANAGER) or recorded or field_manager(resource.urn)

    def _make_way(self, kind: ResourceKind, obj: Object, manager: str, request: Request) -> None:
        """Makes sure that a new object does not overwrite one that is not ours.

        Under an automatic name, or in a namespace that this run made, there cannot be one.
        """
        if is_annotated(obj, AUTONAMED) or namespace_of(obj) in self._own_namespaces:
            return
        try:
            live = self._cluster.get(kind.path(namespace_of(obj), name_of(obj)))
        except ApiError as error:
            if error.status == 404:
                return
            raise
        if dig(live, "metadata", "deletionTimestamp"):
            request.log("info", "waiting for the old object of this name to be gone")
            self._waiter.until_gone(kind, live, _timeout(request.timeout, obj), request.log)
        elif not ownership.is_applied_by(live, manager):
            raise ResourceError(
                f"{describe(obj)} already exists and was not made by this stack. Delete it, give the new"
                " one another name, or bring it under Pulumi with the resource option `import_`"
            )

    def _apply(
        self, kind: ResourceKind, obj: Object, manager: str, request: Request, *, is_new: bool
    ) -> Object:
        log = request.log
        deadline = time.monotonic() + _timeout(request.timeout, obj)
        force = is_annotated(obj, PATCH_FORCE) or self._cluster.option("enablePatchForce")
        pauses = list(_CREATE_PAUSES) if is_new else []
        while True:
            try:
                return self._patch(kind, obj, manager, force=force, log=log)
            except ApiError as error:
                if error.status == 404 and pauses:
                    log("info", f"{error}; trying again")
                    time.sleep(pauses.pop(0))
                elif error.status == 409 and error.causes:
                    if force or not ownership.are_all_ours(error.causes):
                        raise ResourceError(
                            ownership.describe_conflict(obj, error.causes)
                        ) from error
                    # An older manager of Pulumi's, which the state knew nothing of.
                    self._take_ownership(kind, obj, manager)
                    force = True
                elif not error.is_about_taken_port or not self._waiter.for_node_port(
                    obj, deadline - time.monotonic(), log
                ):
                    problem = error.body.get("message") or error.reason or str(error)
                    raise ResourceError(
                        f"the API server refuses {describe(obj)}: {problem}"
                    ) from error

    def _patch(
        self,
        kind: ResourceKind,
        obj: Object,
        manager: str,
        *,
        force: bool,
        log: Log,
        dry_run: bool = False,
    ) -> Object:
        query = {"fieldManager": manager, "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        return self._cluster.request(
            "PATCH",
            kind.path(namespace_of(obj), name_of(obj)),
            body=obj,
            query=query,
            content_type=_APPLY,
            notice=_notice(log),
            patience=_PREVIEW_PATIENCE if dry_run else None,
        )

    def _take_ownership(self, kind: ResourceKind, obj: Object, manager: str) -> None:
        """Moves the fields that client-side tools set to our field manager.

        Otherwise a field that the program drops would stay, since the other manager still wants it.
        """
        path = kind.path(namespace_of(obj), name_of(obj))
        for _ in range(5):
            try:
                live = self._cluster.get(path)
            except ApiError as error:
                if error.status == 404:
                    return  # it was deleted by someone: applying it makes it anew
                raise
            if not ownership.is_made_by_client_side_tool(live):
                return
            try:
                self._cluster.request(
                    "PATCH",
                    path,
                    body=ownership.transfer(live, manager),
                    content_type="application/json-patch+json",
                )
            except ApiError as error:
                if error.status != 409:  # else the object changed in between
                    raise
            else:
                return

    def _keep_ignored(self, obj: Object, manager: str, ignored: Sequence[str]) -> Object:
        kind = self._find_kind(obj)
        if kind is None:
            return obj
        try:
            live = self._cluster.get(kind.path(namespace_of(obj), name_of(obj)))
        except (ApiUnreachableError, ApiError):  # what follows says so, or does without
            return obj
        return ownership.keep_ignored(obj, live, manager, map(paths.parse, ignored))

    def _finish(
        self, kind: ResourceKind, applied: Object, obj: Object, manager: str, request: Request
    ) -> Properties:
        """Waits, and returns the outputs, also when the wait fails."""
        try:
            timeout = _timeout(request.timeout, obj)
            live = self._waiter.until_ready(kind, applied, obj, timeout, request.log)
        except NotReadyError as error:
            outputs = checkpoint(obj, error.live, request.inputs, manager)
            raise InitializationError(object_id(applied), outputs, error.reasons) from error
        return checkpoint(obj, live, request.inputs, manager)

    def _preview(self, request: Request, obj: Object, live: Object, manager: str) -> Properties:
        """What the API server would make of `obj`; the inputs alone where it cannot say."""
        kind = self._find_kind(obj)
        if kind is None:
            return request.inputs
        force = (
            not live
            or is_annotated(obj, PATCH_FORCE)
            or ownership.is_made_by_client_side_tool(live)
            or self._cluster.option("enablePatchForce")
        )
        try:
            planned = self._patch(kind, obj, manager, force=force, log=request.log, dry_run=True)
        except ApiUnreachableError:
            return request.inputs
        except ApiError as error:
            is_replacement = error.status == 422 and "immutable" in str(error) and not live
            if error.is_about_taken_port:
                self._waiter.for_node_port(obj, 0, request.log)  # another Service has it
                return request.inputs
            if error.status in (403, 404) or is_replacement:
                return request.inputs
            if error.status == 409 and error.causes:
                raise ResourceError(ownership.describe_conflict(obj, error.causes)) from error
            raise
        planned.pop("status", None)
        return checkpoint(obj, planned, request.inputs, manager)


def _declared(request: Request) -> Object:
    """What the resource's type says of the object."""
    api_version, kind = from_type_token(request.resource.type)
    return {"apiVersion": api_version, "kind": kind}


def _timeout(given: float, obj: Object) -> float:
    text = annotation(obj, TIMEOUT_SECONDS)
    return given or (float(text) if text.isdigit() else DEFAULT_TIMEOUT)


def _notice(log: Log) -> Notice:
    return lambda text: log("info", text)
