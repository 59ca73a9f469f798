"""Kubernetes objects as Pulumi resources of the pulumi-kubernetes provider."""

from importlib.metadata import version
from typing import Any, Final

import pulumi

from astro_pulumi.kubernetes.metadata import ADOPTED, Manifest

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

    def __init__(self, name: str, manifest: Manifest, opts: pulumi.ResourceOptions) -> None:
        """Register a manifest."""
        kind = manifest["kind"]
        super().__init__(
            type_token(manifest["apiVersion"], kind),
            name,
            {
                **({"status": None} if kind == "Service" else {}),
                **manifest,
                "metadata": _adopted(manifest["metadata"]),
            },
            pulumi.ResourceOptions.merge(
                pulumi.ResourceOptions(
                    version=VERSION,
                    additional_secret_outputs=_SECRET_OUTPUTS.get(kind),
                    # The provider decides the same, but Pulumi does not ask it for a replacement trigger.
                    delete_before_replace="name" in manifest["metadata"],
                ),
                opts,
            ),
        )

    @property
    def object_name(self) -> pulumi.Output[str]:
        """The object's name in the cluster, with the suffix of an automatic name."""
        return self.metadata["name"]


def _adopted(metadata: Manifest) -> Manifest:
    """Return `metadata` with the annotation that allows taking over an existing object."""
    given = metadata.get("annotations", {})
    if isinstance(given, pulumi.Output):
        return {**metadata, "annotations": given.apply(lambda known: {**known, **ADOPTED})}
    return {**metadata, "annotations": {**given, **ADOPTED}}


def type_token(api_version: str, kind: str) -> str:
    """Return the type token: `kubernetes:apps/v1:Deployment`. The core group is called `core`."""
    group = api_version if "/" in api_version else f"core/{api_version}"
    return f"kubernetes:{group}:{kind}"
