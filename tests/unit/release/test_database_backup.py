"""The dump of the embedded PostgreSQL before a downgrade."""

from typing import Any

import pytest

from tests.mock_engine import Program, deploy
from tests.unit.release.fake_cluster import FakeCluster
from tests.unit.release.pod_file import load

backup = load("astro_database_backup")
ReleaseRefusedError = load("astro_termination_message").ReleaseRefusedError

IMAGE = "ghcr.io/acme/analytics@sha256:" + "0" * 64
OWN_JOB = {
    "metadata": {
        "name": "analytics-downgrade-1",
        "uid": "u",
    },
    "spec": {
        "activeDeadlineSeconds": 60,
        "template": {"metadata": {"labels": {"app.kubernetes.io/component": "release-job"}}},
    },
}


@pytest.fixture(scope="module")
def program() -> Program:
    return deploy(
        {
            "image": IMAGE,
            "airflow_version": "3.3",
            "database": {"backup_before_downgrade": True, "storage_size": "3Gi"},
        }
    )


def cluster_of(program: Program, ended: str, made: list[Any], message: str = "") -> FakeCluster:
    """Where every Job ends at once. `made` are their manifests."""
    server = program.get("analytics-postgresql", "StatefulSet").inputs
    cluster = FakeCluster(
        apps_statefulsets=[server],
        batch_jobs=[OWN_JOB],
        configmaps=[
            {
                "metadata": {
                    "name": "analytics-release",
                    "annotations": {"astro-pulumi/release": "4"},
                }
            }
        ],
    )
    answer = cluster.request

    def ends(method: str, resource: str, name: str = "", body: Any = None, **more: Any) -> Any:
        if method == "POST":
            condition = {"type": ended, "status": "True"}
            made.append(body)
            body = {**body, "status": {"conditions": [condition]}}
            terminated = {"state": {"terminated": {"message": message}}}
            cluster.objects["pods"] = {
                "p": {
                    "metadata": {"labels": {"job-name": "analytics-backup-abcde"}},
                    "status": {"containerStatuses": [terminated]},
                }
            }
        return answer(method, resource, name, body, **more)

    cluster.request = ends  # type: ignore[method-assign]
    return cluster


def test_the_dump_is_made_by_a_pod_like_the_databases_own(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASTRO_JOB", "analytics-downgrade-1")
    made: list[Any] = []
    cluster = cluster_of(program, "Complete", made)
    said: list[str] = []
    backup.dump(cluster, "analytics", "analytics-backups", said.append)
    (job,) = made
    assert "analytics-backup-abcde" not in cluster.objects["batch/jobs"], "it holds the volume"
    pod = job["spec"]["template"]["spec"]
    server = program.get("analytics-postgresql", "StatefulSet")
    assert pod["containers"][0]["image"] == server.container["image"]
    assert pod["containers"][0]["args"][-1].startswith("/backups/release-4-")
    assert pod["securityContext"] == server.pod["securityContext"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["backups"]["persistentVolumeClaim"]["claimName"] == "analytics-backups"
    mounts = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert "data" not in mounts
    assert mounts <= set(volumes)
    assert "readinessProbe" not in pod["containers"][0]
    assert said[0].startswith("writing /backups/release-4-")


def test_a_dump_that_fails_refuses_the_downgrade_with_its_words(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASTRO_JOB", "analytics-downgrade-1")
    cluster = cluster_of(program, "Failed", [], "pg_dump: error: No space left on device")
    with pytest.raises(ReleaseRefusedError, match="not downgraded: pg_dump: error: No space left"):
        backup.dump(cluster, "analytics", "analytics-backups", lambda _: None)


def test_the_volume_is_declared_and_the_job_knows_it(program: Program) -> None:
    claim = program.get("analytics-backups", "PersistentVolumeClaim").inputs
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi"
    environment = {e["name"]: e.get("value") for e in program.kinds("Job")[0].container["env"]}
    assert environment["ASTRO_BACKUP_CLAIM"] == "analytics-backups"
    rules = program.get("analytics-release-job-role").inputs["rules"]
    assert {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get"]} in rules


def test_by_default_there_is_no_volume_and_no_right() -> None:
    program = deploy({"image": IMAGE, "airflow_version": "3.3"})
    assert program.kinds("PersistentVolumeClaim") == []
    rules = program.get("analytics-release-job-role").inputs["rules"]
    assert not any("statefulsets" in rule["resources"] for rule in rules)
