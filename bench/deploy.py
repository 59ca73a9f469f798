"""Measure deploys of the quickstart on the local platform: the first, changed code, and no changes.

With `--dag-deploys`, changed code is measured twice: as a DAG deploy, and with a change in `include/` as an
image deploy.

Measures wall-clock seconds of each phase from Pulumi's events, and CPU seconds from cgroups. CPU seconds are
nearly independent of other load on the machine, unlike wall-clock time. Needs the platform (`python -m local
up`), and deploys and removes a stack of its own.

    python -m bench.deploy [--repeat N] [--dag-deploys]

Prints a table on standard error and JSON on standard output. `--repeat` is the number of measurements of
changed code and of no changes.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.daemons import Daemons
from local.paths import Paths
from local.platform import Platform
from local.quickstart import platform_settings, tag_example_base_image
from local.stack import Stack
from tests.cluster.conftest import copy_pulumi_project, free_node_port, new_stack
from tests.cluster.kube import Kube

TICKS = os.sysconf("SC_CLK_TCK")
PHASES = {
    "quickstart-image": "image",
    "quickstart-dags-image": "image with DAGs",
    "quickstart-postgresql": "postgresql",
    "quickstart-redis": "redis",
    "quickstart-release-job": "release Job",
    "quickstart-rollout-workloads": "roll-out",
    "quickstart-webserver": "webserver",
    "quickstart-scheduler": "scheduler",
    "quickstart-triggerer": "triggerer",
    "quickstart-dag-processor": "dag-processor",
    "quickstart-worker-default": "worker",
}
TYPES = (
    "docker:index/image:Image",
    "kubernetes:batch/v1:Job",
    "kubernetes:apps/v1:Deployment",
    "kubernetes:apps/v1:StatefulSet",
)


@dataclass
class Measured:
    """A deploy. All figures are seconds."""

    what: str
    wall: float = 0.0
    # By phase, from its start in Pulumi until it was ready. Phases overlap.
    phases: dict[str, float] = field(default_factory=dict)
    # Of containers that started during the deploy, until its end.
    cpu_by_phase: dict[str, float] = field(default_factory=dict)
    # Of all processes that work for a deploy. `pods` are all pods of the node.
    cpu: dict[str, float] = field(default_factory=dict)


def cgroup_cpu(path: str) -> float:
    """Return the CPU seconds of a cgroup (version 1 or 2) and all below it; 0 if it does not exist."""
    version_1 = Path("/sys/fs/cgroup/cpuacct", path, "cpuacct.usage")
    version_2 = Path("/sys/fs/cgroup", path, "cpu.stat")
    if version_1.exists():
        return int(version_1.read_text()) / 1e9
    if version_2.exists():
        return int(version_2.read_text().split()[1]) / 1e6
    return 0.0


def process_cpu(pid: int) -> float:
    """Return the CPU seconds of a process; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_now(daemons: Daemons) -> dict[str, float]:
    """Return the CPU seconds so far of all processes that work for a deploy."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    records = [record for name in daemons.names() if (record := daemons.record(name))]
    return {
        "Pulumi and program": children.ru_utime + children.ru_stime,
        "image build": cgroup_cpu("docker"),
        "pods": cgroup_cpu("kubepods"),
        "Docker, registry, Kubernetes": sum(process_cpu(record.pid) for record in records),
    }


def up(stack: Stack) -> dict[str, float]:
    """Run `pulumi up`, and return the seconds of each phase."""
    begun: dict[str, float] = {}
    phases: dict[str, float] = {}
    with stack.start("up", "--json", stderr=None) as process:
        assert process.stdout is not None  # noqa: S101 for the type checker
        for line in process.stdout:
            event = json.loads(line)
            for kind in ("resourcePreEvent", "resOutputsEvent"):
                step = event.get(kind, {}).get("metadata", {})
                name = step.get("urn", "").rpartition("::")[2]
                if step.get("type") not in TYPES or name not in PHASES or step["op"] == "same":
                    continue
                if kind == "resourcePreEvent":
                    begun.setdefault(name, time.monotonic())
                elif name in begun:  # the first: what is replaced is deleted at the end
                    phases.setdefault(PHASES[name], time.monotonic() - begun[name])
    if process.returncode != 0:
        raise SystemExit(f"`up` ended with exit code {process.returncode}; its words are above")
    return phases


def pods(kube: Kube, namespace: str) -> dict[str, str]:
    """Return the uid of the current pod of each phase."""
    found = {}
    for pod in kube.all_pods(namespace):
        labels = pod["metadata"]["labels"]
        job = labels.get("job-name", "").rpartition("-")[0]
        phase = PHASES.get(job, labels["app.kubernetes.io/component"])
        if "deletionTimestamp" not in pod["metadata"]:
            found[phase] = pod["metadata"]["uid"]
    return found


def pod_cpu(uid: str) -> float:
    """Return the CPU seconds of a pod so far, in any class of service."""
    classes = ("", "burstable/", "besteffort/")
    return max(cgroup_cpu(f"kubepods/{name}pod{uid}") for name in classes)


def measure(what: str, stack: Stack, kube: Kube, daemons: Daemons) -> Measured:
    """Run and measure one `up`."""
    namespace = stack.outputs().get("namespace")
    old = set(pods(kube, namespace).values()) if namespace else set()
    before, started = cpu_now(daemons), time.monotonic()
    phases = up(stack)
    wall, after = time.monotonic() - started, cpu_now(daemons)
    new = {
        phase: uid
        for phase, uid in pods(kube, stack.outputs()["namespace"]).items()
        if uid not in old
    }
    return Measured(
        what,
        wall,
        phases,
        {phase: seconds for phase, uid in new.items() if (seconds := pod_cpu(uid))},
        {part: after[part] - before[part] for part in after},
    )


def run(repeat: int, dag_deploys: bool) -> list[Measured]:
    """Run all measurements, on a stack that is removed at the end."""
    platform, daemons = Platform.load(), Daemons(Paths.from_environment())
    kube = Kube(str(platform.kubeconfig), platform.context)
    tag_example_base_image(platform)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        copy_pulumi_project(directory)
        stack = new_stack(directory, platform)
        stack.configure(
            {
                **platform_settings(platform),
                "quickstart:repository": f"{platform.registry}/quickstart-bench",
                "quickstart:nodePort": free_node_port(kube),
                "quickstart:dagDeploys": dag_deploys,
            }
        )
        stack.create()
        project = directory / "examples" / "quickstart" / "project"

        def change(number: int) -> None:
            dag = project / "dags" / "low_stock.py"
            dag.write_text(f"{dag.read_text()}\n# change {time.time()} {number}\n")

        def change_include(number: int) -> None:
            (project / "include" / "bench.py").write_text(f"# change {time.time()} {number}\n")

        def nothing(number: int) -> None:
            del number

        plans: list[tuple[str, Callable[[int], None], int]] = [
            ("first deploy", change, 1),  # content of its own: the image is never there already
            ("DAG deploy" if dag_deploys else "code-only deploy", change, repeat),
            *([("image deploy", change_include, repeat)] if dag_deploys else []),
            ("nothing to do", nothing, repeat),
        ]
        results = []
        try:
            for what, prepare, times in plans:
                for number in range(times):
                    prepare(number)
                    results.append(measure(what, stack, kube, daemons))
        finally:
            with Path(os.devnull).open("w") as silence:
                stack.destroy(silence)
    return results


def table(results: list[Measured]) -> Table:
    """Return a table of phases and deploys: wall-clock seconds, with CPU seconds in brackets."""
    shown = Table(title="seconds (CPU seconds)")
    shown.add_column("")
    for result in results:
        shown.add_column(result.what, justify="right")
    shown.add_row(
        "total", *(f"{result.wall:.1f} ({sum(result.cpu.values()):.1f})" for result in results)
    )
    for phase in PHASES.values():
        shown.add_row(
            phase, *(_cell(r.phases.get(phase), r.cpu_by_phase.get(phase)) for r in results)
        )
    for part in results[0].cpu:
        shown.add_row(f"CPU: {part}", *(f"({result.cpu[part]:.1f})" for result in results))
    return shown


def _cell(wall: float | None, cpu: float | None) -> str:
    return " ".join(
        [*([] if wall is None else [f"{wall:.1f}"]), *([] if cpu is None else [f"({cpu:.1f})"])]
    )


def rounded(value: Any) -> Any:
    """Return the value with every number rounded to hundredths."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return round(value, 2) if isinstance(value, float) else value


def main() -> None:
    """Run the measurements, and print a table and JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.deploy")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--dag-deploys", action="store_true")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    results = run(given.repeat, given.dag_deploys)
    Console(stderr=True).print(table(results))
    print(
        json.dumps(
            {
                "cores": os.cpu_count(),
                "load_before": round(load, 2),
                "deploys": [rounded(asdict(result)) for result in results],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
