"""The embedded engine killed at every step of the quickstart's deploy and destroy, in random order, and of
the deploy of a changed DAG.

A step is drawn among those that can come next: the creation of a resource that is not there, the
deletion of one that is. `up` or `destroy` runs until that step begins, and gets SIGKILL up to half a
second later, at random. So the stack goes up and down until each step was killed once, or the time is
over. After each kill every object that this stack made must be in its state; in the end `up` must find
nothing to do, and `destroy` must leave nothing behind.
Needs the local platform; makes a stack and a namespace of its own.

    python -m bench.kills [SEED [MINUTES]]      JSON on standard output
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from astro_pulumi.cli.options import Engine
from local import platform as local_platform
from local.platform import Choice
from local.progress import Progress
from local.quickstart import platform_settings, tag_example_base_image
from local.stack import Stack
from tests.cluster.conftest import copy_pulumi_project, free_node_port, new_stack
from tests.cluster.kube import Kube

LONGEST_DELAY = 0.5  # seconds between the begin of a step and the kill


@dataclass
class Bench:
    """A stack whose engine is killed."""

    stack: Stack
    kube: Kube
    kills: int = 0
    lost: set[str] = field(default_factory=set)
    retained: set[str] = field(
        default_factory=set
    )  # objects that are to stay when they are deleted

    def state(self) -> dict[str, Any]:
        """The stack's checkpoint; empty before the first."""
        files = list((self.stack.directory / "backend").rglob(f"stacks/*/{self.stack.name}.json"))
        latest: dict[str, Any] = {}
        if files:
            latest = json.loads(files[0].read_text())["checkpoint"]["latest"]
        return latest

    def steps(self, command: str) -> list[str]:
        """`create <urn>` and the like of every step of a command, killed at none of them."""
        return self._run(command, lambda _: False)[1]

    def killed(self, command: str, fatal: Callable[[str], bool]) -> bool:
        """Runs a command until a step begins that is `fatal`. -> whether one did."""
        killed, _ = self._run(command, fatal)
        self.kills += killed
        self.lost |= set(self._lost())
        return killed

    def _run(self, command: str, fatal: Callable[[str], bool]) -> tuple[bool, list[str]]:
        yes = [] if command == "preview" else ["--yes"]
        process = subprocess.Popen(
            [*self.stack.command(command), *yes, "--json", "--engine", "embedded"],
            cwd=self.stack.directory,
            env=self.stack.full_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        problems, begun = [], []
        for line in process.stdout or ():
            event = json.loads(line)
            step = event.get("resourcePreEvent", {}).get("metadata", {})
            diagnostic = event.get("diagnosticEvent", {})
            if diagnostic.get("severity") == "error":
                problems.append(diagnostic["message"])
            if not step or step["op"] == "same":
                continue
            begun.append(f"{step['op']} {step['urn']}")
            if fatal(begun[-1]):
                time.sleep(random.uniform(0, LONGEST_DELAY))  # noqa: S311
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return True, begun
        if process.wait() != 0:
            raise SystemExit(f"{command} failed after {self.kills} kills: {problems}")
        return False, begun

    def _lost(self) -> list[str]:
        """Objects of this stack in the cluster that its state knows nothing of."""
        latest = self.state()
        resources = latest.get("resources", ())
        self.retained.update(
            str(item.get("id")) for item in resources if item.get("retainOnDelete")
        )
        known = {str(item.get("id")) for item in resources} | self.retained
        for operation in latest.get("pending_operations", ()):
            metadata = operation["resource"]["inputs"].get("metadata") or {}
            known.add("/".join(filter(None, (metadata.get("namespace"), metadata.get("name")))))
        namespaces = {name for name in known if name.startswith("quickstart-") and "/" not in name}
        return [
            name
            for item in self.kube.everything()
            if item["metadata"].get("namespace") in namespaces
            and any(
                entry.get("manager", "").startswith("pulumi-kubernetes-")
                for entry in item["metadata"].get("managedFields", ())
            )
            and (name := f"{item['metadata']['namespace']}/{item['metadata']['name']}") not in known
        ]

    def kill_everywhere(self, seconds: float) -> dict[str, int]:
        """Kills `up` and `destroy` at each of their steps, drawn at random. -> how many of each kind."""
        urns = {step.split(" ", 1)[1] for step in self.steps("preview")}
        to_kill = {"up": set(urns), "destroy": set(urns)}
        count = {"up": 0, "destroy": 0}
        half_destroyed = False
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(to_kill.values()):
            there = {item["urn"] for item in self.state().get("resources", ())}
            possible = [("up", urn) for urn in to_kill["up"] - there]
            possible += [("destroy", urn) for urn in to_kill["destroy"] & there]
            if possible:
                command, target = random.choice(sorted(possible))  # noqa: S311
            else:  # what is left comes after what is there has gone, or all is there
                command, target = ("destroy", "") if to_kill["up"] else ("up", "")
            if half_destroyed and command == "up":
                # The claim of the database is there, and the password in it is not.
                self.killed("destroy", lambda _: False)
            killed = self.killed(command, partial(_is_about, target))
            count[command] += killed
            half_destroyed = killed and command == "destroy"
            to_kill[command].discard(target)
        return {f"{command}_steps_killed": number for command, number in count.items()}

    def kill_a_change(self, seconds: float) -> int:
        """Kills the deploy of a changed DAG at each step that begins for the first time. -> how many."""
        dag = self.stack.directory / "examples/quickstart/project/dags/low_stock.py"
        dag.write_text(f"{dag.read_text()}\n# changed while its deploy is killed\n")
        seen: set[str] = set()
        before, end = self.kills, time.monotonic() + seconds

        def is_new(step: str) -> bool:
            new = step not in seen and time.monotonic() < end
            seen.add(step)
            return new

        while self.killed("up", is_new):
            pass
        return self.kills - before


def _is_about(urn: str, step: str) -> bool:
    return step.endswith(f" {urn}")


def main() -> None:
    """Prints what came of it."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(10**6)  # noqa: S311
    seconds = 60 * float(sys.argv[2]) if len(sys.argv) > 2 else 3600.0
    random.seed(seed)
    with Progress(Console(stderr=True, highlight=False)) as progress:
        platform = local_platform.up(progress, Choice.make())
    kube = Kube(str(platform.kubeconfig), platform.context)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        copy_pulumi_project(directory)
        stack = new_stack(directory, platform, Engine.EMBEDDED)
        settings = platform_settings(platform)
        settings["quickstart:repository"] = f"{platform.registry}/quickstart-kills"
        stack.configure({**settings, "quickstart:nodePort": free_node_port(kube)})
        tag_example_base_image(platform)
        started = time.monotonic()
        bench = Bench(stack, kube)
        report: dict[str, Any] = {"seed": seed}
        try:
            report |= bench.kill_everywhere(seconds)
            bench.killed("up", lambda _: False)
            report["resources"] = len(bench.state()["resources"])
            report["change_steps_killed"] = bench.kill_a_change(seconds / 4)
            report["changes_in_the_end"] = bench.steps("up")
            bench.killed("destroy", lambda _: False)
            report["left_behind"] = len(bench.state().get("resources", ()))
        finally:
            stack.destroy(sys.stderr)
            report |= {"kills": bench.kills, "lost": sorted(bench.lost)}
            print(json.dumps({**report, "seconds": round(time.monotonic() - started)}, indent=2))


if __name__ == "__main__":
    main()
