"""DAG deploys: pods run an image without DAGs, and nothing in their specs changes with the DAGs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.airflow.mounted_pod_files import DAG_FILE_PATHS, DAG_FILES
from astro_pulumi.errors import ArgumentError
from astro_pulumi.pod_files.astro_shared_names import DAG_FILES_PATH
from astro_pulumi.project.astro_project import read_project
from astro_pulumi.validation import specify
from tests.mock_engine import RELEASE_JOB_FOUND, Program, deploy, write_project
from tests.specs import REPOSITORY, arguments

PODS, FULL = f"{REPOSITORY}@sha256:{'1' * 64}", f"{REPOSITORY}@sha256:{'2' * 64}"
KEY = "ASTRO_DAGS_KEY"
FOLLOWERS = ("dag-processor", "worker-default")
PROCESSES = ("webserver", "scheduler", "triggerer", *FOLLOWERS)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path / "project")
    return tmp_path


def given(**more: Any) -> Any:
    base: dict[str, Any] = {"image": None, "airflow_version": None, "dag_deploys": True}
    args = arguments(
        **{**base, "project": "project", "registry": {"repository": REPOSITORY}, **more}
    )
    return {key: value for key, value in args.items() if value is not None}


def deployed(pods: str = PODS, full: str = FULL, found: Any = (), **more: Any) -> Program:
    annotations = {"astro-pulumi/findings": json.dumps({**RELEASE_JOB_FOUND, **dict(found)})}
    known: dict[str, dict[str, Any]] = {
        "analytics-image": {"repoDigest": pods},
        "analytics-dags-image": {"repoDigest": full},
        "analytics-release-job": {"metadata": {"name": "job", "annotations": annotations}},
    }
    return deploy(given(**more), known=known)


def workloads(program: Program) -> dict[str, Any]:
    return {
        one.name: one.inputs["spec"]["template"]
        for one in program.kinds("Deployment")
        if one.type.startswith("kubernetes:")
    }


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container.get("env", [])}


def test_pods_run_the_image_without_dags_and_the_record_names_the_one_with_them() -> None:
    program = deployed(found={"dagVersion": "7-abc", "deploy": "dags"})
    for name in PROCESSES:
        assert program.get(f"analytics-{name}", "Deployment").container["image"] == PODS
    record = program.get("analytics-release", "ConfigMap").inputs["data"]
    assert record["image"] == FULL == program.result["image"]
    assert record["podsImage"] == PODS
    assert (record["dagVersion"], record["deploy"]) == ("7-abc", "dags")


def test_the_image_with_dags_is_built_on_the_one_that_pods_run(folder: Path) -> None:
    build = deployed().get("analytics-dags-image").inputs["build"]
    assert build["args"] == {"PODS_IMAGE": PODS}
    context = folder / build["context"]
    assert (
        "COPY --chown=50000:0 dags/ ${AIRFLOW_HOME}/dags/" in (context / "Dockerfile").read_text()
    )
    assert (context / "dags" / "hello.py").is_file()


def test_the_image_that_pods_run_has_an_empty_dags_folder(folder: Path) -> None:
    context = folder / deployed().get("analytics-image").inputs["build"]["context"]
    assert [path.name for path in (context / "dags").iterdir()] == [".astro-pulumi"]
    assert (context / "requirements.txt").is_file()


def test_a_changed_dag_builds_one_layer_and_changes_no_pod(folder: Path) -> None:
    before = deployed()
    (folder / "project" / "dags" / "hello.py").write_text("# another Airflow DAG\n")
    (folder / "project" / "dags" / "query.sql").write_text("SELECT 1")
    after = deployed(full=FULL.replace("2", "3"), found={"number": "8"})
    image = [one.get("analytics-image").inputs["imageName"] for one in (before, after)]
    assert image[0] == image[1]
    full = [one.get("analytics-dags-image").inputs["imageName"] for one in (before, after)]
    assert full[0] != full[1]
    assert workloads(before) == workloads(after)
    jobs = [one.get("analytics-release-job", "Job").pod for one in (before, after)]
    assert jobs[0] != jobs[1]


def test_a_change_in_include_builds_the_image_that_pods_run(folder: Path) -> None:
    before = deployed().get("analytics-image").inputs["imageName"]
    (folder / "project" / "include").mkdir()
    (folder / "project" / "include" / "helpers.py").write_text("ANSWER = 42\n")
    assert deployed().get("analytics-image").inputs["imageName"] != before


def test_the_title_of_the_pages_does_not_name_the_release() -> None:
    title = environment(deployed().get("analytics-webserver", "Deployment").container)
    assert title["AIRFLOW__API__INSTANCE_NAME"] == "analytics"


def key_of(program: Program, name: str = "dag-processor") -> str:
    return environment(program.get(f"analytics-{name}", "Deployment").container)[KEY]


def test_dag_processor_workers_and_release_job_have_the_same_key() -> None:
    program = deployed()
    job = environment(program.get("analytics-release-job", "Job").container)
    assert {key_of(program, name) for name in FOLLOWERS} == {job[KEY]}
    for name in set(PROCESSES) - set(FOLLOWERS):
        assert KEY not in environment(program.get(f"analytics-{name}", "Deployment").container)


@pytest.mark.parametrize(
    ("more", "is_same"),
    [
        ({}, True),
        ({"pods": PODS.replace("1", "4")}, False),
        ({"environment_from": [{"secret": "tokens"}]}, False),
        ({"variables_from": {"a": {"secret": "words", "key": "b"}}}, False),
        ({"worker_queues": [{"name": "default", "concurrency": 9}]}, True),
    ],
)
def test_processes_with_another_image_or_other_settings_have_another_key(
    more: dict[str, Any], is_same: bool
) -> None:
    assert (key_of(deployed()) == key_of(deployed(**more))) == is_same


def test_every_process_can_import_the_bundle() -> None:
    program = deployed()
    settings = program.get("analytics-settings").inputs["data"]
    assert json.loads(settings["ASTRO_DAG_BUNDLE"])[0]["name"] == "dags-folder"
    for name in PROCESSES:
        pod = program.get(f"analytics-{name}", "Deployment").pod
        mounts = pod["containers"][0]["volumeMounts"]
        volume = next(one["name"] for one in mounts if one["mountPath"] == DAG_FILES_PATH)
        config_map = next(one for one in pod["volumes"] if one["name"] == volume)["configMap"]
        paths = {item["key"]: item["path"] for item in config_map["items"]}
        assert paths.keys() == DAG_FILES.files
        assert paths.items() >= DAG_FILE_PATHS.items()


def test_only_the_dag_processor_reads_archives_from_the_database() -> None:
    program = deployed()
    readers = {
        name
        for name in PROCESSES
        if "ASTRO_DAGS_SOURCE"
        in environment(program.get(f"analytics-{name}", "Deployment").container)
    }
    assert readers == {"dag-processor"}


def test_the_release_job_packs_the_dags_of_the_image_that_has_them() -> None:
    job = deployed().get("analytics-release-job", "Job")
    assert job.container["image"] == PODS
    (pack,) = job.pod["initContainers"]
    assert pack["image"] == FULL
    assert pack["command"][-2:] == [
        f"{DAG_FILES_PATH}/dag_pack.py",
        "/run/astro-pulumi-dags/archive",
    ]
    assert pack["securityContext"]["readOnlyRootFilesystem"]


def test_without_dag_deploys_nothing_of_it_is_there() -> None:
    program = deployed(dag_deploys=False)
    assert [one.name for one in program.kinds("Image")] == ["analytics-image"]
    specs = [*workloads(program).values(), program.get("analytics-release-job", "Job").pod]
    assert not re.search(r"ASTRO_DAGS?_|dags", json.dumps(specs))
    assert "podsImage" not in program.get("analytics-release", "ConfigMap").inputs["data"]
    assert "analytics-files-dags" not in {one.name for one in program}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"project": None, "image": PODS, "airflow_version": "3.3"}, "needs `project`"),
        ({"airflow_version": "2.11"}, "needs Airflow 3"),
        ({"environment": {"AIRFLOW__CORE__DAGS_FOLDER": "/x"}}, "set by `dag_deploys`"),
        (
            {"secret_environment": {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": "[]"}},
            "set by `dag_deploys`",
        ),
    ],
)
def test_what_cannot_be_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        specify("analytics", given(**more))


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        ("ENV AIRFLOW__CORE__DAGS_FOLDER=/somewhere\n", "sets where Airflow finds DAGs"),
        ("COPY dags/requirements.txt ./\n", "Dockerfile:2: it copies dags/requirements.txt"),
        ("COPY --from=builder /src/dags ./dags\n", "brings DAGs from elsewhere"),
        ("COPY dags/ ./dags/\n", None),
        ("COPY dags ./dags\n", None),
    ],
)
def test_a_dockerfile_that_needs_dags_in_the_build_is_refused(
    folder: Path, dockerfile: str, message: str | None
) -> None:
    (folder / "project" / "dags" / "requirements.txt").touch()
    file = folder / "project" / "Dockerfile"
    file.write_text(file.read_text() + dockerfile)
    if message is None:
        specify("analytics", given())
        return
    with pytest.raises(ArgumentError, match=message):
        specify("analytics", given())


def test_a_link_into_dags_is_refused(folder: Path) -> None:
    (folder / "project" / "include").mkdir()
    (folder / "project" / "include" / "dag.py").symlink_to("../dags/hello.py")
    assert "include/dag.py" in str(read_project(folder / "project").no_dag_deploys)


def test_a_rollback_runs_the_image_that_pods_of_the_release_ran() -> None:
    releases = {"3": {"image": FULL.partition("@")[2]}, "4": {"image": "sha256:4"}}
    known: dict[str, dict[str, Any]] = {
        "analytics-releases": {
            "metadata": {
                "annotations": {
                    "astro-pulumi/release": "4",
                    "astro-pulumi/releases": json.dumps(releases),
                }
            }
        },
        "analytics-restored-release": {
            "metadata": {"name": "analytics-release-3"},
            "data": {
                "number": "3",
                "image": FULL,
                "podsImage": PODS,
                "airflowVersion": "3.3.2",
                "configuration": json.dumps({"dag_deploys": True}),
            },
        },
    }
    program = deploy(
        given(namespace="data", rollback_to="3"),
        known=known,
    )
    assert not program.kinds("Image")
    assert program.get("analytics-webserver", "Deployment").container["image"] == PODS
    (pack,) = program.get("analytics-release-job", "Job").pod["initContainers"]
    assert pack["image"] == FULL
