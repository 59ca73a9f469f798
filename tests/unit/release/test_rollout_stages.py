"""The order in which workloads roll out: it matters when Airflow's version changes."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from astro_pulumi.args import DeploymentArgs
from astro_pulumi.release.release_records import FINDINGS
from tests import mock_engine
from tests.mock_engine import RELEASE_JOB_FOUND, Program, deploy
from tests.unit.release.pod_file import load

records = load("astro_release_records")

ARGUMENTS: DeploymentArgs = {
    "image": "ghcr.io/acme/analytics@sha256:" + "0" * 64,
    "airflow_version": "3.3",
    "worker_queues": [{"name": "default"}, {"name": "heavy"}],
}
WEBSERVER = {"webserver"}
PROCESSES = {"scheduler", "triggerer", "dag-processor"}
WORKERS = {"worker-default", "worker-heavy"}
ALL = WEBSERVER | PROCESSES | WORKERS
# What each Job watches.
WATCHED = {"webserver": WEBSERVER, "processes": PROCESSES, "workloads": ALL}


def known(changed: bool | None) -> dict[str, Mapping[str, Any]]:
    found = RELEASE_JOB_FOUND | ({} if changed is None else {"airflowChanged": changed})
    metadata = {"name": "job", "annotations": {FINDINGS: json.dumps(found)}}
    return {"analytics-release-job": {"metadata": metadata}}


def deployed(changed: bool | None, preview: bool = False) -> Program:
    return deploy(ARGUMENTS, preview=preview, known={} if preview else known(changed))


@contextmanager
def slow_watches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Each watch of a roll-out takes a while. -> the names of what was begun, and of watches that ended."""
    order: list[str] = []
    lock = threading.Lock()
    register = mock_engine._Monitor.RegisterResource

    def slowly(self: Any, request: Any) -> Any:
        is_watch = request.name.startswith("analytics-rollout-") and request.type.endswith(":Job")
        if request.type.endswith("v1:Deployment"):
            with lock:
                order.append(request.name.removeprefix("analytics-"))
        if is_watch:
            time.sleep(0.3)
        answer = register(self, request)
        if is_watch:
            with lock:
                order.append(request.name.removeprefix("analytics-"))
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(mock_engine._Monitor, "RegisterResource", slowly)
        yield order


def test_no_process_of_another_airflow_begins_before_the_webserver_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_watches(monkeypatch) as order:
        deployed(changed=True)
    webserver, processes = order.index("rollout-webserver"), order.index("rollout-processes")
    assert all(order.index(one) < webserver for one in WEBSERVER)
    assert all(webserver < order.index(one) < processes for one in PROCESSES)
    assert all(processes < order.index(one) for one in WORKERS)


def test_with_the_same_airflow_workloads_wait_for_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_watches(monkeypatch) as order:
        deployed(changed=False)
    first_watch = min(order.index(f"rollout-{stage}") for stage in WATCHED)
    assert all(order.index(one) < first_watch for one in ALL)


def test_each_watch_is_made_after_its_workloads_and_its_rights() -> None:
    program = deployed(changed=None)
    for stage, components in WATCHED.items():
        watch = program.get(f"analytics-rollout-{stage}", "Job")
        assert {f"analytics-{one}" for one in components} <= watch.dependencies
        for kind in ("serviceaccount", "role", "rolebinding"):
            assert f"analytics-rollout-{kind}" in watch.dependencies


def test_the_release_is_recorded_after_every_watch() -> None:
    record = deployed(changed=None).get("analytics-release")
    assert {f"analytics-rollout-{stage}" for stage in WATCHED} <= record.dependencies


@pytest.mark.parametrize(("changed", "pods"), [(True, 1), (False, 0), (None, 0)])
def test_jobs_between_the_stages_run_only_for_another_airflow(
    changed: bool | None, pods: int
) -> None:
    program = deployed(changed)
    completions = {
        stage: program.get(f"analytics-rollout-{stage}", "Job").inputs["spec"]["completions"]
        for stage in WATCHED
    }
    assert completions == {"webserver": pods, "processes": pods, "workloads": 1}


def test_workloads_are_the_same_and_depend_on_no_watch() -> None:
    in_turn, at_once = deployed(changed=True), deployed(changed=False)
    for component in ALL:
        one, other = (p.get(f"analytics-{component}", "Deployment") for p in (in_turn, at_once))
        assert one.inputs == other.inputs
        assert not any("-rollout-" in name for name in one.dependencies)


def test_a_preview_knows_where_everything_is() -> None:
    namespaces = {
        r.inputs["metadata"]["namespace"]
        for r in deploy({**ARGUMENTS, "namespace": "data"}, preview=True).kinds("Deployment")[1:]
    }
    assert namespaces == {"data"}


@pytest.mark.parametrize(
    ("running", "is_other"), [("3.2.2", True), ("3.3.2", False), (None, False)]
)
def test_the_release_job_sees_whether_the_version_changes(
    running: str | None, is_other: bool
) -> None:
    annotations = {"astro-pulumi/airflow-version": running} if running else {}
    current = {"metadata": {"annotations": annotations}}
    assert records.is_other_version(current, "3.3.2") is is_other
    assert records.is_other_version(None, "3.3.2") is False
