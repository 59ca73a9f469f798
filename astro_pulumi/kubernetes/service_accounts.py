"""Service accounts of the pods, and the login with which their images are pulled.

The login is in the service accounts, not in the pods, so that a changed login, such as the token of a CI run,
restarts nothing.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

import pulumi

from astro_pulumi.args.images import Registry
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.labels import Manifest, labels
from astro_pulumi.kubernetes.pulumi_resources import Objects
from astro_pulumi.naming import object_name

AIRFLOW: Final = "airflow"
SERVICES: Final = "services"


def airflow_account(spec: DeploymentSpec, pull_secret: Any | None) -> Manifest:
    """Build the service account of Airflow's pods. It has no rights in the cluster; clouds may add some."""
    annotations = spec.service_account_annotations
    return service_account(spec, AIRFLOW, pull_secret, annotations)


def services_account(spec: DeploymentSpec, pull_secret: Any | None) -> Manifest:
    """Build the service account of embedded services, PgBouncer and the exporter. It has no rights."""
    return service_account(spec, SERVICES, pull_secret)


def service_account(
    spec: DeploymentSpec,
    component: str,
    pull_secret: Any | None,
    annotations: Mapping[str, Any] | None = None,
) -> Manifest:
    """Build a service account without a token. Its pods pull images with `pull_secret`."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": object_name(spec.name, component),
            "labels": labels(spec.name, component),
            **({"annotations": dict(annotations)} if annotations else {}),
        },
        "automountServiceAccountToken": False,
        **({} if pull_secret is None else {"imagePullSecrets": [{"name": pull_secret}]}),
    }


def find_or_make_pull_secret(
    registry: Registry | None, objects: Objects
) -> pulumi.Output[str] | None:
    """Return the name of the Secret with the login to the registry; None if it needs no login."""
    if registry is None:
        return None
    if registry.pull_secret is not None:
        return pulumi.Output.from_input(registry.pull_secret)
    if registry.username is None:
        return None
    content = {".dockerconfigjson": _docker_config(registry)}
    return objects.make_secret("registry", content, type="kubernetes.io/dockerconfigjson")


def _docker_config(registry: Registry) -> pulumi.Output[str]:
    """Return the login to `registry` as the content of a pull secret."""

    def config(known: list[Any]) -> str:
        server, username, password = known
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        login = {"username": username, "password": password, "auth": token}
        return json.dumps({"auths": {server or "https://index.docker.io/v1/": login}})

    return pulumi.Output.secret([registry.pull_server, registry.username, registry.password]).apply(
        config
    )
