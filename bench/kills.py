"""The embedded engine killed at every step of the quickstart's deploy, and of its destroy.

`up` is started again and again and gets SIGKILL as soon as a step begins that did not begin before, up
to half a second later, at random. After each kill every object that this stack made must be in its
state; in the end `up` must find nothing to do, and `destroy`, killed likewise, must leave nothing behind.
Needs the local platform; makes a stack and a namespace of its own.

    python -m bench.kills [SEED]      JSON on standard output
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from astro_pulumi.cli.options import Engine
from local import platform as local_platform
from local.platform import Choice
from local.progress import Progress
from local.quickstart import platform_settings, tag_example_base_image
from local.stack import Stack
from tests.cluster.conftest import copy_pulumi_project, free_node_port
from tests.cluster.kube import Kube

STACK_NAME = "kills"
LONGEST_DELAY = 0.5  # seconds between the begin of a step and the kill


def killed(stack: Stack, command: str, seen: set[str]) -> bool:
    """Runs a command until a step begins that is not in `seen`. -> whether it ended by itself."""
    process = subprocess.Popen(
        [*stack.command(command), "--yes", "--json", "--engine", "embedded"],
        cwd=stack.directory,
        env={**os.environ, **stack.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    problems = []
    for line in process.stdout or ():
        event = json.loads(line)
        step = event.get("resourcePreEvent", {}).get("metadata", {})
        diagnostic = event.get("diagnosticEvent", {})
        if diagnostic.get("severity") == "error":
            problems.append(diagnostic["message"])
        name = f"{step.get('op')} {step.get('urn')}"
        if step and step["op"] != "same" and name not in seen:
            seen.add(name)
            time.sleep(random.uniform(0, LONGEST_DELAY))  # noqa: S311
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
    if process.wait() != 0:
        raise SystemExit(f"{command} failed after {len(seen)} kills: {problems}")
    return True


def state(stack: Stack) -> dict[str, Any]:
    """The stack's checkpoint; empty before the first."""
    files = list((stack.directory / "backend").rglob(f"stacks/*/{STACK_NAME}.json"))
    return json.loads(files[0].read_text())["checkpoint"]["latest"] if files else {}


def lost(stack: Stack, kube: Kube, retained: set[str]) -> list[str]:
    """Objects of this stack in the cluster that its state knows nothing of. `retained` collects those that
    are to stay when they are deleted."""
    latest = state(stack)
    resources = latest.get("resources", ())
    retained.update(str(item.get("id")) for item in resources if item.get("retainOnDelete"))
    known = {str(item.get("id")) for item in resources} | retained
    for operation in latest.get("pending_operations", ()):
        metadata = operation["resource"]["inputs"].get("metadata") or {}
        known.add("/".join(filter(None, (metadata.get("namespace"), metadata.get("name")))))
    namespaces = {name for name in known if name.startswith("quickstart-") and "/" not in name}
    return [
        name
        for item in kube.everything()
        if item["metadata"].get("namespace") in namespaces
        and any(
            entry.get("manager", "").startswith("pulumi-kubernetes-")
            for entry in item["metadata"].get("managedFields", ())
        )
        and (name := f"{item['metadata']['namespace']}/{item['metadata']['name']}") not in known
    ]


def main() -> None:
    """Prints what came of it."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(10**6)  # noqa: S311
    random.seed(seed)
    with Progress(Console(stderr=True, highlight=False)) as progress:
        platform = local_platform.up(progress, Choice.make())
    kube = Kube(str(platform.kubeconfig), platform.context)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        copy_pulumi_project(directory)
        (directory / "backend").mkdir()
        environment = {
            **platform.environment(),
            "PULUMI_BACKEND_URL": f"file://{directory}/backend",
            "PULUMI_CONFIG_PASSPHRASE": "the passphrase of a benchmark",
            "PULUMI_HOME": str(directory / "home"),
        }
        stack = Stack(directory, STACK_NAME, environment, engine=Engine.EMBEDDED)
        settings = platform_settings(platform)
        settings["quickstart:repository"] = f"{platform.registry}/quickstart-kills"
        stack.configure({**settings, "quickstart:nodePort": free_node_port(kube)})
        tag_example_base_image(platform)
        started = time.monotonic()
        report: dict[str, Any] = {"seed": seed, "lost": []}
        retained: set[str] = set()
        try:
            for command in ("up", "destroy"):
                seen: set[str] = set()
                kills = 0
                while not killed(stack, command, seen):
                    kills += 1
                    report["lost"] += lost(stack, kube, retained)
                report[f"{command}_kills"] = kills
                report["lost"] += lost(stack, kube, retained)
                if command == "up":
                    report["resources"] = len(state(stack)["resources"])
                    unexpected: set[str] = set()
                    killed(stack, "up", unexpected)
                    report["changes_in_the_end"] = sorted(unexpected)
            report["left_behind"] = len(state(stack).get("resources", ()))
        finally:
            stack.destroy(sys.stderr)
        report["seconds"] = round(time.monotonic() - started)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
