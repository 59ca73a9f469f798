"""The watches of a roll-out as a Deployment declares them."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

import astro_pulumi
from astro_pulumi.release.rollout_job import INPUTS, inputs_hash, secret_volumes
from tests.mock_engine import Program, Resource, Secret, deploy, run
from tests.specs import IMAGE, arguments, everything
from tests.unit.component.test_rolls import POOL, QUEUES, deployed
from tests.unit.release.pod_file import load

STAGES = ("webserver", "processes", "workloads")


def watch(program: Program, stage: str) -> Resource:
    return program.get(f"analytics-rollout-{stage}", "Job")


def fingerprint(job: Resource) -> Any:
    return job.inputs["spec"]["template"]["metadata"]["annotations"][INPUTS]


def environment(job: Resource) -> dict[str, Any]:
    return {one["name"]: one["value"] for one in job.container["env"]}


@pytest.fixture(scope="module")
def program() -> Program:
    return deploy(everything())


@pytest.mark.parametrize(
    ("stage", "names"),
    [
        ("pgbouncer", ["pgbouncer"]),
        ("webserver", ["webserver"]),
        ("processes", ["scheduler", "triggerer", "dag-processor"]),
        (
            "workloads",
            [
                *("webserver", "scheduler", "triggerer", "dag-processor"),
                *("worker-default", "worker-heavy"),
            ],
        ),
    ],
)
def test_each_stage_watches_its_workloads(program: Program, stage: str, names: list[str]) -> None:
    watched = json.loads(environment(watch(program, stage))["ASTRO_WORKLOADS"])
    assert watched == [f"analytics-{name}" for name in names]
    for name in watched:
        workload = program.get(name, "Deployment")
        assert workload.inputs["metadata"]["name"] == name
        awaited = workload.inputs["metadata"]["annotations"]["pulumi.com/waitFor"]
        assert awaited == "condition=Progressing"
        assert "pulumi.com/skipAwait" not in workload.inputs["metadata"]["annotations"]


def test_it_ends_by_itself_before_anybody_ends_it() -> None:
    job = watch(deploy(arguments(timeouts={"rollout": 900})), "webserver")
    of_script = int(environment(job)["ASTRO_ROLLOUT_TIMEOUT"])
    of_pod, of_job = job.pod["activeDeadlineSeconds"], job.inputs["spec"]["activeDeadlineSeconds"]
    annotations = job.inputs["metadata"]["annotations"]
    assert 900 == of_script < of_pod < of_job < int(annotations["pulumi.com/timeoutSeconds"])
    assert annotations["pulumi.com/replaceUnready"] == "true"
    assert job.container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert job.inputs["spec"]["backoffLimit"] == 0
    assert "name" not in job.inputs["metadata"], "a new one each time"


def test_it_runs_in_the_new_image_where_airflow_may_run(program: Program) -> None:
    job = watch(program, "webserver")
    assert job.container["image"] == IMAGE
    assert job.pod["priorityClassName"] == "high"
    script = Path(job.container["command"][-1])
    assert (Path(astro_pulumi.__file__).parent / "pod_files" / script.name).exists()
    assert "envFrom" not in job.container, "no setting of Airflow, and no secret in its environment"


def test_it_may_read_what_it_judges_by_and_nothing_else(program: Program) -> None:
    rules = {
        (resource, verb)
        for rule in program.get("analytics-rollout-role").inputs["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert rules == {
        ("deployments", "get"),
        ("deployments", "list"),
        ("pods", "get"),
        ("pods", "list"),
        ("pods/log", "get"),
        ("events", "list"),
    }
    binding = program.get("analytics-rollout-rolebinding").inputs
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "analytics-rollout"}]
    assert watch(program, "webserver").pod["serviceAccountName"] == "analytics-rollout"


def mounted(program: Program, stage: str) -> set[str]:
    sources = [
        source["secret"]
        for volume in watch(program, stage).pod["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
    ]
    assert all(source["optional"] for source in sources), "what is missing is to be said"
    return {source["name"] for source in sources}


@pytest.mark.parametrize("stage", ["pgbouncer", *STAGES])
def test_it_knows_every_secret_that_its_workloads_read(program: Program, stage: str) -> None:
    job = watch(program, stage)
    read = set()
    for name in json.loads(environment(job)["ASTRO_WORKLOADS"]):
        text = json.dumps(program.get(name, "Deployment").inputs)
        read |= {s.object_name for s in program.kinds("Secret") if s.object_name in text}
    assert read
    assert read <= mounted(program, stage)
    assert {"analytics-jwt-abc123", "analytics-admin-abc123"} <= mounted(program, stage)
    mounts = {m["name"]: m for m in job.container["volumeMounts"]}
    for volume in job.pod["volumes"]:
        if "projected" in volume:
            assert mounts[volume["name"]]["mountPath"].startswith("/run/secrets/rollout/")
            assert mounts[volume["name"]]["readOnly"] is True
    assert "analytics-registry-abc123" not in mounted(program, stage), "a login restarts nothing"


def watches(given: dict[str, Any]) -> dict[str, Any]:
    program = deployed({"airflow_version": "3.3", "worker_queues": QUEUES, **given})
    jobs = [r for r in program.kinds("Job") if "-rollout-" in r.name]
    return {job.name.removeprefix("analytics-rollout-"): job.inputs for job in jobs}


LOGIN = {"repository": "a.b/c", "username": "u", "password": "old"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"image": IMAGE.replace("0" * 64, "1" * 64)}, set(STAGES)),
        (
            {},
            {"scheduler": {"resources": {"limits": {"memory": "3Gi"}}}},
            set(STAGES),
        ),
        ({}, {"webserver": {"replicas": 2}}, set(STAGES)),
        ({}, {"worker_queues": [*QUEUES, {"name": "new"}]}, set(STAGES)),
        ({}, {"worker_queues": QUEUES[:1]}, set(STAGES)),
        ({}, {"history_limit": 9}, set()),
        ({}, {"service": {"type": "NodePort"}}, set()),
        ({}, {"network_policies": {"enabled": False}}, set()),
        # The token of a CI run, which is another one each time.
        ({"registry": LOGIN}, {"registry": {**LOGIN, "password": "new"}}, set()),
        (
            {"pgbouncer": POOL},
            {"pgbouncer": {**POOL, "resources": {"limits": {"cpu": "2"}}}},
            {"pgbouncer"},
        ),
        # How far an autoscaler may go is no input of the workload; with many slots it is of the scheduler.
        (
            {"worker_queues": [{"name": "default", "max_count": 5}]},
            {"worker_queues": [{"name": "default", "max_count": 6}]},
            set(),
        ),
        (
            {"worker_queues": [{"name": "default", "max_count": 6}]},
            {"worker_queues": [{"name": "default", "max_count": 9}]},
            set(STAGES),
        ),
    ],
)
def test_the_job_is_another_one_exactly_when_an_input_of_its_workloads_is(
    before: dict[str, Any], after: dict[str, Any], expected: set[str]
) -> None:
    old, new = watches(before), watches(after)
    assert {stage for stage in new if old[stage] != new[stage]} == expected


def hashed(manifests: list[dict[str, Any]]) -> Any:
    """The fingerprint, as a resource that is given it has it."""

    def program() -> None:
        pulumi.CustomResource("a:b:C", "c", {"hash": inputs_hash(manifests)})

    return run(program).get("c").inputs["hash"]


def test_the_fingerprint_is_the_same_whether_a_value_is_an_output_or_not() -> None:
    plain: dict[str, Any] = {"a": [{"b": "x"}, "y"], "c": {"d": "x"}}
    outputs: dict[str, Any] = {
        "c": {"d": pulumi.Output.from_input("x")},
        "a": [{"b": pulumi.Output.from_input("x")}, pulumi.Output.from_input("y")],
    }
    assert hashed([plain]) == hashed([outputs])
    assert hashed([plain]) != hashed([{**plain, "c": {"d": "z"}}])


def test_the_fingerprint_of_a_secret_is_none() -> None:
    """A preview says that it changes, and not how; the Job's template would be a secret as a whole."""
    assert not isinstance(hashed([{"a": pulumi.Output.secret("x")}]), Secret)
    assert hashed([{"a": pulumi.Output.secret("x")}]) == hashed([{"a": "x"}])


def test_in_a_preview_of_a_new_image_the_fingerprint_is_unknown() -> None:
    from tests.mock_engine import UNKNOWN

    image = pulumi.Output.from_input(pulumi.UNKNOWN)
    planned = deploy(arguments(image=image), preview=True)
    assert fingerprint(watch(planned, "webserver")) == UNKNOWN


def test_the_script_imports_neither_airflow_nor_packages() -> None:
    """It has to start fast, and without what the user has installed."""
    before = set(sys.modules)
    load("rollout_job")
    assert not {"airflow", "kubernetes", "pulumi"} & (set(sys.modules) - before)


def test_two_secrets_may_be_read_under_one_name() -> None:
    """As with a patch of the pod's template, which gives two workloads a variable each."""

    def workload(secret: str) -> dict[str, Any]:
        reference = {"name": secret, "key": "token"}
        variable = {"name": "TOKEN", "valueFrom": {"secretKeyRef": reference}}
        container = {"name": "a", "env": [variable, variable]}
        return {"spec": {"template": {"spec": {"containers": [container]}}}}

    environment: Any = SimpleNamespace(secrets={})
    volumes = secret_volumes(environment, [workload("one"), workload("two")])
    files = [(s["secret"]["name"], s["secret"]["items"][0]["path"]) for s in volumes["keys"]]
    assert files == [("one", "0-TOKEN"), ("two", "1-TOKEN")]
