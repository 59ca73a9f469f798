"""Which path of the API a kind of object lives at.

Kubernetes' own kinds follow a rule, so that they need no request to discovery; a custom resource's
kind is asked for once.
"""

from dataclasses import dataclass
from typing import Final

from astro_pulumi.errors import ResourceError


def words(text: str) -> frozenset[str]:
    """A set of names, written as running text."""
    return frozenset(text.split())


BUILTIN_GROUPS: Final = words(
    """
    admissionregistration.k8s.io apiextensions.k8s.io apiregistration.k8s.io apps autoscaling
    batch certificates.k8s.io coordination.k8s.io discovery.k8s.io events.k8s.io
    flowcontrol.apiserver.k8s.io networking.k8s.io node.k8s.io policy rbac.authorization.k8s.io
    scheduling.k8s.io storage.k8s.io
    """
) | {""}

_CLUSTER_WIDE: Final = words(
    """
    APIService CSIDriver CSINode CertificateSigningRequest ClusterRole ClusterRoleBinding
    ClusterTrustBundle CustomResourceDefinition FlowSchema IPAddress IngressClass
    MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration
    Namespace Node PersistentVolume PriorityClass PriorityLevelConfiguration RuntimeClass
    ServiceCIDR StorageClass ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
    ValidatingWebhookConfiguration VolumeAttachment VolumeAttributesClass
    """
)


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """A kind of object and where the API serves it."""

    api_version: str  # "apps/v1"
    kind: str  # "Deployment"
    plural: str  # "deployments"
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of one object, or of the collection when there is no name."""
        root = "api" if "/" not in self.api_version else "apis"
        parts = ["", root, self.api_version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        return "/".join(parts)


def group_of(api_version: str) -> str:
    """`apps/v1` -> `apps`; the core group is empty."""
    return api_version.rpartition("/")[0]


def is_builtin(api_version: str) -> bool:
    """Whether the API version is Kubernetes' own."""
    return group_of(api_version) in BUILTIN_GROUPS


def builtin_kind(api_version: str, kind: str) -> ResourceKind | None:
    """Where one of Kubernetes' own kinds is served; None for a custom resource."""
    if not is_builtin(api_version):
        return None
    return ResourceKind(api_version, kind, _plural(kind), kind not in _CLUSTER_WIDE)


def from_type_token(token: str) -> tuple[str, str]:
    """`kubernetes:core/v1:Service` -> (`v1`, `Service`); a clear error for what is not one object."""
    _, module, kind = token.split(":", 2)
    if module.startswith(("yaml", "helm.sh", "kustomize")):
        raise ResourceError(
            f"{token}: the embedded engine deploys single Kubernetes objects only; YAML files, Helm"
            " charts and kustomizations need the Pulumi CLI (https://www.pulumi.com/docs/install/)"
        )
    module = module.removeprefix("core/")
    if kind.endswith("Patch") or (kind.endswith("List") and is_builtin(module)):
        raise ResourceError(
            f"{token}: the embedded engine does not handle {kind!r}; use the kind itself, or the Pulumi CLI"
        )
    return module, kind


def _plural(kind: str) -> str:
    word = kind.lower()
    if word == "endpoints":
        return word
    if word.endswith("s"):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"
