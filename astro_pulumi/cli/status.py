"""`astro-pulumi status`."""

import json as json_format
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import typer

from astro_pulumi.cli.find_deployment import (
    COMPONENTS,
    Context,
    Deployed,
    Name,
    Namespace,
    airflow_container,
    find,
)
from astro_pulumi.cli.health import workload_problem
from astro_pulumi.cli.options import Json, StackName, console, table
from astro_pulumi.errors import ClusterError
from astro_pulumi.naming import AIRFLOW_CONTAINER
from astro_pulumi.pod_files import astro_shared_names

_QUEUE: Final = astro_shared_names.QUEUE


@dataclass(frozen=True)
class Process:
    """A workload."""

    name: str
    component: str
    ready: int
    wanted: int
    restarts: int
    digests: tuple[str, ...]  # images of its pods, without draining ones
    problem: str | None


@dataclass(frozen=True)
class Draining:
    """A terminating pod that finishes its tasks."""

    pod: str
    component: str
    until: str  # the time at which Kubernetes ends it


@dataclass(frozen=True)
class DagVersions:
    """The versions of the DAGs, with DAG deploys."""

    released: str  # of the release
    parsed: str | None  # that the dag-processor has
    unfinished: dict[str, int]  # DAG runs on other versions, by version. "": without a version


@dataclass(frozen=True)
class Status:
    """The current state of a Deployment."""

    name: str
    namespace: str
    airflow_version: str
    release: int
    digest: str  # of the image that pods are to run
    processes: tuple[Process, ...]
    draining: tuple[Draining, ...]
    queues: dict[str, int] | None  # waiting tasks; None if the broker cannot be asked
    deploy: str | None = None  # with DAG deploys: "dags" or "image", the kind of the last deploy
    dags: DagVersions | None = None  # None: no DAG deploys, or the dag-processor cannot be asked

    @property
    def healthy(self) -> bool:
        """Whether all workloads are ready, run the release's image, and no pod has a problem."""
        return all(
            process.problem is None
            and process.ready >= process.wanted
            and (process.wanted > 0 or process.component == "worker")
            and set(process.digests) <= {self.digest}
            for process in self.processes
        )


def status(
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    stack: StackName = None,
    json: Json = False,
) -> None:
    """Show the health of each process, draining workers and queues.

    The exit code is 1 if the Deployment is not healthy.
    """
    found = read(find(name, namespace, context, stack))
    if json:
        typer.echo(json_format.dumps({**asdict(found), "healthy": found.healthy}, indent=2))
    else:
        show(found)
    if not found.healthy:
        sys.exit(1)


def read(deployed: Deployed) -> Status:
    """Return the state of a Deployment in the cluster."""
    current = deployed.release()
    workloads = [
        item for item in deployed.objects("apps/deployments") if _component(item) in COMPONENTS
    ]
    pods = [item for item in deployed.objects("pods") if _component(item) in COMPONENTS]
    names = [_queue(item) for item in workloads if _component(item) == "worker"]
    return Status(
        name=deployed.name,
        namespace=deployed.namespace,
        airflow_version=deployed.airflow_version,
        release=deployed.current,
        digest=current.pods_digest if current else "",
        processes=tuple(
            process(item, pods)
            for item in sorted(workloads, key=lambda w: COMPONENTS.index(_component(w)))
        ),
        draining=draining(pods),
        queues=queue_depths(deployed, names),
        deploy=current.deploy if current else None,
        dags=dag_versions(deployed, pods, current.dag_version) if current else None,
    )


def process(workload: dict[str, Any], pods: Sequence[dict[str, Any]]) -> Process:
    """Return the state of a workload, without terminating and ended pods."""
    wanted = workload["spec"]["selector"]["matchLabels"].items()
    own = [
        pod
        for pod in pods
        if wanted <= pod["metadata"]["labels"].items()
        and not pod["metadata"].get("deletionTimestamp")
        and pod["status"].get("phase") not in ("Failed", "Succeeded")
    ]
    containers = [status for pod in own for status in pod["status"].get("containerStatuses") or []]
    images = {airflow_container(pod["spec"])["image"] for pod in own}
    return Process(
        name=workload["metadata"]["name"],
        component=_component(workload),
        ready=int((workload.get("status") or {}).get("readyReplicas") or 0),
        wanted=int(workload["spec"].get("replicas", 1)),
        restarts=sum(int(container.get("restartCount") or 0) for container in containers),
        digests=tuple(sorted(image.rpartition("@")[2] for image in images)),
        problem=workload_problem(workload, own),
    )


def draining(pods: Sequence[dict[str, Any]]) -> tuple[Draining, ...]:
    """Return the terminating pods, the first to end first."""
    leaving = [pod for pod in pods if pod["metadata"].get("deletionTimestamp")]
    return tuple(
        Draining(pod["metadata"]["name"], _component(pod), pod["metadata"]["deletionTimestamp"])
        for pod in sorted(leaving, key=lambda pod: str(pod["metadata"]["deletionTimestamp"]))
    )


def dag_versions(
    deployed: Deployed, pods: Sequence[dict[str, Any]], released: str | None
) -> DagVersions | None:
    """Return the versions of the DAGs, from the dag-processor; None if it cannot be asked."""
    if released is None:
        return None
    asked = [
        pod
        for pod in pods
        if _component(pod) == "dag-processor" and not pod["metadata"].get("deletionTimestamp")
    ]
    command = ["python", f"{astro_shared_names.DAG_FILES_PATH}/dag_status.py"]
    try:
        found = json_format.loads(_ask(deployed, asked, command, AIRFLOW_CONTAINER))
    except (ClusterError, ValueError):
        return None
    return DagVersions(released, found["version"], found["unfinished"])


def queue_depths(deployed: Deployed, queues: Sequence[str]) -> dict[str, int] | None:
    """Return the numbers of waiting tasks in the embedded Redis; None for a broker of the user's."""
    if not queues:
        return None
    lengths = "; ".join(f"redis-cli llen '{queue}'" for queue in queues)
    log_in = 'export REDISCLI_AUTH="$(sed -n "s/^requirepass //p" /etc/redis/redis.conf)"'
    command = ["sh", "-c", f"{log_in}; {lengths}"]
    try:
        answer = _ask(deployed, deployed.objects("pods", "redis"), command)
    except ClusterError:
        return None
    numbers = [line.split()[-1] for line in answer.splitlines() if line.strip()]
    if len(numbers) != len(queues) or not all(number.isdigit() for number in numbers):
        return None
    return {queue: int(number) for queue, number in zip(queues, numbers, strict=True)}


def _ask(
    deployed: Deployed,
    pods: Sequence[dict[str, Any]],
    command: Sequence[str],
    container: str | None = None,
) -> str:
    """Return what a command prints in the first of `pods` that runs; nothing if none does.

    Raises:
        ClusterError: It fails. The user may not be allowed to execute commands in pods.
    """
    running = [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running"]
    if not running:
        return ""
    return deployed.cluster.execute(deployed.namespace, running[0], command, container)


def show(status: Status) -> None:
    """Print the state as tables and lines."""
    out = console()
    short = status.digest.removeprefix("sha256:")[:12]
    out.print(
        f"{status.name} in {status.namespace}: release {status.release}, "
        f"Airflow {status.airflow_version}, image {short}"
    )
    processes = table("Process", "Ready", "Restarts", "Image", "")
    for one in status.processes:
        images = ", ".join(digest.removeprefix("sha256:")[:12] for digest in one.digests)
        is_other = set(one.digests) - {status.digest}
        processes.add_row(
            one.name.removeprefix(f"{status.name}-"),
            f"{one.ready}/{one.wanted}",
            str(one.restarts),
            f"{images} (not the release's)" if is_other else images,
            one.problem or "",
            style="red" if one.ready < one.wanted or is_other or one.problem else None,
        )
    out.print(processes)
    for line in dag_lines(status):
        out.print(line)
    for pod in status.draining:
        out.print(f"{pod.pod} is draining, until {when(pod.until)} at the latest")
    for queue, length in (status.queues or {}).items():
        out.print(f"queue {queue}: {length} tasks waiting")
    out.print("healthy" if status.healthy else "not healthy")


def dag_lines(status: Status) -> Iterator[str]:
    """Yield lines about DAG deploys."""
    dags = status.dags
    if dags is None:
        return
    kind = {"dags": "DAG deploy", "image": "image deploy"}.get(status.deploy or "", "deploy")
    state = "" if dags.parsed == dags.released else f", the dag-processor has {dags.parsed}"
    yield f"DAGs: version {dags.released}, by the last {kind}{state}"
    for version, count in sorted(dags.unfinished.items()):
        runs = "1 DAG run is" if count == 1 else f"{count} DAG runs are"
        yield f"{runs} still on version {version}" if version else f"{runs} without a version"


def when(time: str) -> str:
    """Return a time for people: `22:14:05 (in 4 min)`."""
    try:
        until = datetime.fromisoformat(time)
    except ValueError:
        return time
    seconds = max(0, (until - datetime.now(UTC)).total_seconds())
    left = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    return f"{until.astimezone():%H:%M:%S} (in {left})"


def _component(item: dict[str, Any]) -> str:
    return str(item["metadata"]["labels"].get(astro_shared_names.COMPONENT_LABEL))


def _queue(workload: dict[str, Any]) -> str:
    return str(workload["metadata"]["labels"].get(_QUEUE))
