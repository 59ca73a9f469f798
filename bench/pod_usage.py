"""Measure CPU and memory of each process of a Deployment, idle and under load, on the local platform.

The kubelet counts: CPU seconds and the working set of each container, which is the memory that a limit
applies to. CPU is the average over the time of a measurement, memory the highest of its samples. Deploys
`bench/usage` as a stack of its own, and removes it. Nothing else should run on the cluster.

    python -m bench.pod_usage [--settle SECONDS] [--idle SECONDS] [--load SECONDS]

Prints progress on standard error, and on standard output the table of docs/sizing.md.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from astro_pulumi.pod_template_patch import GROOMER
from local.airflow_api import Airflow
from local.platform import Platform
from tests.cluster.component import modules
from tests.cluster.conftest import copy_program, free_node_port
from tests.cluster.kube import JOBS, Kube, component_of

PROGRAM: Final = Path(__file__).parent / "usage"
DAG: Final = "load_0"
RUNS_AT_ONCE: Final = 2
SAMPLE_SECONDS: Final = 5.0
REQUEST_SECONDS: Final = 1.0
ACTIVE: Final = ("queued", "running")
MEBIBYTE: Final = 2**20
# In the order of the defaults in docs/sizing.md.
NAMES: Final = {
    "webserver": "webserver",
    "scheduler": "scheduler",
    "triggerer": "triggerer",
    "dag-processor": "dag-processor",
    "worker": "worker",
    "pgbouncer": "PgBouncer",
    "postgresql": "embedded PostgreSQL",
    "redis": "embedded Redis",
    "statsd": "metrics exporter",
}


@dataclass(frozen=True)
class Sample:
    """What the kubelet says of a container."""

    at: float  # nanoseconds of the kubelet's clock
    cpu: int  # nanoseconds so far
    memory: int  # bytes


@dataclass
class Measured:
    """Samples of each component over some time."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def add(self, found: Mapping[str, Sample]) -> None:
        """Keep the samples of one moment."""
        for component, sample in found.items():
            self.samples.setdefault(component, []).append(sample)

    def millicores(self, component: str) -> int:
        """Return the average of CPU in thousandths of a core."""
        first, last = self.samples[component][0], self.samples[component][-1]
        return round(1000 * (last.cpu - first.cpu) / (last.at - first.at))

    def mebibytes(self, component: str) -> int:
        """Return the highest working set in MiB."""
        return round(max(sample.memory for sample in self.samples[component]) / MEBIBYTE)


def read(kube: Kube, namespace: str) -> dict[str, Sample]:
    """Return a sample of each component of the namespace."""
    components = {
        pod["metadata"]["name"]: component_of(pod)
        for pod in kube.all_pods(namespace)
        if component_of(pod) not in JOBS
    }
    found: dict[str, Sample] = {}
    for pod in kube.usage(namespace):
        component = components.get(pod["podRef"]["name"])
        if component:
            found[component] = sample_of(pod)
    return found


def sample_of(pod: dict[str, Any]) -> Sample:
    """Return the sample of a pod's main container, that of its `resources`."""
    main = next(one for one in pod["containers"] if one["name"] != GROOMER)
    at = datetime.fromisoformat(main["cpu"]["time"]).timestamp() * 1e9
    return Sample(at, main["cpu"]["usageCoreNanoSeconds"], main["memory"]["workingSetBytes"])


def measure(what: str, kube: Kube, namespace: str, seconds: float) -> Measured:
    """Take samples for some time."""
    say(f"{what}, {seconds:.0f} s")
    measured = Measured()
    end = time.monotonic() + seconds
    while True:
        measured.add(read(kube, namespace))
        if time.monotonic() >= end:
            return measured
        time.sleep(SAMPLE_SECONDS)


@dataclass
class Load:
    """Runs of a DAG, a few at a time, and requests of a person who looks on."""

    airflow: Airflow
    ended: threading.Event = field(default_factory=threading.Event)
    runs: list[str] = field(default_factory=list)
    requests: int = 0

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the load until the block ends."""
        self.runs += [self.airflow.start_run(DAG) for _ in range(RUNS_AT_ONCE)]
        thread = threading.Thread(target=self._go_on)
        thread.start()
        try:
            yield
        finally:
            self.ended.set()
            thread.join()

    def _go_on(self) -> None:
        current = list(self.runs)
        while not self.ended.wait(REQUEST_SECONDS):
            self.airflow.get("dags", limit=100)
            self.airflow.task_instances(DAG, current[0])
            states = [self.airflow.run_state(DAG, run) for run in current]
            self.requests += 2 + len(states)
            current = [run for run, state in zip(current, states, strict=True) if state in ACTIVE]
            while len(current) < RUNS_AT_ONCE:
                current.append(self.airflow.start_run(DAG))
                self.runs.append(current[-1])

    def tasks(self) -> int:
        """Return the number of tasks that have ended."""
        found = [one for run in self.runs for one in self.airflow.task_instances(DAG, run)]
        return sum(one["state"] == "success" for one in found)


@contextmanager
def deployed(platform: Platform, kube: Kube) -> Iterator[tuple[str, Airflow]]:
    """Deploy, yield namespace and a client of Airflow, and remove the stack."""
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as silence:
        directory = Path(folder) / "program"
        stack = copy_program(PROGRAM, directory, platform)
        (directory / "project" / "Dockerfile").write_text(f"FROM {platform.runtime_image}\n")
        settings: dict[str, str | int] = {
            "usage:repository": f"{platform.registry}/usage-bench",
            "usage:databaseImage": platform.postgres_image,
            "usage:brokerImage": platform.redis_image,
            "usage:pgbouncerImage": modules.pgbouncer_image(platform),
            "usage:exporterImage": modules.statsd_exporter_image(platform),
            "usage:nodePort": free_node_port(kube),
        }
        stack.configure({"kubernetes:context": platform.context, **settings})
        try:
            stack.up(silence)
            outputs = stack.outputs()
            yield (
                outputs["namespace"],
                Airflow(
                    f"http://localhost:{settings['usage:nodePort']}",
                    outputs["admin_username"],
                    outputs["admin_password"],
                ),
            )
        finally:
            stack.destroy(silence)


def run(settle: float, idle: float, load: float) -> str:
    """Measure a Deployment of its own, and return the table."""
    platform = Platform.load()
    kube = Kube(str(platform.kubeconfig), platform.context)
    say("deploy")
    with deployed(platform, kube) as (namespace, airflow):
        airflow.wait_until_healthy(120, say)
        airflow.wait_for_dag(DAG, 120)
        say(f"settle, {settle:.0f} s")
        time.sleep(settle)
        resting = measure("idle", kube, namespace, idle)
        generator = Load(airflow)
        with generator.applied():
            time.sleep(SAMPLE_SECONDS)
            working = measure("load", kube, namespace, load)
        tasks = generator.tasks()
    say(f"{tasks} tasks ended in {len(generator.runs)} runs; {generator.requests} requests")
    return table(resting, working)


def table(idle: Measured, load: Measured) -> str:
    """Return the table of docs/sizing.md."""
    lines = [
        "| container | CPU idle | CPU under load | memory idle | memory under load |",
        "|---|---|---|---|---|",
    ]
    for component, name in NAMES.items():
        cpu = (f"`{one.millicores(component)}m`" for one in (idle, load))
        memory = (f"`{one.mebibytes(component)}Mi`" for one in (idle, load))
        lines.append(f"| {name} | {' | '.join((*cpu, *memory))} |")
    return "\n".join(lines)


def say(text: str) -> None:
    """Print progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run the measurements."""
    parser = argparse.ArgumentParser(prog="python -m bench.pod_usage")
    parser.add_argument("--settle", type=float, default=60)
    parser.add_argument("--idle", type=float, default=90)
    parser.add_argument("--load", type=float, default=150)
    given = parser.parse_args()
    print(run(given.settle, given.idle, given.load))


if __name__ == "__main__":
    main()
