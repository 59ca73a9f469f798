"""`make quickstart`: from a fresh machine to a running Airflow with a finished DAG run.

Starts the local platform, deploys `examples/quickstart` as a user would, runs a DAG, and prints the result.
Every step does only missing work: a second run changes nothing.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import docker
import typer
from rich.console import Console

from astro_pulumi.cli.kubernetes_client import Cluster
from local import platform as local_platform
from local.airflow_api import Airflow
from local.choice import Choice
from local.errors import LocalError, RequirementError, StateError
from local.paths import Paths
from local.platform import Platform
from local.progress import Progress
from local.stack import Stack

REPOSITORY_ROOT: Final = Path(__file__).parents[1]
STACK_NAME: Final = "quickstart"
# A run of this DAG needs the webserver, the scheduler, the broker, a worker, code of `include/` and a package
# of `requirements.txt`.
DAG_ID: Final = "delivery_distances"
# Base image in the example's Dockerfile, independent of the registry.
EXAMPLE_BASE_IMAGE: Final = "localhost:5000/runtime:3.3-1"
HEALTHY_SECONDS: Final = 180
RUN_SECONDS: Final = 300

# No pretty exceptions: they print the values of variables, such as a password.
app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)
console = Console(highlight=False, soft_wrap=True)


@dataclass
class Timings:
    """Durations of the phases, in their order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the body of a `with` statement."""
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started

    def __str__(self) -> str:
        """Return the durations with their sum."""
        parts = [f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items()]
        return ", ".join([*parts, f"together {sum(self.seconds.values()):.1f} s"])


@dataclass(frozen=True)
class Run:
    """A successful DAG run."""

    run_id: str
    new: bool
    workers: tuple[str, ...]
    # Lines that the DAG's own code wrote to the log of the last task.
    log: tuple[str, ...]


@app.callback(invoke_without_command=True)
def quickstart(context: typer.Context) -> None:
    """Bring everything up, deploy the example, run a DAG, and print a summary."""
    if context.invoked_subcommand:
        return
    paths = Paths.from_environment()
    timings = Timings()
    if estimate := local_platform.estimate():
        console.print(estimate)
    with timings.phase("local platform"), Progress() as progress:
        platform = local_platform.up(progress, Choice.make())
    stack = prepare_stack(platform, paths)
    tag_example_base_image(platform)
    before = stack.outputs()
    with timings.phase("deploy"):
        stack.up()
    outputs = stack.outputs()
    with reachable_webserver(platform, outputs) as url, Progress() as progress:
        airflow = Airflow(url, outputs["admin_username"], outputs["admin_password"])
        with timings.phase("until healthy"), progress.phase("Airflow is healthy") as phase:
            airflow.wait_until_healthy(HEALTHY_SECONDS, phase.note)
        with timings.phase("DAG run"):
            run = run_dag(airflow, outputs, pods_by_address(platform, outputs), progress)
    summarize(platform, outputs, run, timings, changed=before != outputs)


@app.command()
def password() -> None:
    """Print the password of Airflow's admin user."""
    paths = Paths.from_environment()
    typer.echo(prepare_stack(Platform.load(paths), paths).outputs().get("admin_password", ""))


@app.command()
def env() -> None:
    """Print export lines with which `pulumi`, `astro-pulumi` and `kubectl` find this stack."""
    paths = Paths.from_environment()
    for name, value in environment(Platform.load(paths), paths).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def down() -> None:
    """Remove everything that the quickstart made, and nothing else; caches stay."""
    paths = Paths.from_environment()
    with contextlib.suppress(StateError):
        platform = Platform.load(paths)
        if not platform.own_cluster:  # our own goes with everything in it
            prepare_stack(platform, paths).destroy()
    with Progress() as progress:
        local_platform.down(progress)


def environment(platform: Platform, paths: Paths) -> dict[str, str]:
    """Return the variables with which Pulumi finds the platform and the quickstart's state."""
    backend = paths.state / "pulumi"
    return {
        **platform.environment(),
        # Without files of metadata, which a killed CLI may leave half written: docs/interruptions.md
        "PULUMI_BACKEND_URL": f"file://{backend}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(backend / "passphrase"),
    }


def prepare_stack(platform: Platform, paths: Paths) -> Stack:
    """Return the quickstart's stack, with a backend, a passphrase and settings for the platform."""
    stack = Stack(REPOSITORY_ROOT, STACK_NAME, environment(platform, paths))
    passphrase = paths.state / "pulumi" / "passphrase"
    if not passphrase.exists():
        passphrase.parent.mkdir(parents=True, exist_ok=True)
        passphrase.touch(mode=0o600)
        passphrase.write_text(secrets.token_urlsafe(32))
        stack.forget_encryption()
    stack.configure(platform_settings(platform))
    return stack


def tag_example_base_image(platform: Platform) -> None:
    """Tag the base image under the name in the example's Dockerfile if the registry is another one."""
    if platform.runtime_image != EXAMPLE_BASE_IMAGE:
        client = docker.DockerClient(base_url=platform.docker_host)
        client.images.get(platform.runtime_image).tag(EXAMPLE_BASE_IMAGE)


def platform_settings(platform: Platform) -> dict[str, str]:
    """Return the stack's configuration for a platform that is not the local one."""
    if platform.own_cluster:
        return {}  # the defaults in Pulumi.yaml are for it
    return {
        "kubernetes:context": platform.context,
        "quickstart:repository": f"{platform.registry}/quickstart",
        "quickstart:databaseImage": platform.postgres_image,
        "quickstart:brokerImage": platform.redis_image,
    }


@contextlib.contextmanager
def reachable_webserver(platform: Platform, outputs: dict[str, Any]) -> Iterator[str]:
    """Make the webserver reachable from here, and yield its URL."""
    url: str = outputs["webserver_url"]
    if platform.own_cluster:
        yield url
        return
    command = port_forward_command(platform, outputs)
    if not shutil.which(command[0]):
        raise RequirementError(
            "kubectl is not on PATH.",
            why=f"The webserver in context {platform.context} is reached through it.",
            to_do="Install kubectl and run this again.",
        )
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as forward:
        try:
            yield url
        finally:
            forward.terminate()


def port_forward_command(platform: Platform, outputs: dict[str, Any]) -> list[str]:
    """Return the command that makes the webserver of a chosen cluster reachable from here."""
    port = outputs["webserver_url"].rsplit(":", 1)[-1]
    return [
        *("kubectl", "--context", platform.context, "--namespace", outputs["namespace"]),
        *("port-forward", f"service/{STACK_NAME}-webserver", f"{port}:8080"),
    ]


def pods_by_address(platform: Platform, outputs: dict[str, Any]) -> dict[str, str]:
    """Return the names of the Deployment's pods by address, which identifies workers in task instances."""
    cluster = Cluster.connect(str(platform.kubeconfig), platform.context)
    pods = cluster.objects("pods", outputs["namespace"])
    return {
        pod["status"]["podIP"]: pod["metadata"]["name"] for pod in pods if "podIP" in pod["status"]
    }


def run_dag(
    airflow: Airflow, outputs: dict[str, Any], pods: dict[str, str], progress: Progress
) -> Run:
    """Return a successful run of the DAG for this release, started if necessary."""
    run_id = f"quickstart__{outputs['release']}"
    known = airflow.run_state(DAG_ID, run_id)
    if known == "failed":  # the cause may be mended: once more, under a name of its own
        run_id, known = f"{run_id}__{int(time.time())}", None
    with progress.phase(f"Run of the DAG {DAG_ID}") as phase:
        if known is None:
            phase.note("waiting for the dag-processor")
            airflow.wait_for_dag(DAG_ID, HEALTHY_SECONDS)
            airflow.start_run(DAG_ID, run_id)
        state = airflow.wait_for_run(DAG_ID, run_id, RUN_SECONDS, phase.note)
    tasks = sorted(airflow.task_instances(DAG_ID, run_id), key=lambda task: task["end_date"] or "")
    if state != "success":
        raise LocalError(
            f"The DAG run {run_id} of {DAG_ID} ended in {state}.",
            why=airflow.describe_failure(DAG_ID, run_id),
            to_do=f"See it at {airflow.url}/dags/{DAG_ID}/runs/{run_id}",
        )
    # The log of an earlier run may be lost with its worker. The log of a new run must be readable.
    log = airflow.log(tasks[-1]) if known is None else []
    hosts = sorted({str(task["hostname"]) for task in tasks})
    return Run(
        run_id=run_id,
        new=known is None,
        workers=tuple(pods.get(host, host) for host in hosts),
        log=tuple(record.text for record in log if record.of_dag),
    )


def summarize(
    platform: Platform, outputs: dict[str, Any], run: Run, timings: Timings, *, changed: bool
) -> None:
    """Print the URL, the login and the next steps."""
    python = Path(os.environ.get("VIRTUAL_ENV", ".venv")).name + "/bin/python"
    rows = {
        "Airflow UI": outputs["webserver_url"],
        "User": outputs["admin_username"],
        "Password": f"{python} -m local.quickstart password",
        "Image": outputs["image"],
        "Release": f"{outputs['release']} in namespace {outputs['namespace']}",
        "DAG run": f"{DAG_ID}, {run.run_id}: success on {', '.join(run.workers)}",
        "Its log": " / ".join(run.log),
        "Times": str(timings),
    }
    if not platform.own_cluster:
        rows["Reach it by"] = shlex.join(port_forward_command(platform, outputs))
    result = "Deployed." if changed else "Nothing to do: the deployed release is up to date."
    console.print(f"\n[bold green]{result}[/]")
    for name, value in rows.items():
        if value:
            console.print(f"{name:<12} {value}", markup=False)


def main() -> None:
    """Run the command line. A `LocalError` is shown as a message, without a traceback."""
    try:
        app()
    except LocalError as error:
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        errors.print("error:", style="bold red", end=" ")
        for text in (error.what, error.why, error.to_do):
            if text:
                errors.print(text, markup=False)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
