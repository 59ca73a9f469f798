"""The Deployments that the commands around releases work on: found in the cluster, or in a stack."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from astro_pulumi.cli.options import is_terminal
from astro_pulumi.errors import ArgumentError, AstroError, EngineError, ReleaseError

if TYPE_CHECKING:
    from astro_pulumi.embedded.project import Project
    from astro_pulumi.embedded.providers.kubernetes.client import Cluster
    from astro_pulumi.release.ledger import Release

COMPONENTS: Final = ("webserver", "scheduler", "triggerer", "dag-processor", "worker")
_MANAGED: Final = "app.kubernetes.io/managed-by=astro-pulumi"

Name = Annotated[
    str | None,
    typer.Argument(help="The Deployment. Default: the only one there is.", show_default=False),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="The Deployment. Default: the only one there is.")
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Look only in this namespace.")
]
Context = Annotated[
    str | None,
    typer.Option("--context", help="The kubeconfig's context. Default: the stack's, or current."),
]


@dataclass(frozen=True)
class Deployed:
    """A Deployment in the cluster."""

    cluster: "Cluster"
    name: str
    namespace: str
    current: int
    airflow_version: str

    def objects(self, resource: str, component: str | None = None) -> list[dict[str, Any]]:
        """Objects of this Deployment: `objects("apps/deployments", "worker")`."""
        group, _, plural = resource.rpartition("/")
        root = f"/apis/{group}/v1" if group else "/api/v1"
        selector = f"app.kubernetes.io/instance={self.name}"
        if component:
            selector += f",app.kubernetes.io/component={component}"
        found = self.cluster.get(
            f"{root}/namespaces/{self.namespace}/{plural}", labelSelector=selector
        )
        items: list[dict[str, Any]] = found["items"]
        return items

    def releases(self) -> "list[Release]":
        """Every release, the newest first."""
        from astro_pulumi.release.ledger import COMPONENT, parse_records

        return parse_records(self.objects("configmaps", COMPONENT))


@dataclass(frozen=True)
class InStack:
    """A Deployment in a stack's state. `namespace` is None while it was never deployed."""

    name: str
    namespace: str | None


def find(
    name: str | None, namespace: str | None, context: str | None, stack: str | None = None
) -> Deployed:
    """The Deployment that is meant: named, or of the stack here, or the only one in the cluster.

    :param stack: only one of this stack will do.
    :raises ArgumentError: when it is not clear, with those that there are.
    """
    cluster = connect(context, stack)
    chosen = [
        one
        for one in of_stack(cluster, in_stack_here(stack))
        if name in (None, one.name) and namespace in (None, one.namespace)
    ]
    if stack and not chosen:
        what = f"Deployment {name!r}" if name else "Deployment"
        raise ArgumentError(
            "--stack", f"{stack} has no {what} that was ever deployed successfully to this cluster"
        )
    found: Sequence[Deployed] = chosen
    if not chosen:
        found = in_cluster(cluster, namespace)
        chosen = [one for one in found if name in (None, one.name)]
    if not chosen:
        what = f"no Deployment named {name!r}" if name else "no Deployment"
        raise ArgumentError("name", f"there is {what} in the cluster. {_listed(found)}")
    if len(chosen) > 1:
        return _ask(chosen)
    return chosen[0]


def _ask(found: Sequence[Deployed]) -> Deployed:
    if not is_terminal():
        raise ArgumentError(
            "name", f"which Deployment? Name it, and --namespace if need be. {_listed(found)}"
        )
    for number, one in enumerate(found, 1):
        typer.echo(f"{number}. {one.name} in {one.namespace}, release {one.current}")
    answer: int = typer.prompt("Which Deployment", type=int)
    if not 1 <= answer <= len(found):
        raise ArgumentError("name", f"there is no choice {answer}")
    return found[answer - 1]


def _listed(found: Sequence[Deployed]) -> str:
    if not found:
        return "None was deployed there successfully so far."
    return f"There are: {', '.join(f'{one.name} in {one.namespace}' for one in found)}."


def connect(context: str | None, stack: str | None = None) -> "Cluster":
    """The cluster of a context, of the stack's configuration, or the current one."""
    from astro_pulumi.embedded.providers.kubernetes.client import Cluster

    configured = {} if context else _kubernetes_settings(stack)
    return Cluster({**configured, **({"context": context} if context else {})})


def of_stack(cluster: "Cluster", deployments: Sequence["InStack"]) -> list[Deployed]:
    """Those of a stack's Deployments that have a release. Looks in their namespaces only: not everybody may
    list all of them."""
    own = {(one.name, one.namespace) for one in deployments}
    return [
        found
        for namespace in sorted({one.namespace for one in deployments if one.namespace})
        for found in in_cluster(cluster, namespace)
        if (found.name, found.namespace) in own
    ]


def in_cluster(cluster: "Cluster", namespace: str | None) -> list[Deployed]:
    """Every Deployment with a release."""
    from astro_pulumi.embedded.providers.kubernetes.client import ApiError
    from astro_pulumi.release.ledger import AIRFLOW_VERSION, CURRENT_COMPONENT, NUMBER

    path = f"/api/v1/namespaces/{namespace}/configmaps" if namespace else "/api/v1/configmaps"
    selector = f"{_MANAGED},app.kubernetes.io/component={CURRENT_COMPONENT}"
    try:
        items = cluster.get(path, labelSelector=selector)["items"]
    except ApiError as error:
        if error.status == 403 and not namespace:
            raise ArgumentError(
                "--namespace", f"is required: you may not list all namespaces ({error})"
            ) from error
        raise
    found = []
    for item in items:
        metadata = item["metadata"]
        annotations = metadata.get("annotations") or {}
        if annotations.get(NUMBER, "").isdigit():
            found.append(
                Deployed(
                    cluster=cluster,
                    name=metadata["labels"]["app.kubernetes.io/instance"],
                    namespace=metadata["namespace"],
                    current=int(annotations[NUMBER]),
                    airflow_version=annotations.get(AIRFLOW_VERSION, ""),
                )
            )
    return sorted(found, key=lambda one: (one.name, one.namespace))


def project_here() -> "Project | None":
    """The Pulumi project that the working directory is in."""
    from astro_pulumi.embedded.project import find_project

    try:
        return find_project(Path.cwd())
    except AstroError:
        return None


def stack_name(project: "Project", given: str | None) -> str | None:
    """The stack that is meant; None when none is selected."""
    from astro_pulumi.embedded.project import selected_stack

    name = given or selected_stack(project)
    if name is None:
        found = stacks(project)
        return found[0] if len(found) == 1 else None
    return name


def stacks(project: "Project") -> list[str]:
    """Every stack of the project, as the engine at hand lists them."""
    if shutil.which("pulumi"):
        from astro_pulumi.cli import automation

        return automation.stack_names(project)
    from astro_pulumi.embedded.backend import open_backend

    return open_backend(project, os.environ).stacks()


def in_stack_here(stack: str | None) -> list[InStack]:
    """The Deployments of the stack here; none outside of a project."""
    project = project_here()
    name = stack_name(project, stack) if project else None
    return in_stack(project, name) if project and name else []


def in_stack(project: "Project", stack: str) -> list[InStack]:
    """The Deployments in a stack's state, which neither cluster nor passphrase is needed for."""
    return [
        InStack(
            name=str(resource["urn"]).rsplit("::", 1)[-1],
            namespace=_text((resource.get("outputs") or {}).get("namespace")),
        )
        for resource in _resources(project, stack)
        if resource.get("type") == "astro:index:Deployment"
    ]


def _resources(project: "Project", stack: str) -> list[Mapping[str, Any]]:
    from astro_pulumi.embedded.backend import open_backend

    if shutil.which("pulumi"):
        from astro_pulumi.cli import automation

        return automation.resources(project.file.parent, stack)
    data = open_backend(project, os.environ).read(stack)
    checkpoint: Mapping[str, Any] = (data or {}).get("checkpoint") or {}
    return list((checkpoint.get("latest") or {}).get("resources") or [])


def _kubernetes_settings(stack: str | None) -> dict[str, Any]:
    """The stack's own choice of a cluster, as far as it is not a secret."""
    from astro_pulumi.embedded.project import read_yaml

    project = project_here()
    name = stack_name(project, stack) if project else None
    if project is None or name is None:
        return {}
    config = read_yaml(project.stack_file(name)).get("config") or {}
    return {
        key.removeprefix("kubernetes:"): value
        for key, value in config.items()
        if key.startswith("kubernetes:") and isinstance(value, str)
    }


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def require_stack(project: "Project", given: str | None) -> str:
    """The stack that is meant.

    :raises EngineError: when none is selected.
    """
    name = stack_name(project, given)
    if name is None:
        raise EngineError("no stack is selected: name one with --stack")
    return name


def require_releases(deployed: Deployed) -> "list[Release]":
    """Every release, the newest first.

    :raises ReleaseError: when all were deleted.
    """
    releases = deployed.releases()
    if not releases:
        raise ReleaseError(
            f"{deployed.name} in {deployed.namespace} has no records of releases any more."
        )
    return releases
