"""Kubernetes objects as Pulumi resources of the pulumi-kubernetes provider."""

from importlib.metadata import version
from typing import Any, Final

import pulumi

from astro_pulumi.kubernetes.metadata import ADOPTED, REPLACED_WITH, Manifest

# Registered by manifest instead of by pulumi-kubernetes' classes: importing those takes 0.4 s of every
# preview and up, and they add nothing to plain data.
VERSION: Final = version("pulumi-kubernetes")
_SECRET_OUTPUTS: Final = {"Secret": ["data", "stringData"]}


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
