"""How long a program of 1, 10 and 100 Deployments takes, and how much memory: it should be linear.

The program runs as `astro-pulumi up` runs it: in a process of its own, under the embedded engine, whose
providers here answer at once and make nothing. What a cluster adds is measured elsewhere.

Each size is run three times: `program`; `default_gc`, the same with Python's garbage collector as it is by
default, as under Pulumi's own language host; and `bare`, what Pulumi's SDK needs to register the same
resources with the same inputs as plain data: no program that makes them can need less. The time of an
empty program, most of it imports, is taken off. `engine` is the embedded engine's own process.

    python -m bench.many_deployments [SIZE ...]      JSON on standard output
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from astro_pulumi.embedded import deployment
from astro_pulumi.embedded.operations import create_stack
from astro_pulumi.embedded.project import find_project
from astro_pulumi.embedded.provider import Request
from astro_pulumi.embedded.values import Properties, reveal
from tests.mock_engine import write_project
from tests.unit.component.standin import StandIn

SIZES = (1, 10, 100)
START = """
import gc, json, os, pulumi
import astro_pulumi as astro
import astro_pulumi.deployment  # imported late otherwise, in the time of the first Deployment

size = int(os.environ["SIZE"])
"""
DEFAULT_GC = """
gc.unfreeze()
gc.set_threshold(700, 10, 10)
"""
DEPLOYMENTS = """
for number in range(size):
    astro.Deployment(
        f"team-{number}",
        astro.DeploymentArgs(
            project="project",
            registry=astro.RegistryArgs(repository=f"registry.test/team-{number}"),
            worker_queues=[
                astro.WorkerQueueArgs(name="default", max_count=4),
                astro.WorkerQueueArgs(name="heavy"),
            ],
            environment={"TEAM": str(number)},
            variables={"team": str(number)},
        ),
    )
"""
BARE = """
children = json.load(open("children.json"))
for number in range(size):
    parent = pulumi.ComponentResource("astro:index:Deployment", f"team-{number}")
    options = pulumi.ResourceOptions(parent=parent)
    for type, name, inputs in children:
        pulumi.CustomResource(type, f"{number}-{name}", inputs, options)
"""
PROGRAMS = {
    "program": START + DEPLOYMENTS,
    "default_gc": START + DEFAULT_GC + DEPLOYMENTS,
    "bare": START + BARE,
}


class Recorder(StandIn):
    """Remembers what was created."""

    def __init__(self, name: str, made: list[tuple[str, str, Properties]]) -> None:
        super().__init__(name)
        self._made = made

    def create(self, request: Request) -> tuple[str, Properties]:
        child = request.resource
        self._made.append((child.type, child.name, reveal(request.inputs)))
        return super().create(request)


def cpu(whose: int) -> float:
    """CPU seconds so far of this process or its children that have ended."""
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def megabytes(whose: int) -> float:
    """Peak memory of this process, or of the largest of its children that have ended."""
    return round(resource.getrusage(whose).ru_maxrss / 1024, 1)


def run(size: int, children: Path | None) -> dict[str, Any]:
    """Deploys the project in the working directory to a new stack. Once in a process, for its memory."""
    made: list[tuple[str, str, Properties]] = []
    setattr(  # noqa: B010 - not its own to export
        deployment, "make_provider", lambda package, _: Recorder(package, made)
    )
    os.environ["SIZE"] = str(size)
    project = find_project(Path.cwd())
    stack = create_stack(project, f"size-{size}-{os.getpid()}", os.environ, None)
    started, own = time.perf_counter(), cpu(resource.RUSAGE_SELF)
    result = stack.up(lambda _: None)
    if not result.ok:
        raise SystemExit("the program failed")
    if children:
        children.write_text(json.dumps(made))
    return {
        "resources": sum(result.counts.values()),
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(cpu(resource.RUSAGE_CHILDREN), 3),
        "peak_megabytes": megabytes(resource.RUSAGE_CHILDREN),
        "engine_cpu_seconds": round(cpu(resource.RUSAGE_SELF) - own, 3),
        "engine_peak_megabytes": megabytes(resource.RUSAGE_SELF),
    }


def measure(kind: str, size: int, folder: Path) -> dict[str, Any]:
    """One program of one size, in processes of its own."""
    (folder / "__main__.py").write_text(PROGRAMS[kind])
    done = subprocess.run(
        [sys.executable, "-m", "bench.many_deployments", "--one", str(size)],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": "benchmark",
        },
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Prints the figures."""
    sizes = [int(argument) for argument in sys.argv[1:]] or list(SIZES)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "Pulumi.yaml").write_text("name: many\nruntime: python\n")
        write_project(folder / "project")
        empty = measure("program", 0, folder)
        measure("program", 1, folder)  # writes what a Deployment consists of, for `bare`
        report: dict[str, Any] = {"load": os.getloadavg()[0], "empty": empty}
        for size in sizes:
            report[str(size)] = results = {kind: measure(kind, size, folder) for kind in PROGRAMS}
            for result in results.values():
                own = result["cpu_seconds"] - empty["cpu_seconds"]
                result["cpu_milliseconds_per_deployment"] = round(own / size * 1000, 1)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        number = int(sys.argv[2])
        first = Path("children.json")
        print(json.dumps(run(number, first if number == 1 and not first.exists() else None)))
    else:
        main()
