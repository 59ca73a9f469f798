"""What the pods of a Deployment may do in its namespace: Roles, and who has them."""

from typing import Final

from astro_pulumi.kubernetes.metadata import Manifest, labels, object_name
from astro_pulumi.spec import DeploymentSpec

_GROUP: Final = "rbac.authorization.k8s.io"


def role_and_binding(spec: DeploymentSpec, component: str, rules: list[Manifest]) -> list[Manifest]:
    """Build the Role with `rules` and the RoleBinding that gives it to the component's ServiceAccount."""
    name = object_name(spec.name, component)
    metadata: Manifest = {"name": name, "labels": labels(spec.name, component)}
    return [
        {"apiVersion": f"{_GROUP}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{_GROUP}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": name},
            # Without a namespace: the binding's own.
            "subjects": [{"kind": "ServiceAccount", "name": name}],
        },
    ]
