"""The order in which workloads roll out: it matters when Airflow's version changes."""

import json

import pytest

from astro_pulumi.args import DeploymentArgs
from astro_pulumi.release.ledger import FINDINGS
from tests.mock_engine import RELEASE_JOB_FOUND, Program, deploy
from tests.unit.release.pod_file import load

records = load("astro_records")

ARGUMENTS: DeploymentArgs = {
    "image": "ghcr.io/acme/analytics@sha256:" + "0" * 64,
    "airflow_version": "3.3",
    "worker_queues": [{"name": "default"}, {"name": "heavy"}],
}
OTHERS = ("scheduler", "triggerer", "dag-processor")
WORKERS = ("worker-default", "worker-heavy")


def deployed(changed: bool | None, preview: bool = False) -> Program:
    found = RELEASE_JOB_FOUND | ({} if changed is None else {"airflowChanged": changed})
    metadata = {"name": "job", "annotations": {FINDINGS: json.dumps(found)}}
    known = {} if preview else {"analytics-release-job": {"metadata": metadata}}
    return deploy(ARGUMENTS, preview=preview, known=known)


def waits_for(program: Program, component: str) -> set[str]:
    """The workloads that one waits for."""
    workloads = {f"analytics-{one}" for one in ("webserver", *OTHERS, *WORKERS)}
    workload = program.get(f"analytics-{component}", "Deployment")
    return {name.removeprefix("analytics-") for name in workload.dependencies & workloads}


def test_to_another_airflow_the_webserver_goes_first_and_workers_last() -> None:
    program = deployed(changed=True)
    assert waits_for(program, "webserver") == set()
    for component in OTHERS:
        assert waits_for(program, component) == {"webserver"}
    for component in WORKERS:
        assert waits_for(program, component) == {"webserver", *OTHERS}


@pytest.mark.parametrize("changed", [False, None])
def test_with_the_same_airflow_all_go_at_once(changed: bool | None) -> None:
    program = deployed(changed)
    for component in ("webserver", *OTHERS, *WORKERS):
        assert waits_for(program, component) == set()


def test_the_order_changes_nothing_that_is_declared() -> None:
    in_turn, at_once = deployed(changed=True), deployed(changed=False)
    assert {(r.type, r.name): r.inputs for r in in_turn} == {
        (r.type, r.name): r.inputs for r in at_once
    }


def test_a_preview_knows_where_everything_is() -> None:
    program = deployed(None, preview=True)
    namespaces = {r.inputs["metadata"]["namespace"] for r in program.kinds("Deployment")[1:]}
    assert namespaces == {"analytics-abc123"}


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
