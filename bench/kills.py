"""The embedded engine killed at every step of the quickstart's deploy and destroy, or of the deploy of a
changed DAG, in random order.

A step is drawn among those that were not killed yet. The command runs until that step begins, and its
process group gets SIGKILL up to half a second later, at random; then the next step is drawn. So a stack
goes up and down, or its DAG is changed again and again, until each step was killed once, or the time is
over. After each kill every object that this stack made must be in its state. In the end `up` and `refresh`
must find nothing to do, and `destroy` must leave nothing behind.
Needs the local platform; makes a stack and a namespace of its own.

    python -m bench.kills everywhere|change [SEED [MINUTES]]      JSON on standard output
"""

import json
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
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
CHANGED_FILE = "examples/quickstart/project/dags/low_stock.py"


@dataclass
class Bench:
    """A stack whose engine is killed."""

    stack: Stack
    kube: Kube
    # Command, operation and resource -> how often it was killed there.
    kills: Counter[str] = field(default_factory=Counter)
    ended_well: Counter[str] = field(default_factory=Counter)  # commands that were not killed
    lost: set[str] = field(default_factory=set)
    retained: set[str] = field(
        default_factory=set
    )  # objects that are to stay when they are deleted
    changes: dict[str, int] = field(default_factory=dict)  # of the last command that ended

    def state(self) -> dict[str, Any]:
        """The stack's checkpoint; empty before the first."""
        files = list((self.stack.directory / "backend").rglob(f"stacks/*/{self.stack.name}.json"))
        latest: dict[str, Any] = {}
        if files:
            latest = json.loads(files[0].read_text())["checkpoint"]["latest"]
        return latest

    def namespaces(self) -> set[str]:
        """Those that the stack made, by its state."""
        names = (str(item.get("id")) for item in self.state().get("resources", ()))
        return {name for name in names if name.startswith("quickstart-") and "/" not in name}

    def run(self, command: str, fatal: str = "") -> tuple[bool, list[str]]:
        """Runs a command until a step begins that ends in `fatal`, if one is given. -> whether it was
        killed there, and the steps that began, as `<operation> <urn>`."""
        process = self.stack.start(command, "--json", stderr=None, own_group=True)
        problems, begun = [], []
        for line in process.stdout or ():
            event = json.loads(line)
            step = event.get("resourcePreEvent", {}).get("metadata", {})
            diagnostic = event.get("diagnosticEvent", {})
            if diagnostic.get("severity") == "error":
                problems.append(diagnostic["message"])
            if "summaryEvent" in event:
                self.changes = event["summaryEvent"]["resourceChanges"]
            if not step or step["op"] in ("same", "refresh", "replace"):  # which only sums up
                continue
            begun.append(f"{step['op']} {_stable(step['urn'])}")
            if fatal and begun[-1].endswith(fatal):
                time.sleep(random.uniform(0, LONGEST_DELAY))  # noqa: S311
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                self.kills[f"{command}: {_brief(begun[-1])}"] += 1
                self._note_retained()
                self.lost |= set(self._lost())
                return True, begun
        if process.wait() != 0:
            raise SystemExit(f"{command} failed after {self.kills.total()} kills: {problems}")
        self.ended_well[command] += 1
        self._note_retained()
        return False, begun

    def _note_retained(self) -> None:
        resources = self.state().get("resources", ())
        self.retained.update(str(item["id"]) for item in resources if item.get("retainOnDelete"))

    def _lost(self) -> list[str]:
        """Objects of this stack in the cluster that its state knows nothing of."""
        latest = self.state()
        resources = latest.get("resources", ())
        known = {str(item.get("id")) for item in resources} | self.retained
        for operation in latest.get("pending_operations", ()):
            metadata = operation["resource"]["inputs"].get("metadata") or {}
            known.add("/".join(filter(None, (metadata.get("namespace"), metadata.get("name")))))
        namespaces = self.namespaces()
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

    def kill_everywhere(self, seconds: float) -> None:
        """Kills `up` and `destroy` at each of their steps, drawn among those that can come next: the
        creation of a resource that is not there, the deletion of one that is."""
        urns = {step.split(" ", 1)[1] for step in self.run("preview")[1]}
        to_kill = {"up": set(urns), "destroy": set(urns)}
        half_destroyed = False
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(to_kill.values()):
            there = {_stable(item["urn"]) for item in self.state().get("resources", ())}
            possible = [("up", urn) for urn in to_kill["up"] - there]
            possible += [("destroy", urn) for urn in to_kill["destroy"] & there]
            if possible:
                command, target = random.choice(sorted(possible))  # noqa: S311
            else:  # what is left comes after what is there has gone, or all is there
                command, target = ("destroy", "") if to_kill["up"] else ("up", "")
            if half_destroyed and command == "up":
                # The claim of the database is there, and the password in it is not.
                self.run("destroy")
                there = set()
            if command == "up" and not any(":Service::" in urn for urn in there):
                # Kubernetes may not free the last one for some minutes.
                self.stack.configure({"quickstart:nodePort": free_node_port(self.kube)})
            killed, _ = self.run(command, f" {target}" if target else "")
            half_destroyed = killed and command == "destroy"
            to_kill[command].discard(target)
        self.run("destroy" if half_destroyed else "up")
        self.run("up")

    def kill_a_change(self, seconds: float) -> None:
        """Kills the deploy of a changed DAG at each of its steps."""
        self.run("up")
        self._change()
        to_kill = set(self.run("up")[1])
        self._change()
        is_whole = True  # no step of this change was made yet
        end = time.monotonic() + seconds
        while to_kill and time.monotonic() < end:
            target = random.choice(sorted(to_kill))  # noqa: S311
            killed, begun = self.run("up", target)
            if killed:
                to_kill.discard(target)
            elif is_whole:
                raise SystemExit(f"{target} did not come in a whole deploy: {begun}")
            else:
                self._change()
            is_whole = not killed
        self.run("up")

    def _change(self) -> None:
        with (self.stack.directory / CHANGED_FILE).open("a") as dag:
            dag.write("# changed while its deploy is killed\n")


def _stable(urn: str) -> str:
    """A URN without what a name has of the content."""
    return re.sub(r"-[0-9a-f]{8}$", "", urn)


def _brief(step: str) -> str:
    """`create urn:...$kubernetes:core/v1:Secret::web` -> `create Secret web`."""
    operation, urn = step.split(" ", 1)
    *_, type_, name = urn.split("::")
    return f"{operation} {type_.rpartition(':')[2]} {name}"


def main() -> None:
    """Prints what came of it."""
    where, *rest = sys.argv[1:]
    seed = int(rest[0]) if rest else random.randrange(10**6)  # noqa: S311
    seconds = 60 * float(rest[1]) if len(rest) > 1 else 3600.0
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
            kill = {"everywhere": bench.kill_everywhere, "change": bench.kill_a_change}[where]
            kill(seconds)
            report["resources"] = len(bench.state()["resources"])
            report["changes_in_the_end"] = bench.run("up")[1]
            bench.run("refresh")
            report["refresh_in_the_end"] = bench.changes
            namespaces = bench.namespaces()
            bench.run("destroy")
            left = [item for item in kube.everything() if _namespace(item) in namespaces]
            report["left_behind"] = len(bench.state().get("resources", ())) + len(left)
        finally:
            stack.destroy(sys.stderr)
            report |= {
                "kills": bench.kills.total(),
                "kills_by_step": dict(sorted(bench.kills.items())),
                "ended_well": dict(bench.ended_well),
                "lost": sorted(bench.lost),
            }
            print(json.dumps({**report, "seconds": round(time.monotonic() - started)}, indent=2))


def _namespace(item: dict[str, Any]) -> str:
    metadata = item["metadata"]
    return str(metadata["name"] if item["kind"] == "Namespace" else metadata.get("namespace"))


if __name__ == "__main__":
    main()
