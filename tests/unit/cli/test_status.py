"""What `astro-pulumi status` shows."""

from dataclasses import replace

import pytest

from astro_pulumi.cli import history
from astro_pulumi.cli.status import DagVersions, Draining, Process, Status, dag_lines, show
from astro_pulumi.release.release_records import Release

DIGEST = "sha256:" + "ab" * 32


def test_a_log_has_the_whole_reason_of_what_does_not_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    problem = "crashes: exit code 1: ModuleNotFoundError: No module named 'a_module_nobody_has'"
    process = Process("analytics-scheduler", "scheduler", 0, 1, 2, (DIGEST,), problem)
    show(Status("analytics", "prod", "3.3.2", 7, DIGEST, (process,), (), {"default": 3}))
    said = capsys.readouterr().out
    assert problem in said
    assert "queue default: 3 tasks waiting" in said
    assert said.endswith("not healthy\n")


def test_workers_that_drain_are_named_with_their_end(capsys: pytest.CaptureFixture[str]) -> None:
    worker = Draining("analytics-worker-default-7d7b", "worker", "2000-01-01T00:00:00Z")
    show(Status("analytics", "prod", "3.3.2", 7, DIGEST, (), (worker,), None))
    assert "analytics-worker-default-7d7b is draining, until" in capsys.readouterr().out


def test_nothing_is_healthy_beside_a_pod_that_crashes() -> None:
    """The old pod still serves, and is ready, while the new one crashes."""

    def status(problem: str | None) -> Status:
        process = Process("a-scheduler", "scheduler", 1, 1, 5, (DIGEST,), problem)
        return Status("analytics", "prod", "3.3.2", 7, DIGEST, (process,), (), None)

    assert status(None).healthy
    assert not status("crashes: exit code 137, OOMKilled").healthy


def test_a_queue_without_workers_is_healthy_and_a_webserver_without_pods_is_not() -> None:
    def status(component: str) -> Status:
        process = Process(f"a-{component}", component, 0, 0, 0, (), None)
        return Status("analytics", "prod", "3.3.2", 7, DIGEST, (process,), (), None)

    assert status("worker").healthy
    assert not status("webserver").healthy


@pytest.mark.parametrize(
    ("deploy", "dags", "expected"),
    [
        (None, None, []),
        ("dags", DagVersions("12-a", "12-a", {}), ["DAGs: version 12-a, by the last DAG deploy"]),
        (
            "image",
            DagVersions("12-a", "11-b", {"11-b": 1, "": 2}),
            [
                "DAGs: version 12-a, by the last image deploy, the dag-processor has 11-b",
                "2 DAG runs are without a version",
                "1 DAG run is still on version 11-b",
            ],
        ),
    ],
)
def test_versions_of_dags_are_shown(
    deploy: str | None, dags: DagVersions | None, expected: list[str]
) -> None:
    status = Status("analytics", "prod", "3.3.2", 12, DIGEST, (), (), None, deploy, dags)
    assert list(dag_lines(status)) == expected


def test_the_history_shows_kinds_of_deploys_only_with_dag_deploys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    plain = Release(1, "ghcr.io/acme/analytics@" + DIGEST, "3.3.2")
    history.show([plain], 1)
    assert "Deploy " not in capsys.readouterr().out
    history.show([replace(plain, number=2, deploy="dags", dag_version="2-abc"), plain], 2)
    said = capsys.readouterr().out
    assert "dags" in said
    assert "2-abc" in said
