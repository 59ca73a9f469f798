"""Find the Deployments in a cluster or in a stack, for the commands about releases."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from astro_pulumi.cli import pulumi_cli
from astro_pulumi.cli.kubernetes_client import Cluster, Object
from astro_pulumi.cli.options import is_terminal
from astro_pulumi.errors import ArgumentError, ClusterError, PulumiError, ReleaseError
from astro_pulumi.naming import AIRFLOW_CONTAINER
from astro_pulumi.pod_files import astro_shared_names

if TYPE_CHECKING:
    from astro_pulumi.release.release_records import Release

COMPONENTS: Final = ("webserver", "scheduler", "triggerer", "dag-processor", "worker")
_COMPONENT: Final = astro_shared_names.COMPONENT_LABEL
_INSTANCE: Final = astro_shared_names.INSTANCE_LABEL
_MANAGED: Final = {astro_shared_names.MANAGED_BY_LABEL: astro_shared_names.MANAGER}

Name = Annotated[
    str | None,
    typer.Argument(help="Name of the Deployment. Default: the only one.", show_default=False),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="Name of the Deployment. Default: the only one.")
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace of the Deployment. Default: all namespaces."),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        help="Name of the kubeconfig context. Default: that of the stack, else the current one.",
    ),
]


def airflow_container(pod: Object) -> Object:
    """Return Airflow's own container in a pod's spec. Others may stand before it."""
    found: Object = next(one for one in pod["containers"] if one["name"] == AIRFLOW_CONTAINER)
    return found


@dataclass(frozen=True)
class Deployed:
    """A Deployment in the cluster."""

    cluster: Cluster
    name: str
    namespace: str
    current: int
    airflow_version: str

    def objects(self, resource: str, component: str | None = None) -> list[Object]:
        """Return objects of this Deployment: `objects("apps/deployments", "worker")`."""
        labels = {_INSTANCE: self.name, **({_COMPONENT: component} if component else {})}
        return self.cluster.objects(resource, self.namespace, **labels)

    def release(self) -> "Release | None":
        """Return the current release; None if its record was deleted."""
        return next((one for one in self.releases() if one.number == self.current), None)

    def releases(self) -> "list[Release]":
        """Return every release, the newest first."""
        from astro_pulumi.release.release_records import COMPONENT, parse_records

        return parse_records(self.objects("configmaps", COMPONENT))


@dataclass(frozen=True)
class InStack:
    """A Deployment in a stack's state. `namespace` is None before its first deploy."""

    name: str
    namespace: str | None


def find(
    name: str | None, namespace: str | None, context: str | None, stack: str | None = None
) -> Deployed:
    """Return the Deployment with this name, that of the stack here, or the only one in the cluster.

    With `stack`, only a Deployment of that stack is accepted.

    Raises:
        ArgumentError: No Deployment or several match; with a list of the existing ones.
    """
    here = stack_name(stack)
    cluster = connect(context, here)
    chosen = [
        one
        for one in of_stack(cluster, in_stack(here) if here else [])
        if name in (None, one.name) and namespace in (None, one.namespace)
    ]
    if stack and not chosen:
        what = f"Deployment {name!r}" if name else "Deployment"
        raise ArgumentError(
            "--stack", f"stack {stack} has no {what} with a release in this cluster"
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
            "name", f"several Deployments match. Give a name, or --namespace. {_listed(found)}"
        )
    lines = (f"{one.name} in {one.namespace}, release {one.current}" for one in found)
    return found[ask_which(lines, "name")]


def ask_which(deployments: Iterable[str], argument: str) -> int:
    """Return the index of the line that the user chooses. An error is about `argument`."""
    count = 0
    for count, line in enumerate(deployments, 1):
        typer.echo(f"{count}. {line}")
    answer: int = typer.prompt("Which Deployment", type=int)
    if not 1 <= answer <= count:
        raise ArgumentError(argument, f"{answer} is not in the list")
    return answer - 1


def _listed(found: Sequence[Deployed]) -> str:
    if not found:
        return "No Deployment has a release there."
    return f"There are: {', '.join(f'{one.name} in {one.namespace}' for one in found)}."


def connect(context: str | None, stack: str | None) -> Cluster:
    """Connect to the cluster of a context, of a stack's configuration, or of the current context."""
    if context or stack is None:
        return Cluster.connect(context=context)
    # Only plain values: secrets need a passphrase.
    config = pulumi_cli.find_project(Path.cwd()).config(stack)
    given = {key: config.get(f"kubernetes:{key}") for key in ("kubeconfig", "context", "cluster")}
    return Cluster.connect(**{key: text for key, value in given.items() if (text := _text(value))})


def of_stack(cluster: Cluster, deployments: Sequence["InStack"]) -> list[Deployed]:
    """Return the Deployments of a stack that have a release.

    Only their namespaces are searched: not every user may list all namespaces.
    """
    own = {(one.name, one.namespace) for one in deployments}
    return [
        found
        for namespace in sorted({one.namespace for one in deployments if one.namespace})
        for found in in_cluster(cluster, namespace)
        if (found.name, found.namespace) in own
    ]


def in_cluster(cluster: Cluster, namespace: str | None) -> list[Deployed]:
    """Return all Deployments with a release in a namespace, or in all namespaces."""
    from astro_pulumi.release.release_records import AIRFLOW_VERSION, CURRENT_COMPONENT, NUMBER

    labels = {**_MANAGED, _COMPONENT: CURRENT_COMPONENT}
    try:
        items = cluster.objects("configmaps", namespace, **labels)
    except ClusterError as error:
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
                    name=metadata["labels"][_INSTANCE],
                    namespace=metadata["namespace"],
                    current=int(annotations[NUMBER]),
                    airflow_version=annotations.get(AIRFLOW_VERSION, ""),
                )
            )
    return sorted(found, key=lambda one: (one.name, one.namespace))


def stack_name(given: str | None) -> str | None:
    """Return the given stack, the selected stack, or the only stack of the project here."""
    if given or not _is_in_project():
        return given
    found = pulumi_cli.stacks()
    selected = [one.name for one in found if one.current]
    if selected:
        return selected[0]
    return found[0].name if len(found) == 1 else None


def in_stack(stack: str) -> list["InStack"]:
    """Return the Deployments in a stack's state, without access to the cluster or a passphrase."""
    state = pulumi_cli.read_state(stack)
    return [
        InStack(
            name=str(resource["urn"]).rsplit("::", 1)[-1],
            namespace=_text((resource.get("outputs") or {}).get("namespace")),
        )
        for resource in (state.resources if state else ())
        if resource.get("type") == pulumi_cli.DEPLOYMENT
    ]


def _is_in_project() -> bool:
    """Return whether the working directory is in a Pulumi project and `pulumi` is available."""
    if not pulumi_cli.is_installed():
        return False
    try:
        pulumi_cli.find_project(Path.cwd())
    except PulumiError:
        return False
    return True


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def require_stack(given: str | None) -> str:
    """Return the stack, as `stack_name` does.

    Raises:
        PulumiError: No stack is selected.
    """
    name = stack_name(given)
    if name is None:
        raise PulumiError("no stack is selected: name one with --stack")
    return name


def require_releases(deployed: Deployed) -> "list[Release]":
    """Return every release, the newest first.

    Raises:
        ReleaseError: All records were deleted.
    """
    releases = deployed.releases()
    if not releases:
        raise ReleaseError(f"{deployed.name} in {deployed.namespace} has no release records.")
    return releases
