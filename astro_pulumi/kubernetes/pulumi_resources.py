"""Objects of one Deployment in its namespace, as Pulumi resources of the pulumi-kubernetes provider.

All are owned by one ConfigMap, which is created first and deleted last. A deploy that is killed between the
response of the Kubernetes API and the write of Pulumi's state leaves an object that is in no state. Because
of its owner, Kubernetes' garbage collection deletes such an object too.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import pulumi

from astro_pulumi.errors import ReleaseError, as_run_error
from astro_pulumi.kubernetes.interrupted_destroy import replacement_trigger
from astro_pulumi.kubernetes.labels import ADOPTED, REPLACED_WITH, Manifest, labels
from astro_pulumi.naming import object_name

# Registered by manifest instead of by pulumi-kubernetes' classes: importing those takes 0.4 s of every
# preview and up, and they add nothing to plain data.
VERSION: Final = version("pulumi-kubernetes")
_SECRET_OUTPUTS: Final = {"Secret": ["data", "stringData"]}
OWNER: Final = "owner"
# A destroy deletes Jobs first, and a destroy that is interrupted then must not lose dumps of the database.
_NEVER_REPLACED: Final = ("Job", "PersistentVolumeClaim")
_WARNING: Final = (
    "Everything of this Deployment but its records and volumes is owned by this ConfigMap: "
    "if it is deleted, Kubernetes deletes the Deployment."
)


class KubernetesObject(pulumi.CustomResource):
    """An object of Kubernetes, with pulumi-kubernetes' type token of its kind."""

    metadata: pulumi.Output[dict[str, Any]]
    data: pulumi.Output[dict[str, str]]
    """Of a ConfigMap."""
    status: pulumi.Output[dict[str, Any]]
    """Of a Service."""

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        opts: pulumi.ResourceOptions,
        replaced_with: pulumi.Output[str] | None = None,
    ) -> None:
        """Register a manifest.

        Args:
            name: Name of the resource.
            manifest: The object.
            opts: Options of the resource.
            replaced_with: Value whose change replaces the object.
        """
        kind = manifest["kind"]
        added: Manifest = dict(ADOPTED)
        if replaced_with is not None:
            added[REPLACED_WITH] = replaced_with
        super().__init__(
            type_token(manifest["apiVersion"], kind),
            name,
            {
                **({"status": None} if kind == "Service" else {}),
                **manifest,
                "metadata": _annotated(manifest["metadata"], added),
            },
            pulumi.ResourceOptions.merge(
                pulumi.ResourceOptions(
                    version=VERSION,
                    additional_secret_outputs=_SECRET_OUTPUTS.get(kind),
                    replace_on_changes=[f'metadata.annotations["{REPLACED_WITH}"]'],
                    # The provider decides the same when it is the one that replaces.
                    delete_before_replace="name" in manifest["metadata"],
                ),
                opts,
            ),
        )

    @property
    def object_name(self) -> pulumi.Output[str]:
        """The object's name in the cluster, with the suffix of an automatic name."""
        return self.metadata["name"]


def _annotated(metadata: Manifest, added: Manifest) -> Manifest:
    """Return `metadata` with more annotations."""
    given = metadata.get("annotations", {})
    if isinstance(given, pulumi.Output):
        both = pulumi.Output.all(given, added)
        return {**metadata, "annotations": both.apply(lambda known: {**known[0], **known[1]})}
    return {**metadata, "annotations": {**given, **added}}


def type_token(api_version: str, kind: str) -> str:
    """Return the type token: `kubernetes:apps/v1:Deployment`. The core group is called `core`."""
    group = api_version if "/" in api_version else f"core/{api_version}"
    return f"kubernetes:{group}:{kind}"


class Objects:
    """Creates the objects of one Deployment. Their resources are named `<name>-<component>`."""

    def __init__(self, name: str, namespace: pulumi.Output[str], parent: pulumi.Resource) -> None:
        """Create the owner of all objects."""
        self._name, self._namespace, self._parent = name, namespace, parent
        self._owners: list[Manifest] = []
        self._trigger: pulumi.Output[str] | None = None
        owner = self._make_owner()
        self._owners = [_owner_reference(owner, object_name(name, OWNER))]
        self._trigger = replacement_trigger(name, "objects", [owner], parent)

    def make(
        self,
        component: str,
        manifest: Manifest,
        *,
        depends_on: list[KubernetesObject] | None = None,
        retain_on_delete: bool | None = None,
        ignore_changes: list[str] | None = None,
        hooks: pulumi.ResourceHookBinding | None = None,
        wait_for: pulumi.Output[None] | None = None,
        owned: bool = True,
        trigger: pulumi.Output[str] | None = None,
        replaced_with: pulumi.Output[str] | None = None,
    ) -> KubernetesObject:
        """Create one object.

        Args:
            component: Suffix of the resource's name.
            manifest: The object.
            depends_on: Resources that the object depends on permanently.
            retain_on_delete: As in Pulumi's resource options.
            ignore_changes: As in Pulumi's resource options.
            hooks: As in Pulumi's resource options.
            wait_for: Output to wait for in this deploy.
            owned: Whether Kubernetes deletes the object with the Deployment's owner.
            trigger: Replacement trigger of objects that are deleted before most others.
            replaced_with: Value whose change replaces the object.
        """
        namespace = self._namespace
        if wait_for is not None:
            namespace = pulumi.Output.all(namespace, wait_for).apply(lambda known: str(known[0]))
        metadata = {**manifest["metadata"], "namespace": namespace}
        if owned and self._owners:
            metadata["ownerReferences"] = self._owners
        if not retain_on_delete and manifest["kind"] not in _NEVER_REPLACED:
            trigger = trigger or self._trigger
        triggers = [one for one in (trigger, replaced_with) if one is not None]
        return KubernetesObject(
            object_name(self._name, component),
            {**manifest, "metadata": metadata},
            pulumi.ResourceOptions(
                parent=self._parent,
                depends_on=depends_on,
                retain_on_delete=retain_on_delete,
                ignore_changes=ignore_changes,
                hooks=hooks,
            ),
            pulumi.Output.all(*triggers).apply("-".join) if len(triggers) > 1 else trigger,
        )

    def make_service_account_with_role(
        self, component: str, manifests: list[Manifest]
    ) -> list[KubernetesObject]:
        """Create a ServiceAccount with its Role and RoleBinding."""
        return [
            self.make(f"{component}-{manifest['kind'].lower()}", manifest) for manifest in manifests
        ]

    def make_config_map(
        self,
        component: str,
        data: Mapping[str, Any],
        ignore_changes: list[str] | None = None,
        replaced_with: pulumi.Output[str] | None = None,
    ) -> KubernetesObject:
        """Create a ConfigMap with a random suffix, so that its readers roll if and only if it changes."""
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"labels": labels(self._name, "settings")},
            "data": data,
        }
        return self.make(
            component, manifest, ignore_changes=ignore_changes, replaced_with=replaced_with
        )

    def make_secret(
        self, component: str, values: dict[str, Any], type: str = "Opaque"
    ) -> pulumi.Output[str]:
        """Create a Secret with a random suffix, so that its readers roll if and only if it changes.

        Returns:
            Its name.
        """
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"labels": labels(self._name, component)},
            "type": type,
            "stringData": {key: pulumi.Output.secret(value) for key, value in values.items()},
        }
        return self.make(component, manifest).object_name

    def _make_owner(self) -> KubernetesObject:
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": object_name(self._name, OWNER),
                "labels": labels(self._name, OWNER),
            },
            "data": {"warning": _WARNING},
        }
        return self.make(OWNER, manifest)


def _owner_reference(owner: KubernetesObject, name: str) -> Manifest:
    # No `blockOwnerDeletion`: OpenShift would require rights on the owner's finalizers.
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": name,
        "uid": owner.metadata.apply(_uid),
    }


def _uid(metadata: Mapping[str, Any] | None) -> Any:
    """Return the object's uid; unknown in a preview of a new object."""
    uid = (metadata or {}).get("uid")
    if uid is not None:
        return uid
    if pulumi.runtime.is_dry_run():
        return pulumi.Output.from_input(pulumi.UNKNOWN)
    with as_run_error():
        raise ReleaseError("The Kubernetes API has made an object without a uid.")
