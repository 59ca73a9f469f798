"""The way back to an older Airflow, without a database: what is decided, what is stopped and when."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.release.fake_cluster import FakeCluster
from tests.unit.release.pod_file import load

downgrade = load("astro_migrate_or_downgrade")
workloads = load("astro_stop_database_clients")
ReleaseRefusedError = load("astro_termination_message").ReleaseRefusedError

LABELS = {"app.kubernetes.io/name": "airflow", "app.kubernetes.io/instance": "analytics"}


def workload(
    component: str, replicas: int = 1, image: str = "new", **annotations: str
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"analytics-{component}",
            "labels": {**LABELS, "app.kubernetes.io/component": component},
            "annotations": annotations,
            "resourceVersion": "1",
            "managedFields": [
                {
                    "manager": "pulumi",
                    "operation": "Apply",
                    "fieldsV1": {"f:spec": {"f:replicas": {}}},
                },
                {"manager": workloads.MANAGER, "operation": "Update"},
            ],
        },
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"containers": [{"name": "airflow", "image": image}]}},
        },
    }


def knows(*revisions: str) -> Any:
    return lambda name, revision: revision in revisions


def test_providers_go_back_before_airflow_itself() -> None:
    steps = downgrade.downgrade_steps(
        {"core": "h33", "fab": "f2"},
        {"core": "h32", "fab": "f1"},
        {"core": "h33", "fab": "f2"},
        knows("h33", "h32", "f2", "f1"),
        "3.3.2",
    )
    assert steps == [("fab", "f1"), ("core", "h32")]


def test_what_a_killed_downgrade_has_done_is_not_done_again() -> None:
    steps = downgrade.downgrade_steps(
        {"core": "h33", "fab": "f1"},
        {"core": "h32", "fab": "f1"},
        {"core": "h33", "fab": "f2"},
        knows("h33", "h32", "f1"),
        "3.3.2",
    )
    assert steps == [("core", "h32")]


@pytest.mark.parametrize("known", [("h33",), ("h32",)])
def test_an_image_that_does_not_know_both_ends_refuses(known: tuple[str, ...]) -> None:
    with pytest.raises(ReleaseRefusedError, match="Nothing was changed"):
        downgrade.downgrade_steps(
            {"core": "h33"}, {"core": "h32"}, {"core": "h33"}, knows(*known), "3.3.2"
        )


def test_airflow_2_keeps_its_users_among_its_own_tables() -> None:
    steps = downgrade.downgrade_steps(
        {"core": "h30", "fab": "f1"},
        {"core": "h211"},
        {"core": "h30", "fab": "f1"},
        knows("h30", "h211", "f1"),
        "3.0.6",
    )
    assert steps == [("core", "h211")]


@pytest.mark.parametrize(
    ("version", "target", "triggers"),
    [("3.3.2", "3.2.2", 5), ("3.3.2", "2.11.2", 0), ("3.0.5", "2.10.5", 5), ("2.11.2", "2.9.3", 5)],
)
def test_what_airflow_can_take_back(version: str, target: str, triggers: int) -> None:
    downgrade.refuse_unsafe_downgrade(version, target, triggers)


@pytest.mark.parametrize(
    ("version", "target", "triggers", "says"),
    [
        ("3.0.4", "2.11.2", 0, "3.0.5 and later can"),
        ("3.3.2", "3.1.8", 1, "1 deferred task waits for a trigger that Airflow 3.1.8 could not"),
        ("3.2.0", "2.11.2", 7, "7 deferred tasks wait"),
    ],
)
def test_what_airflow_cannot_take_back_is_refused(
    version: str, target: str, triggers: int, says: str
) -> None:
    with pytest.raises(ReleaseRefusedError, match=says):
        downgrade.refuse_unsafe_downgrade(version, target, triggers)


def test_the_webserver_stops_last_since_running_tasks_report_to_it() -> None:
    cluster = FakeCluster(
        apps_deployments=[
            workload(component)
            for component in ("webserver", "scheduler", "triggerer", "dag-processor", "worker")
        ]
    )
    workloads.stop_all(cluster, "analytics", lambda text: None)
    patched = [name for method, _, name in cluster.requests if method == "PATCH"]
    assert patched[-1] == "analytics-webserver"
    assert {one["spec"]["replicas"] for one in cluster.objects["apps/deployments"].values()} == {0}


def test_stopping_leaves_no_manager_that_the_engine_would_conflict_with() -> None:
    cluster = FakeCluster(apps_deployments=[workload("scheduler")])
    workloads.stop_all(cluster, "analytics", lambda text: None)
    stopped = cluster.objects["apps/deployments"]["analytics-scheduler"]
    assert [entry["manager"] for entry in stopped["metadata"]["managedFields"]] == ["pulumi"]


def test_only_what_the_engine_will_not_touch_is_started_again() -> None:
    same = workload("scheduler", 0, "new", **{workloads.STOPPED: "2"})
    other = workload("webserver", 0, "old", **{workloads.STOPPED: "1"})
    autoscaled = workload("worker", 0, "old", **{workloads.STOPPED: "4 autoscaled"})
    cluster = FakeCluster(apps_deployments=[same, other, autoscaled])
    started = workloads.start_again(cluster, "analytics", lambda w: workloads.image(w) == "new")
    replicas = {
        name: one["spec"]["replicas"] for name, one in cluster.objects["apps/deployments"].items()
    }
    assert sorted(started) == ["analytics-scheduler", "analytics-worker"]
    assert replicas == {
        "analytics-scheduler": 2,
        "analytics-webserver": 0,
        "analytics-worker": 4,
    }


def test_a_mark_is_taken_away_from_what_the_engine_has_brought_up() -> None:
    cluster = FakeCluster(
        apps_deployments=[workload("scheduler", 1, "new", **{workloads.STOPPED: "1"})]
    )
    assert workloads.start_again(cluster, "analytics", lambda w: True) == []
    up = cluster.objects["apps/deployments"]["analytics-scheduler"]
    assert workloads.STOPPED not in up["metadata"]["annotations"]
    assert up["spec"]["replicas"] == 1


def test_the_job_that_downgrades_is_the_release_job_in_another_image() -> None:
    own = {
        "metadata": {"name": "analytics-release-job-1", "uid": "u"},
        "spec": {
            "activeDeadlineSeconds": 60,
            "template": {
                "metadata": {
                    "labels": {
                        **LABELS,
                        "azure.workload.identity/use": "true",
                        "job-name": "analytics-release-job-1",
                        "batch.kubernetes.io/controller-uid": "u",
                    },
                    "annotations": {"sidecar.istio.io/inject": "false"},
                },
                "spec": {
                    "containers": [
                        {"name": "proxy", "image": "proxy:1"},
                        {"name": "airflow", "image": "old", "env": [{"name": "A", "value": "1"}]},
                    ]
                },
            },
        },
    }
    job = downgrade.downgrade_job("analytics", own, "new", {"core": "h32"}, "3.2.2")
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "new"
    assert {e["name"]: e["value"] for e in container["env"]} == {
        "A": "1",
        "ASTRO_DOWNGRADES_FOR": "analytics-release-job-1",
        "ASTRO_HEADS": '{"core": "h32"}',
        "ASTRO_TARGET_AIRFLOW": "3.2.2",
    }
    assert job["metadata"]["ownerReferences"][0]["name"] == "analytics-release-job-1"
    assert job["spec"]["template"]["metadata"] == {
        "labels": {**LABELS, "azure.workload.identity/use": "true"},
        "annotations": {"sidecar.istio.io/inject": "false"},
    }


class FakeDatabase:
    """What `put_moved_runs_aside` needs of Airflow's session and of SQLAlchemy."""

    def __init__(self, *tables: str) -> None:
        self.tables = set(tables)
        self.executed: list[str] = []

    def __enter__(self) -> "FakeDatabase":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def connection(self) -> "FakeDatabase":
        return self

    def has_table(self, name: str) -> bool:
        return name in self.tables

    def execute(self, statement: str) -> None:
        self.executed.append(statement)

    def commit(self) -> None:
        self.executed.append("COMMIT")


def put_moved_runs_aside(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> str | None:
    settings = SimpleNamespace(Session=lambda: database)
    sqlalchemy = SimpleNamespace(inspect=lambda connection: connection, text=str)
    monkeypatch.setitem(sys.modules, "airflow", SimpleNamespace(settings=settings))
    monkeypatch.setitem(sys.modules, "airflow.settings", settings)
    monkeypatch.setitem(sys.modules, "sqlalchemy", sqlalchemy)
    aside: str | None = load("astro_migrate_or_downgrade").put_moved_runs_aside()
    return aside


def test_a_second_way_back_to_airflow_2_finds_no_table_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = "_airflow_moved__3_0_0__offending_dag_run"
    database = FakeDatabase(table)
    aside = put_moved_runs_aside(database, monkeypatch)
    assert database.executed == [f"ALTER TABLE {table} RENAME TO {aside}", "COMMIT"]
    assert aside is not None
    assert len(aside) <= 63, "PostgreSQL's longest name"
    fresh = FakeDatabase("dag_run")
    assert put_moved_runs_aside(fresh, monkeypatch) is None
    assert fresh.executed == []
