"""The engines on small programs, without Airflow: what somebody else changed, Ctrl-C, and one engine after
the other."""

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.cli.options import Engine
from local.platform import Platform
from local.quickstart import REPOSITORY_ROOT
from local.stack import Stack
from tests.cluster.conftest import ENGINES, new_stack
from tests.cluster.kube import Kube

HEAD = """
import pulumi
from pulumi import ResourceOptions as Opts
from pulumi_kubernetes import apps, batch, core
from pulumi_random import RandomPassword

space = core.v1.Namespace("engines")
meta = {"namespace": space.metadata.name}
pulumi.export("namespace", space.metadata.name)
"""
WORKLOAD = """
labels = {{"app": "small"}}
apps.v1.Deployment(
    "small",
    metadata={{**meta, "name": "small", "annotations": {annotations}}},
    spec={{
        "paused": True,  # so that it makes no pod
        "replicas": {replicas},
        "selector": {{"matchLabels": labels}},
        "template": {{
            "metadata": {{"labels": labels}},
            "spec": {{"containers": [{{"name": "small", "image": "localhost:5000/pause:1"}}]}},
        }},
    }},
    opts=Opts(ignore_changes=["spec.replicas"]),
)
"""


@dataclass
class Small:
    """A stack with a program of a few lines."""

    stack: Stack
    kube: Kube

    def write(self, program: str) -> None:
        (self.stack.directory / "__main__.py").write_text(HEAD + program)

    def start(self, command: str, engine: Engine | None = None) -> subprocess.Popen[str]:
        """Starts `astro-pulumi`, on the stack's own engine unless told otherwise."""
        return replace(self.stack, engine=engine or self.stack.engine).start(command)

    def run(self, command: str, engine: Engine | None = None) -> str:
        """Runs `astro-pulumi`; -> what it printed."""
        process = self.start(command, engine)
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
        return output

    @property
    def namespace(self) -> str:
        return str(self.stack.outputs()["namespace"])

    def object(self, kind: str, name: str) -> dict[str, Any]:
        """An object in the program's namespace."""
        objects = self.kube.objects(kind, self.namespace)
        (found,) = [item for item in objects if item["metadata"]["name"].startswith(name)]
        return found


@pytest.fixture(params=ENGINES, ids=[engine.value for engine in ENGINES])
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    return chosen


@pytest.fixture
def small(engine: Engine, platform: Platform, kube: Kube, tmp_path: Path) -> Iterator[Small]:
    (tmp_path / "Pulumi.yaml").write_text(
        "name: small\nruntime: {name: python, options: {toolchain: pip, virtualenv: .venv}}\n"
    )
    stack = new_stack(tmp_path, platform, engine)
    try:
        yield Small(stack, kube)
    finally:
        stack.destroy()


def test_ignored_changes_stay_as_somebody_else_made_them(small: Small) -> None:
    """As an autoscaler does, which owns the replicas from then on."""
    small.write(WORKLOAD.format(annotations={"pulumi.com/skipAwait": "true"}, replicas=0))
    small.run("up")
    small.kube.change("Deployment", "small", small.namespace, {"spec": {"replicas": 3}})
    annotations = {"pulumi.com/skipAwait": "true", "example.com/new": "yes"}
    small.write(WORKLOAD.format(annotations=annotations, replicas=1))

    assert "~" in small.run("preview")
    small.run("up")

    workload = small.object("Deployment", "small")
    assert workload["spec"]["replicas"] == 3
    assert workload["metadata"]["annotations"]["example.com/new"] == "yes"
    assert is_unchanged(small.run("up"))


SLOW = """
core.v1.Pod(
    "slow",
    metadata={**meta, "name": "slow", "annotations": {"pulumi.com/waitFor": "condition=Never"}},
    spec={
        "containers": [{"name": "slow", "image": "localhost:5000/pause:1"}],
        "terminationGracePeriodSeconds": 0,
    },
)
"""


def test_after_ctrl_c_the_next_up_goes_on(small: Small) -> None:
    interrupt(small, presses=1)


# Pulumi keeps its lock then, and asks what became of the creates.
@pytest.mark.parametrize("engine", [Engine.EMBEDDED], indirect=True)
def test_after_two_ctrl_c_the_next_up_goes_on(small: Small) -> None:
    interrupt(small, presses=2)


def interrupt(small: Small, presses: int) -> None:
    """Ctrl-C while a pod is waited for that never gets ready; then one that does."""
    small.write(SLOW)
    process = small.start("up")
    said = ""
    for line in process.stdout or ():
        said += line
        if "slow" in line and "creating" in line:
            break
    time.sleep(2)
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode != 0
    if small.stack.engine is Engine.EMBEDDED:  # Pulumi's language host shows one
        assert "Traceback" not in said + rest

    small.write(SLOW.replace("condition=Never", "condition=Ready"))
    small.run("up")

    assert small.object("Pod", "slow")["status"]["phase"] == "Running"
    assert is_unchanged(small.run("up"))


MIXED = """
password = RandomPassword("password", length=20)
secret = core.v1.Secret("secret", metadata=meta, string_data={{"password": password.result}})
settings = core.v1.ConfigMap("settings", metadata=meta, data={{"colour": "{colour}"}})
core.v1.ConfigMap(
    "record-{colour}",
    metadata=meta,
    data={{"settings": settings.metadata.name}},
    opts=Opts(retain_on_delete=True),
)
core.v1.Service(
    "web",
    metadata={{**meta, "name": "web", "labels": {{"colour": "{colour}"}}}},
    spec={{"clusterIP": "None", "selector": {{"app": "none"}}, "ports": [{{"port": 80}}]}},
)
batch.v1.Job(
    "once",
    metadata={{**meta, "annotations": {{"pulumi.com/replaceUnready": "true"}}}},
    spec={{
        "backoffLimit": 0,
        "template": {{
            "spec": {{
                "restartPolicy": "Never",
                "containers": [{{
                    "name": "once",
                    "image": "localhost:5000/base:bookworm",
                    "command": ["sh", "-c", "{script}"],
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                }}],
            }}
        }},
    }},
)
pulumi.export("password", password.result)
"""


@pytest.mark.skipif(not shutil.which("pulumi"), reason="the Pulumi CLI is not on PATH")
@pytest.mark.parametrize("engine", [Engine.EMBEDDED], indirect=True)
def test_each_engine_goes_on_where_the_other_stopped(small: Small) -> None:
    small.write(MIXED.format(colour="red", script="true"))
    first, second = Engine.EMBEDDED, Engine.PULUMI
    small.run("up", first)
    for colour in ("green", "blue"):
        assert is_unchanged(small.run("preview", second))
        assert is_unchanged(small.run("up", second))

        small.write(MIXED.format(colour=colour, script="true"))
        small.run("up", second)
        assert is_unchanged(small.run("preview", first))

        # A failed Job is in the state, and made again.
        small.write(MIXED.format(colour=colour, script="echo words of the job; exit 3"))
        process = small.start("up", second)
        output, _ = process.communicate(timeout=240)
        assert process.returncode != 0
        assert "words of the job" in output
        small.write(MIXED.format(colour=colour, script="true"))
        assert "replace" in small.run("preview", first)
        small.run("up", first)
        assert is_unchanged(small.run("refresh", first))
        first, second = second, first


def is_unchanged(output: str) -> bool:
    """Whether an engine's summary knows of no change."""
    assert "unchanged" in output, output
    counted = re.findall(r"\d+ (?:to )?(?:create|update|replace|delete)d?\b", output)
    assert not counted, output
    return True


EVERY_ARGUMENT = """
import sys
sys.path.insert(0, {root!r})
import astro_pulumi as astro
from tests.plugin.test_every_argument import CASES

for name, case in CASES.items():
    case.get("pod_template", {{}}).pop("affinity", None)  # not one that Kubernetes would take
    astro.Deployment(name.replace("_", "-"), astro.DeploymentArgs(**case))
"""


@pytest.mark.skipif(not shutil.which("pulumi"), reason="the Pulumi CLI is not on PATH")
@pytest.mark.parametrize("engine", [Engine.EMBEDDED], indirect=True)
def test_both_engines_plan_the_same(small: Small) -> None:
    """For the component with every argument: the same steps with the same checked inputs."""
    program = EVERY_ARGUMENT.format(root=str(REPOSITORY_ROOT))
    (small.stack.directory / "__main__.py").write_text(program)
    ours, theirs = (planned(small, engine) for engine in (Engine.EMBEDDED, Engine.PULUMI))
    assert len(ours) > 200
    assert ours.keys() == theirs.keys()
    assert {urn: (ours[urn], theirs[urn]) for urn in ours if ours[urn] != theirs[urn]} == {}


def planned(small: Small, engine: Engine) -> dict[str, Any]:
    """What a preview says of each resource. Automatic names differ."""
    streaming = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "1"}
    stack = replace(
        small.stack, engine=engine, environment={**small.stack.environment, **streaming}
    )
    process = stack.start("preview", "--json", stderr=subprocess.PIPE)
    output, problems = process.communicate()
    assert process.returncode == 0, problems + output
    without_suffixes = re.sub(r"-[0-9a-f]{8}(?![0-9a-f])", "", output)
    events = [json.loads(line) for line in without_suffixes.splitlines()]
    steps = [
        event["resourcePreEvent"]["metadata"] for event in events if "resourcePreEvent" in event
    ]
    return {
        step["urn"]: (step["op"], step["new"]["inputs"], step["new"]["parent"]) for step in steps
    }
