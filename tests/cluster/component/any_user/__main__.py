"""Airflow 3 and 2 with every image there is, as OpenShift's `restricted-v2` runs them.

A transform takes the place of OpenShift's admission: it gives every pod a user id that no image knows, group
0, and a group for volumes, as the namespace's range of ids does there.
"""

from typing import Any, cast

import pulumi

import astro_pulumi as astro

config = pulumi.Config()
user = config.require_int("user")
requests = {"cpu": "25m", "memory": "512Mi"}
few = astro.ResourcesArgs(requests=requests, limits={"cpu": "2", "memory": "2Gi"})
process = astro.ProcessArgs(resources=few)


def choose_user(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Set the ids that OpenShift would set; those of a program would be refused there."""
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


def deployment(name: str, project: str, **more: Any) -> astro.Deployment:
    args = {
        "project": project,
        "namespace": config.require("namespace"),
        "registry": {"repository": f"{config.require('registry')}/{name}"},
        "fixed_user_ids": False,
        "webserver": process,
        "scheduler": process,
        "triggerer": process,
        "worker_queues": [{"name": "default", "concurrency": 2, "resources": few}],
        "database": {
            "image": config.require("databaseImage"),
            "storage_size": "1Gi",
            "resources": few,
        },
        "broker": {"image": config.require("brokerImage"), "storage_size": "1Gi", "resources": few},
        "service": {"type": "NodePort", "node_port": config.require_int(f"{name}NodePort")},
        **more,
    }
    return astro.Deployment(
        name, cast(astro.DeploymentArgs, args), pulumi.ResourceOptions(transforms=[choose_user])
    )


made = {
    "airflow3": deployment(
        "airflow3",
        "project",
        dag_processor=process,
        pgbouncer={"image": config.require("pgbouncerImage"), "resources": few},
        metrics={"exporter_image": config.require("exporterImage"), "resources": few},
        auth={"manager": "simple"},
    ),
    "airflow2": deployment(
        "airflow2",
        "project2",
        environment={"AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth"},
    ),
}
for name, one in made.items():
    for output in ("admin_username", "admin_password"):
        pulumi.export(f"{name}_{output}", getattr(one, output))
