"""Which Deployment a command means, for users who may look into every namespace and for those who may not."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from astro_pulumi.cli import deploy, deployments, logs
from astro_pulumi.cli.deployments import Deployed, InStack
from astro_pulumi.embedded.project import find_project
from astro_pulumi.embedded.providers.kubernetes.client import ApiError, Cluster
from astro_pulumi.errors import ArgumentError
from astro_pulumi.release.ledger import AIRFLOW_VERSION, NUMBER


class FakeCluster:
    """Deployments by (namespace, name), and who may see them."""

    def __init__(self, *found: tuple[str, str], lists_all: bool = True) -> None:
        self.found = found
        self.lists_all = lists_all

    def get(self, path: str, **query: str) -> dict[str, Any]:
        del query
        namespace = path.split("/")[4] if "/namespaces/" in path else None
        if namespace is None and not self.lists_all:
            raise ApiError(403, {"message": "configmaps is forbidden"}, "list")
        return {
            "items": [
                {
                    "metadata": {
                        "namespace": where,
                        "labels": {"app.kubernetes.io/instance": name},
                        "annotations": {NUMBER: "3", AIRFLOW_VERSION: "3.3.2"},
                    }
                }
                for where, name in self.found
                if namespace in (None, where)
            ]
        }


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Any:
    def find_in(
        cluster: FakeCluster,
        here: Sequence[InStack] = (),
        name: str | None = None,
        namespace: str | None = None,
        stack: str | None = None,
    ) -> str:
        monkeypatch.setattr(deployments, "connect", lambda *_: cluster)
        monkeypatch.setattr(deployments, "in_stack_here", lambda _: list(here))
        monkeypatch.setattr(deployments, "is_terminal", lambda: False)
        found = deployments.find(name, namespace, None, stack)
        return f"{found.namespace}/{found.name}"

    return find_in


OURS, OTHERS = ("dev-1a2b", "analytics"), ("prod", "analytics")


def test_that_of_the_stack_here_is_meant(find: Any) -> None:
    here = [InStack("analytics", "dev-1a2b")]
    assert find(FakeCluster(OURS, OTHERS), here) == "dev-1a2b/analytics"


def test_who_may_not_list_all_namespaces_finds_that_of_the_stack(find: Any) -> None:
    here = [InStack("analytics", "dev-1a2b")]
    cluster = FakeCluster(OURS, OTHERS, lists_all=False)
    assert find(cluster, here) == "dev-1a2b/analytics"
    with pytest.raises(ArgumentError, match="--namespace: is required"):
        find(cluster)
    assert find(cluster, namespace="prod") == "prod/analytics"


def test_a_stack_that_was_named_does_not_stand_for_another_deployment(find: Any) -> None:
    here = [InStack("analytics", None)]
    with pytest.raises(ArgumentError, match="dev has no Deployment that was ever deployed"):
        find(FakeCluster(OTHERS), here, stack="dev")
    assert find(FakeCluster(OTHERS), here) == "prod/analytics"


def test_of_several_one_has_to_be_named(find: Any) -> None:
    with pytest.raises(ArgumentError, match=r"There are: analytics in dev-1a2b, analytics in prod"):
        find(FakeCluster(OURS, OTHERS))
    assert find(FakeCluster(OURS, ("prod", "reports")), name="reports") == "prod/reports"


@pytest.fixture
def two_stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    known = {"dev": [InStack("analytics", "dev-1a2b")], "prod": [InStack("reports", None)]}
    monkeypatch.setattr(deploy, "stacks", lambda _: list(known))
    monkeypatch.setattr(deploy, "in_stack", lambda _, stack: known[stack])
    return find_project(tmp_path)


def test_deploy_takes_the_name_of_a_deployment_or_of_a_stack(two_stacks: Any) -> None:
    assert deploy._choose_stack(two_stacks, "reports", None) == "prod"
    assert deploy._choose_stack(two_stacks, "dev", None) == "dev"


def test_without_a_terminal_deploy_lists_the_choices(two_stacks: Any) -> None:
    with pytest.raises(ArgumentError, match=r"which Deployment\? .*dev \(analytics\); prod \(repo"):
        deploy._choose_stack(two_stacks, None, None)
    with pytest.raises(ArgumentError, match=r"no stack has a Deployment 'x'. dev \(analytics\)"):
        deploy._choose_stack(two_stacks, "x", None)


def test_in_a_terminal_deploy_asks_and_tells_what_runs(
    two_stacks: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cluster of one stack cannot be reached: the choice can be made all the same."""

    def connect(context: None, stack: str) -> FakeCluster:
        del context
        if stack == "prod":
            raise ArgumentError("context", "there is none")
        return FakeCluster(OURS)

    class Healthy:
        healthy = True

    monkeypatch.setattr(deploy, "connect", connect)
    monkeypatch.setattr(deploy, "is_terminal", lambda: True)
    monkeypatch.setattr("astro_pulumi.cli.status.read", lambda _: Healthy)
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: 2)
    assert deploy._choose_stack(two_stacks, None, None) == "prod"
    said = capsys.readouterr().out
    assert "1. dev (analytics): Airflow 3.3.2, release 3, healthy" in said
    assert "2. prod (reports)" in said


def test_a_log_that_cannot_be_read_is_not_a_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    class Logs(Cluster):
        def lines(self, path: str, **query: str) -> Iterator[str]:
            asked.append((path, query))
            if path.endswith("/new/log"):
                raise ApiError(400, {"message": "container is waiting to start"}, f"GET {path}")
            yield "ready"

    pods = [{"metadata": {"name": name}} for name in ("old", "new")]
    deployed = Deployed(Logs({}), "analytics", "dev", 3, "3.3.2")
    monkeypatch.setattr(logs, "find", lambda *_: deployed)
    monkeypatch.setattr(Deployed, "objects", lambda *_: pods)
    with pytest.raises(SystemExit, match="1"):
        logs.logs("scheduler", tail=5)
    assert asked[0] == (
        "/api/v1/namespaces/dev/pods/old/log",
        {"container": "scheduler", "tailLines": "5"},
    )
    said = capsys.readouterr()
    assert said.out == "old: ready\n"
    assert said.err.startswith("new: ")
    assert "container is waiting to start" in said.err
