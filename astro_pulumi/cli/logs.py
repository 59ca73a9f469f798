"""`astro-pulumi logs`."""

import os
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astro_pulumi.cli.deployments import COMPONENTS, Context, Deployed, NameOption, Namespace, find
from astro_pulumi.cli.options import StackName
from astro_pulumi.errors import ArgumentError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHERS = ("release-job", "postgresql", "redis")


def logs(
    component: Annotated[
        str, typer.Argument(help=f"One of: {', '.join((*COMPONENTS, *_OTHERS))}.")
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option("--tail", help="Lines of each pod to begin with.")] = 100,
    name: NameOption = None,
    namespace: Namespace = None,
    context: Context = None,
    stack: StackName = None,
) -> None:
    """Print what the pods of a process have written, each line with its pod if there are several.

    Exit code 1 if the log of one of them could not be read.
    """
    if component not in (*COMPONENTS, *_OTHERS):
        raise ArgumentError(
            "component",
            f"there is no {component!r}; there are {', '.join((*COMPONENTS, *_OTHERS))}",
        )
    deployed = find(name, namespace, context, stack)
    pods = [pod["metadata"]["name"] for pod in deployed.objects("pods", component)]
    if not pods:
        raise ResourceError(f"{deployed.name} in {deployed.namespace} has no pod of {component}")
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
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        for line in _lines(deployed, pod, component, follow, tail):
            sys.stdout.write(f"{prefix}{line}\n")
            sys.stdout.flush()
    except BrokenPipeError:  # of `| head`, which has seen enough
        os._exit(0)
    except (ApiException, HTTPError) as error:
        why = error.reason if isinstance(error, ApiException) else error
        sys.stderr.write(f"{pod}: {why}\n")
        unread.append(pod)


def _lines(
    deployed: Deployed, pod: str, component: str, follow: bool, tail: int
) -> "Iterator[str]":
    from kubernetes.client import CoreV1Api

    response: Any = CoreV1Api(deployed.cluster.api_client()).read_namespaced_pod_log(
        pod,
        deployed.namespace,
        container=component,  # of its name; beside it may be one that deletes old logs
        follow=follow,
        tail_lines=tail,
        _preload_content=False,
    )
    rest = b""
    for chunk in response.stream(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
