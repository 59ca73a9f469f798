"""Measure `pulumi preview` of a program with 1, 10 and 50 Deployments. The time should be linear.

Nothing is deployed. The provider sends a dry run of each object to the cluster. The time of a program without
Deployments, most of it start-up, is printed too. Needs the platform (`python -m local up`).

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
from typing import Any, Final

from local.platform import Platform
from local.stack import Stack
from tests.cluster.conftest import new_stack

SIZES: Final = (1, 10, 50)
IMAGE: Final = f"localhost:5000/runtime@sha256:{'0' * 64}"
PROGRAM: Final = """
import os
import astro_pulumi as astro

for number in range(int(os.environ["SIZE"])):
    astro.Deployment(
        f"team-{{number}}",
        astro.DeploymentArgs(
            image={image!r},
            airflow_version="3.3",
            worker_queues=[
                astro.WorkerQueueArgs(name="default", max_count=4),
                astro.WorkerQueueArgs(name="heavy"),
            ],
            environment={{"TEAM": str(number)}},
            variables={{"team": str(number)}},
        ),
    )
"""


def measure(stack: Stack, size: int) -> dict[str, float]:
    """Preview a program of `size` Deployments."""
    before, started = _children(), time.monotonic()
    environment = stack.full_environment | {"SIZE": str(size)}
    subprocess.run(
        stack.command("preview"),
        cwd=stack.directory,
        env=environment,
        stdout=sys.stderr,
        check=True,
    )
    return {
        "seconds": round(time.monotonic() - started, 2),
        "cpu_seconds": round(_children() - before, 2),
    }


def _children() -> float:
    """Return the CPU seconds of all ended child processes, plugins included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the figures."""
    sizes = [int(argument) for argument in sys.argv[1:]] or list(SIZES)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        (directory / "Pulumi.yaml").write_text(
            "name: many\nruntime: {name: python, options: {toolchain: pip, virtualenv: .venv}}\n"
        )
        (directory / "__main__.py").write_text(PROGRAM.format(image=IMAGE))
        stack = new_stack(directory, Platform.load())
        stack.create()
        report: dict[str, Any] = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
        for size in [0, *sizes]:
            report[str(size)] = measure(stack, size)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
