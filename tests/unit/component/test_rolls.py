"""A change rolls exactly the workloads that read it.

A workload rolls when its pod template changes. Objects with a random suffix are told by their content here,
as in the cluster, where other content has another name.
"""

import json
import re
from functools import cache
from typing import Any

import pytest

from astro_pulumi.kubernetes.config_maps_and_secrets import pod_files
from tests.mock_engine import Program, deploy
from tests.specs import FERNET_KEY, arguments

QUEUES = [{"name": "default"}, {"name": "heavy"}]
WEB, SCHEDULER, TRIGGERER, DAGS = "webserver", "scheduler", "triggerer", "dag-processor"
WORKERS = {"worker-default", "worker-heavy"}
PROCESSES = {WEB, SCHEDULER, TRIGGERER, DAGS}
AIRFLOW = PROCESSES | WORKERS
LOGIN = {"repository": "ghcr.io/acme/analytics", "username": "acme", "password": "old"}
POOL = {"image": "pgbouncer:1", "pool_size": 5}


def deployed(given: dict[str, Any]) -> Program:
    """Render a Deployment, once for all tests with the same arguments."""
    return _deployed(json.dumps(given))


@cache
def _deployed(given: str) -> Program:
    return deploy(arguments(**json.loads(given)))


def pod_templates(program: Program, *of: str) -> dict[str, str]:
    """By workload; the name of what the pods read is replaced by its content."""
    contents = {
        r.object_name: json.dumps(r.inputs.get("data") or r.inputs.get("stringData"))
        for kind in ("ConfigMap", "Secret")
        for r in program.kinds(kind)
    }
    return {
        r.name.removeprefix("analytics-"): re.sub(
            r'"(analytics-[a-z-]+-abc123)"',
            lambda match: contents.get(match[1], match[1]),
            json.dumps(r.inputs["spec"]["template"]),
        )
        for r in program
        if r.kind in of and r.type != "astro:index:Deployment"
    }


def rolled(before: dict[str, Any], after: dict[str, Any], version: str) -> set[str]:
    common: dict[str, Any] = {"airflow_version": version, "worker_queues": QUEUES}
    old, new = (
        pod_templates(deployed({**common, **given}), "Deployment", "StatefulSet")
        for given in (before, after)
    )
    return {name for name in old | new if old.get(name) != new.get(name)}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"environment": {"A": "b"}}, AIRFLOW),
        ({}, {"secret_environment": {"A": "b"}}, AIRFLOW),
        ({}, {"variables": {"a": "b"}}, AIRFLOW - {SCHEDULER}),
        (
            {"connections": {"a": {"uri": "http://old"}}},
            {"connections": {"a": {"uri": "http://new"}}},
            AIRFLOW - {SCHEDULER},
        ),
        ({}, {"scheduler": {"resources": {"limits": {"memory": "3Gi"}}}}, {SCHEDULER}),
        ({}, {"webserver": {"resources": {"limits": {"cpu": "1"}}}}, {WEB}),
        ({}, {"worker_queues": [QUEUES[0], {"name": "heavy", "concurrency": 9}]}, {"worker-heavy"}),
        # A queued task waits for the longest of them.
        (
            {},
            {
                "worker_queues": [
                    QUEUES[0],
                    {"name": "heavy", "termination_grace_period_seconds": 3600},
                ]
            },
            {"worker-heavy", SCHEDULER},
        ),
        ({}, {"worker_queues": [*QUEUES, {"name": "new"}]}, {"worker-new"}),
        ({}, {"autoscaling": {"target_cpu_percent": 50}}, set()),
        # The broker's password is in the result backend's Secret, which the webserver has no use for.
        (
            {"broker": {"host": "h", "password": "old"}},
            {"broker": {"host": "h", "password": "new"}},
            {SCHEDULER, *WORKERS},
        ),
        ({}, {"pod_template": {"metadata": {"labels": {"team": "data"}}}}, AIRFLOW),
        ({}, {"environment_from": [{"secret": "tokens"}]}, AIRFLOW),
        ({}, {"variables_from": {"a": {"secret": "s", "key": "k"}}}, AIRFLOW - {SCHEDULER}),
        # Tasks get Connections from the webserver.
        ({}, {"fernet_key": FERNET_KEY}, PROCESSES),
        ({}, {"auth": {"admin_password": "other"}}, set()),
        ({"registry": LOGIN}, {"registry": {**LOGIN, "password": "new"}}, set()),
        ({}, {"service": {"type": "NodePort"}}, set()),
        ({}, {"network_policies": {"enabled": False}}, set()),
        ({}, {"timeouts": {"rollout": 900}}, set()),
        ({}, {"history_limit": 9}, set()),
        ({"pgbouncer": POOL}, {"pgbouncer": {**POOL, "pool_size": 9}}, {"pgbouncer"}),
        (
            {"metrics": {"exporter_image": "exporter:1"}},
            {"metrics": {"exporter_image": "exporter:2"}},
            {"statsd"},
        ),
    ],
)
def test_airflow_3(before: dict[str, Any], after: dict[str, Any], expected: set[str]) -> None:
    assert rolled(before, after, "3.3") == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"variables": {"a": "b"}}, {WEB, SCHEDULER, TRIGGERER, *WORKERS}),
        ({"registry": LOGIN}, {"registry": {**LOGIN, "password": "new"}}, set()),
    ],
)
def test_airflow_2(before: dict[str, Any], after: dict[str, Any], expected: set[str]) -> None:
    assert rolled(before, after, "2.11") == expected


def test_nothing_rolls_when_nothing_changes() -> None:
    assert rolled({}, {}, "3.3") == set()


def test_embedded_services_roll_with_nothing_but_their_own() -> None:
    after = {"environment": {"A": "b"}, "registry": LOGIN, "variables": {"a": "b"}}
    assert not rolled({}, after, "3.3") & {"postgresql", "redis"}
    assert rolled({}, {"database": {"image": "postgres:18"}}, "3.3") == {"postgresql"}


ROLLOUTS = {"rollout-webserver", "rollout-processes", "rollout-workloads"}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("astro_migrate_or_downgrade.py", {"release-job"}),
        ("release_job.py", {"release-job"}),
        ("astro_rollout_outcome.py", ROLLOUTS),
        ("astro_kubernetes_client.py", {"release-job", *ROLLOUTS}),
        ("worker_probe.py", WORKERS),
        ("heartbeat_probe.py", {TRIGGERER, DAGS}),
        ("airflow_start.py", AIRFLOW),
        ("airflow.cfg", {*AIRFLOW, "release-job"}),
        ("webserver_config.py", set()),  # of Airflow 2
    ],
)
def test_a_comment_in_a_file_rolls_only_what_reads_it(
    file: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"airflow_version": "3.3", "worker_queues": QUEUES}
    files = pod_files()
    old = pod_templates(deployed(given), "Deployment", "Job")
    changed = {**files, file: f"{files[file]}# a comment\n"}
    monkeypatch.setattr(
        "astro_pulumi.kubernetes.config_maps_and_secrets.pod_files", lambda: changed
    )
    new = pod_templates(deploy(arguments(**given)), "Deployment", "Job")
    assert {name for name in old if old[name] != new[name]} == expected
