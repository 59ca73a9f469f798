"""How long a program of 1, 10 and 100 Deployments takes, and how much memory: it should be linear.

Measures the program alone, against an engine in the same process that answers at once; what an engine and
a cluster add is measured elsewhere. Each size runs in a process of its own, and the imports are apart.

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

SIZES = (1, 10, 100)


def measure(size: int, folder: Path) -> dict[str, float]:
    """Declares `size` Deployments of one project, each with its own repository."""
    start = time.perf_counter()
    import astro_pulumi as astro
    from tests.mock_engine import run, write_project

    write_project(folder / "project")
    imported, cpu = time.perf_counter(), time.process_time()
    os.chdir(folder)

    def program() -> None:
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

    resources = len(run(program).resources)
    done = time.perf_counter()
    return {
        "deployments": size,
        "resources": resources,
        "import_seconds": round(imported - start, 3),
        "program_seconds": round(done - imported, 3),
        "cpu_seconds": round((used := time.process_time() - cpu), 3),
        "cpu_milliseconds_per_deployment": round(used / size * 1000, 1),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


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
