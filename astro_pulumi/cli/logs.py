"""`astro-pulumi logs`."""

import os
import sys
import threading
from typing import Annotated

import typer

from astro_pulumi.cli.find_deployment import (
    COMPONENTS,
    Context,
    Deployed,
    NameOption,
    Namespace,
    find,
)
from astro_pulumi.cli.options import StackName
from astro_pulumi.errors import ArgumentError, ClusterError
from astro_pulumi.naming import AIRFLOW_CONTAINER, POSTGRESQL, REDIS, RELEASE_JOB

_EMBEDDED = (POSTGRESQL, REDIS)
_COMPONENTS = (*COMPONENTS, RELEASE_JOB, "pytest", *_EMBEDDED)


def logs(
    component: Annotated[str, typer.Argument(help=f"One of: {', '.join(_COMPONENTS)}.")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Stream new lines until Ctrl-C.")
    ] = False,
    tail: Annotated[int, typer.Option("--tail", help="Number of recent lines of each pod.")] = 100,
    name: NameOption = None,
    namespace: Namespace = None,
    context: Context = None,
    stack: StackName = None,
) -> None:
    """Print the logs of a component, prefixed with the pod if there are several.

    The exit code is 1 if a log cannot be read.
    """
    if component not in _COMPONENTS:
        raise ArgumentError("component", f"{component!r} is not one of {', '.join(_COMPONENTS)}")
    deployed = find(name, namespace, context, stack)
    pods = [pod["metadata"]["name"] for pod in deployed.objects("pods", component)]
    if not pods:
        raise ClusterError(f"{deployed.name} in {deployed.namespace} has no pod of {component}")
    unread: list[str] = []
    prefixes = {pod: f"{pod}: " if len(pods) > 1 else "" for pod in pods}
    threads = [
        threading.Thread(
            target=_print_log,
            args=(deployed, pod, component, prefixes[pod], follow, tail, unread),
            daemon=True,
        )
        for pod in pods
    ]
    for thread in threads:
        thread.start()
        if not follow:
            thread.join()  # in order, when it is a finite text
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        sys.exit(130)
    if unread:
        sys.exit(1)


def _print_log(
    deployed: Deployed,
    pod: str,
    component: str,
    prefix: str,
    follow: bool,
    tail: int,
    unread: list[str],
) -> None:
    # By name: beside Airflow's container may be others.
    container = component if component in _EMBEDDED else AIRFLOW_CONTAINER
    lines = deployed.cluster.log_lines(deployed.namespace, pod, container, follow=follow, tail=tail)
    try:
        for line in lines:
            sys.stdout.write(f"{prefix}{line}\n")
            sys.stdout.flush()
    except BrokenPipeError:  # of `| head`, which has seen enough
        os._exit(0)
    except ClusterError as error:
        sys.stderr.write(f"{pod}: {error}\n")
        unread.append(pod)
