"""What a Deployment registers with the engine: its children, their order, and where secrets go."""

import json
from contextlib import chdir

import pytest

from tests.mock_engine import Program, Secret, deploy, write_project

BUILT = "ghcr.io/acme/analytics@sha256:" + "0" * 64


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The Deployment of a project, with a login and a secret of its own."""
    folder = tmp_path_factory.mktemp("program")
    with chdir(folder):
        return deploy(
            {
                "project": write_project(folder / "project"),
                "registry": {
                    "repository": "ghcr.io/acme/analytics",
                    "username": "acme",
                    "password": "hunter2",
                },
                "secret_environment": {"TOKEN": "s3cret"},
            }
        )


def test_every_child_belongs_to_the_component(program: Program) -> None:
    component, *children = program.resources
    assert component.type == "astro:index:Deployment"
    assert {child.parent for child in children} == {"analytics"}


def test_everything_is_in_the_namespace_that_was_made(program: Program) -> None:
    for child in program:
        if child.type.startswith("kubernetes:") and child.kind != "Namespace":
            assert child.inputs["metadata"]["namespace"] == "analytics-x7k2m9qa", child.name


def test_every_airflow_pod_runs_the_image_just_pushed(program: Program) -> None:
    workloads = [*program.kinds("Deployment")[1:], *program.kinds("Job")]
    assert {workload.container["image"] for workload in workloads} == {BUILT}
    assert program.result["image"] == BUILT


def test_the_release_job_waits_for_the_database(program: Program) -> None:
    assert "analytics-postgresql" in program.get("analytics-release-job", "Job").dependencies


def test_no_workload_starts_before_the_release_job_is_done(program: Program) -> None:
    for workload in program.kinds("Deployment")[1:]:
        assert "analytics-release-job" in workload.dependencies, workload.name


def test_the_release_is_recorded_after_every_workload_and_kept_for_good(program: Program) -> None:
    record = program.get("analytics-release")
    workloads = {workload.name for workload in program.kinds("Deployment")[1:]}
    assert workloads <= record.dependencies
    assert record.retain_on_delete
    assert record.inputs["immutable"] is True


def test_secrets_are_only_in_secrets(program: Program) -> None:
    values = ["hunter2", "s3cret", "password-of-"]
    for child in program:
        open_text = json.dumps(
            {key: value for key, value in child.inputs.items() if key != "stringData"}
        )
        if child.kind in ("Image", "RandomPassword"):
            continue
        assert not any(value in open_text for value in values), child.name


def test_every_value_of_a_secret_is_marked_secret(program: Program) -> None:
    for child in program.kinds("Secret"):
        for key, value in child.inputs["stringData"].items():
            assert isinstance(value, Secret), f"{child.name} {key}"


def test_passwords_depend_on_nothing_that_a_deploy_changes(program: Program) -> None:
    for password in program.kinds("RandomPassword"):
        if password.name != "analytics-database-kind":
            assert password.inputs == {"length": 48, "special": False}
        assert not password.dependencies


def test_the_pull_secret_carries_the_login(program: Program) -> None:
    secret = program.get("analytics-registry")
    config = json.loads(secret.inputs["stringData"][".dockerconfigjson"])
    assert config["auths"]["ghcr.io"]["username"] == "acme"
    for account in program.kinds("ServiceAccount"):
        assert account.inputs["imagePullSecrets"] == [{"name": "analytics-registry-abc123"}]


def test_every_pod_is_pulled_with_the_login_of_its_service_account(program: Program) -> None:
    accounts = {account.object_name for account in program.kinds("ServiceAccount")}
    pods = [r for kind in ("Deployment", "StatefulSet", "Job") for r in program.kinds(kind)][1:]
    for workload in pods:
        assert workload.pod["serviceAccountName"] in accounts, workload.name
        assert "imagePullSecrets" not in workload.pod


def test_with_a_built_image_docker_is_not_needed() -> None:
    program = deploy({"image": BUILT, "airflow_version": "3.1"})
    assert not program.kinds("Image")
    assert program.get("analytics-scheduler", "Deployment").container["image"] == BUILT


def test_the_name_of_the_namespace_is_kept_before_it_is_made(program: Program) -> None:
    """So that a deploy that was killed finds it again."""
    namespace = program.get("analytics", "Namespace")
    suffix = program.get("analytics-namespace-suffix")
    assert suffix.inputs == {"length": 8, "upper": False, "special": False}
    assert suffix.kind == "RandomString", "no secret"
    assert "analytics-namespace-suffix" in namespace.dependencies
    assert namespace.inputs["metadata"]["name"] == "analytics-x7k2m9qa"


def test_an_existing_namespace_is_used() -> None:
    program = deploy({"image": BUILT, "airflow_version": "3.1", "namespace": "data"})
    assert not program.kinds("Namespace")
    assert not [r for r in program.kinds("RandomString") if "namespace" in r.name]
    assert (
        program.get("analytics-scheduler", "Deployment").inputs["metadata"]["namespace"] == "data"
    )
    assert program.result["namespace"] == "data"
