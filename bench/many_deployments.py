"""How long a program of 1, 10 and 100 Deployments takes, and how much memory: it should be linear.

Measures the program alone, against an engine in the same process that answers at once; what an engine and
a cluster add is measured elsewhere. Each size runs in a process of its own, and the imports are apart.

`bare_cpu_seconds` is what Pulumi's SDK needs to register the same resources, with the same inputs as plain
data: no program that makes them can need less. `collecting_seconds` are the garbage collector's.

    python -m bench.many_deployments [SIZE ...]      JSON on standard output
"""

import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZES = (1, 10, 100)


def program(size: int) -> None:
    """Declares `size` Deployments of one project, each with its own repository."""
    import astro_pulumi as astro

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


def bare_program(size: int, component: Any, children: list[Any]) -> None:
    """Registers what a Deployment consists of, `size` times, without any of its code."""
    import pulumi

    for number in range(size):
        parent = pulumi.ComponentResource(component.type, f"team-{number}")
        options = pulumi.ResourceOptions(parent=parent)
        for child in children:
            pulumi.CustomResource(child.type, f"{number}-{child.name}", child.inputs, options)


def measure(size: int, folder: Path) -> dict[str, float]:
    """Both programs, the Deployments first."""
    start = time.perf_counter()
    import astro_pulumi.deployment  # noqa: F401 imported late otherwise, in the time of the program
    from tests.mock_engine import run, write_project

    write_project(folder / "project")
    os.chdir(folder)
    imported = time.perf_counter()
    seen, cpu, collecting = _timed(lambda: run(lambda: program(size)))
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    resources = len(seen.resources)
    component, *children = [r for r in seen if r.parent == "team-0" or r.name == "team-0"]
    del seen
    gc.collect()
    _, bare, _ = _timed(lambda: run(lambda: bare_program(size, component, children)))
    return {
        "deployments": size,
        "resources": resources,
        "import_seconds": round(imported - start, 3),
        "program_seconds": round(done - imported, 3),
        "cpu_seconds": round(cpu, 3),
        "cpu_milliseconds_per_deployment": round(cpu / size * 1000, 1),
        "collecting_seconds": round(collecting, 3),
        "bare_cpu_seconds": round(bare, 3),
        "peak_megabytes": round(peak, 1),
    }


def _timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """-> result, CPU seconds, and those of them in the garbage collector."""
    collecting = began = 0.0

    def watch(phase: str, _: dict[str, int]) -> None:
        nonlocal collecting, began
        if phase == "start":
            began = time.process_time()
        else:
            collecting += time.process_time() - began

    gc.callbacks.append(watch)
    start = time.process_time()
    result = function()
    used = time.process_time() - start
    gc.callbacks.remove(watch)
    return result, used, collecting


def main() -> None:
    """One process for each size, so that memory is that of the size alone."""
    sizes = [int(argument) for argument in sys.argv[1:]] or list(SIZES)
    results = []
    for size in sizes:
        done = subprocess.run(
            [sys.executable, "-m", "bench.many_deployments", "--one", str(size)],
            check=True,
            capture_output=True,
            text=True,
        )
        results.append(json.loads(done.stdout.splitlines()[-1]))
    print(json.dumps({"many_deployments": results}, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        with tempfile.TemporaryDirectory() as directory:
            print(json.dumps(measure(int(sys.argv[2]), Path(directory))))
    else:
        main()
