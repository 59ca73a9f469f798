"""Rights of a Deployment's pods in its namespace: Roles and RoleBindings."""

from collections.abc import Mapping
from typing import Any, Final

from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.labels import Manifest, labels
from astro_pulumi.kubernetes.service_accounts import service_account
from astro_pulumi.naming import object_name

_GROUP: Final = "rbac.authorization.k8s.io"


def service_account_with_role(
    spec: DeploymentSpec,
    component: str,
    rules: list[Manifest],
    pull_secret: Any | None,
    annotations: Mapping[str, Any] | None = None,
) -> list[Manifest]:
    """Build a ServiceAccount for the component, the Role with `rules`, and the RoleBinding of both."""
    name = object_name(spec.name, component)
    metadata: Manifest = {"name": name, "labels": labels(spec.name, component)}
    return [
        service_account(spec, component, pull_secret, annotations),
        {"apiVersion": f"{_GROUP}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{_GROUP}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": name},
            # Without a namespace, the subject is in the namespace of the binding.
            "subjects": [{"kind": "ServiceAccount", "name": name}],
        },
    ]
