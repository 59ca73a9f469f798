"""Airflow 3 and 2 with every image there is, as OpenShift's `restricted-v2` runs them.

A transform takes the place of OpenShift's admission: it gives every pod a user id that no image knows, group
0, and a group for volumes, as the range of ids of a namespace does there.
"""

from typing import Any, cast

import pulumi

import astro_pulumi as astro
from tests.cluster.pod_sizes import larger, parser, service, small

config = pulumi.Config()
user = config.require_int("user")


def choose_user(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Set the ids that OpenShift sets. It refuses a pod that has ids of its own."""
    props: dict[str, Any] = dict(args.props)
    template = (props.get("spec") or {}).get("template")
    if not args.type_.startswith("kubernetes:") or not template:
        return None
    security = template["spec"]["securityContext"]
    fixed = {"runAsUser", "runAsGroup", "fsGroup"} & set(security)
    if fixed:
        raise ValueError(f"{args.name} has fixed ids: {fixed}")
    chosen = {**security, "runAsUser": user, "runAsGroup": 0, "fsGroup": user}
    pod = {**template["spec"], "securityContext": chosen}
    spec = {**props["spec"], "template": {**template, "spec": pod}}
    return pulumi.ResourceTransformResult(props={**props, "spec": spec}, opts=args.opts)


def deployment(name: str, **more: Any) -> astro.Deployment:
    """Make a Deployment, and export the login of its admin."""
    args = {
        "project": name,
        "namespace": config.require("namespace"),
        "registry": {"repository": f"{config.require('registry')}/any-user-{name}"},
        "fixed_user_ids": False,
        "webserver": {"resources": larger},
        "scheduler": parser,
        "triggerer": small,
        "worker_queues": [{"name": "default", "concurrency": 2, "resources": larger}],
        "database": {
            "image": config.require("databaseImage"),
            "storage_size": "1Gi",
            "resources": service,
        },
        "broker": {
            "image": config.require("brokerImage"),
            "storage_size": "1Gi",
            "resources": service,
        },
        "service": {"type": "NodePort", "node_port": config.require_int(f"{name}NodePort")},
        **more,
    }
    made = astro.Deployment(
        name, cast(astro.DeploymentArgs, args), pulumi.ResourceOptions(transforms=[choose_user])
    )
    for output in ("admin_username", "admin_password"):
        pulumi.export(f"{name}_{output}", getattr(made, output))
    return made


deployment(
    "airflow3",
    dag_processor=parser,
    pgbouncer={"image": config.require("pgbouncerImage"), "resources": service},
    metrics={"exporter_image": config.require("exporterImage"), "resources": service},
    auth={"manager": "simple"},
)
deployment(
    "airflow2",
    environment={"AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth"},
)
