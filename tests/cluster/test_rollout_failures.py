"""A roll-out that cannot succeed: `pulumi up` says why, and what ran before still runs.

All on the quickstart's Deployment, whose next deploy without the fault must go well.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.stack import StackError
from tests.cluster.conftest import Deployed
from tests.cluster.kube import AIRFLOW_COMPONENTS, component_of, is_ready

ARGUMENTS = "astro.DeploymentArgs(\n"


@contextmanager
def arguments(deployed: Deployed, *lines: str) -> Iterator[None]:
    """The program with more arguments, or others of the same names; as it was afterwards."""
    program = deployed.stack.directory / "examples" / "quickstart" / "__main__.py"
    before = program.read_text()
    added = "".join(f"        {line},\n" for line in lines)
    names = tuple(f"        {line.partition('=')[0]}=" for line in lines)
    kept = "".join(line for line in before.splitlines(True) if not line.startswith(names))
    program.write_text(kept.replace(ARGUMENTS, ARGUMENTS + added))
    try:
        yield
    finally:
        program.write_text(before)


def failure(deployed: Deployed, *lines: str) -> str:
    """What `pulumi up` says of a deploy that fails while it rolls out."""
    with arguments(deployed, *lines), pytest.raises(StackError):
        deployed.up()
    ready = {component_of(pod) for pod in deployed.kube.pods(deployed.namespace) if is_ready(pod)}
    assert ready == AIRFLOW_COMPONENTS, "a pod was taken away before another one was ready"
    return deployed.logs[-1]


def status(deployed: Deployed) -> tuple[int, dict[str, Any]]:
    """Exit code and words of `astro-pulumi status`."""
    program = str(Path(sys.executable).with_name("astro-pulumi"))
    stack = deployed.stack
    done = stack.capture([program, "status", "--json", "--stack", stack.name])
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_process_that_needs_more_memory_than_it_may_use(deployed: Deployed) -> None:
    said = failure(
        deployed, 'scheduler=astro.ProcessArgs(resources={"limits": {"memory": "100Mi"}})'
    )

    assert "quickstart-scheduler" in said
    assert "exit code 137, out of memory (OOMKilled; its limit is 100Mi)" in said
    assert "crashed 3 times" in said
    assert "timed out waiting for the condition" not in said
    assert "timeouts.rollout" not in said, "the watch waited until the time was over"
    code, found = status(deployed)
    assert code == 1
    assert not found["healthy"]
    assert "OOMKilled" in json.dumps(found["processes"])


def test_a_setting_that_airflow_refuses_shows_the_last_lines_of_the_log(
    deployed: Deployed,
) -> None:
    said = failure(
        deployed,
        'environment={"AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "no number"}',
    )
    assert "quickstart-scheduler" in said
    assert "The last log lines of quickstart-scheduler-" in said
    assert "AirflowConfigException" in said


def test_a_pod_that_no_node_has_room_for(deployed: Deployed) -> None:
    said = failure(
        deployed,
        'worker_queues=[{"name": "default", "placement": {"node_selector": {"pool": "nobody"}}}]',
        "timeouts=astro.TimeoutArgs(rollout=20)",
    )
    assert "quickstart-worker-default" in said
    assert "cannot be scheduled: 0/1 nodes are available" in said


def test_the_next_deploy_goes_well(deployed: Deployed) -> None:
    deployed.up()
    code, found = status(deployed)
    assert (code, found["healthy"]) == (0, True)
