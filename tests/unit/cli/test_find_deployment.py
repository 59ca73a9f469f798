"""Which Deployment a command means, for users who may look into every namespace and for those who may not."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import typer

from astro_pulumi.cli import deploy, find_deployment, logs
from astro_pulumi.cli.find_deployment import Deployed, InStack
from astro_pulumi.cli.kubernetes_client import Cluster
from astro_pulumi.errors import ArgumentError, ClusterError, PulumiError
from astro_pulumi.release.release_records import AIRFLOW_VERSION, NUMBER
from tests.unit.cli.fake_pulumi import FakePulumi


class FakeCluster:
    """Deployments by (namespace, name), and who may see them."""

    def __init__(self, *found: tuple[str, str], lists_all: bool = True) -> None:
        self.found = found
        self.lists_all = lists_all

    def objects(
        self, resource: str, namespace: str | None = None, **labels: str
    ) -> list[dict[str, Any]]:
        assert resource == "configmaps"
        assert labels["app.kubernetes.io/component"] == "current-release"
        if namespace is None and not self.lists_all:
            raise ClusterError("configmaps is forbidden", 403)
        return [
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


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Any:
    def find_in(
        cluster: FakeCluster,
        here: Sequence[InStack] = (),
        name: str | None = None,
        namespace: str | None = None,
        stack: str | None = None,
    ) -> str:
        monkeypatch.setattr(find_deployment, "connect", lambda *_: cluster)
        monkeypatch.setattr(find_deployment, "stack_name", lambda given: given or "selected")
        monkeypatch.setattr(find_deployment, "in_stack", lambda _: list(here))
        monkeypatch.setattr(find_deployment, "is_terminal", lambda: False)
        found = find_deployment.find(name, namespace, None, stack)
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
    with pytest.raises(ArgumentError, match="stack dev has no Deployment with a release"):
        find(FakeCluster(OTHERS), here, stack="dev")
    assert find(FakeCluster(OTHERS), here) == "prod/analytics"


def test_of_several_one_has_to_be_named(find: Any) -> None:
    with pytest.raises(ArgumentError, match=r"There are: analytics in dev-1a2b, analytics in prod"):
        find(FakeCluster(OURS, OTHERS))
    assert find(FakeCluster(OURS, ("prod", "reports")), name="reports") == "prod/reports"


def component(name: str, namespace: str | None) -> dict[str, Any]:
    """A Deployment in a stack's state."""
    return {
        "urn": f"urn:pulumi:dev::demo::astro:index:Deployment::{name}",
        "type": "astro:index:Deployment",
        "outputs": {"namespace": namespace} if namespace else {},
    }


def test_a_stacks_deployments_are_read_from_its_state(fake: FakePulumi) -> None:
    fake.state(
        component("analytics", "dev-1a2b"),
        component("reports", None),
        {"urn": "urn:pulumi:dev::demo::kubernetes:core/v1:Secret::a", "type": "kubernetes:core"},
    )
    assert find_deployment.in_stack("dev") == [
        InStack("analytics", "dev-1a2b"),
        InStack("reports", None),
    ]


@pytest.mark.parametrize(
    ("stacks", "selected", "given", "name"),
    [
        (["dev", "prod"], "prod", None, "prod"),
        (["dev", "prod"], "prod", "dev", "dev"),
        (["dev"], None, None, "dev"),
        (["dev", "prod"], None, None, None),
        ([], None, None, None),
    ],
)
def test_the_stack_that_is_meant(
    fake: FakePulumi, stacks: list[str], selected: str | None, given: str | None, name: str | None
) -> None:
    fake.stacks(*stacks, selected=selected)
    assert find_deployment.stack_name(given) == name
    if name is None:
        with pytest.raises(PulumiError, match="no stack is selected: name one with --stack"):
            find_deployment.require_stack(given)


def test_without_pulumi_or_a_project_the_cluster_is_asked(
    fake: FakePulumi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fake.home)
    assert find_deployment.stack_name(None) is None
    monkeypatch.chdir(fake.project)
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_deployment.stack_name(None) is None


@pytest.mark.parametrize(
    ("config", "context", "expected"),
    [
        ("kubernetes:context: prod", None, {"context": "prod"}),
        ("kubernetes:context: prod", "other", {"context": "other"}),
        ("kubernetes:kubeconfig: ./kube\n  kubernetes:cluster: c", None, None),
        ("kubernetes:kubeconfig:\n    secure: v1:abc", None, {}),
    ],
)
def test_a_stack_says_which_cluster_it_is_for(
    fake: FakePulumi,
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    context: str | None,
    expected: dict[str, str] | None,
) -> None:
    (fake.project / "Pulumi.dev.yaml").write_text(f"config:\n  {config}\n")
    connected: list[dict[str, str]] = []
    monkeypatch.setattr(Cluster, "connect", lambda **given: connected.append(given))
    find_deployment.connect(context, "dev")
    assert connected == [{"kubeconfig": "./kube", "cluster": "c"} if expected is None else expected]


@pytest.fixture
def two_stacks(fake: FakePulumi, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.stacks("dev", "prod")
    known = {"dev": [InStack("analytics", "dev-1a2b")], "prod": [InStack("reports", None)]}
    monkeypatch.setattr(deploy, "in_stack", lambda stack: known[stack])


@pytest.mark.usefixtures("two_stacks")
def test_deploy_takes_the_name_of_a_deployment_or_of_a_stack() -> None:
    assert deploy._choose_stack("reports", None) == "prod"
    assert deploy._choose_stack("dev", None) == "dev"


@pytest.mark.usefixtures("two_stacks")
def test_without_a_terminal_deploy_lists_the_choices() -> None:
    with pytest.raises(
        ArgumentError, match=r"several Deployments match\. .*dev \(analytics\); prod \(repo"
    ):
        deploy._choose_stack(None, None)
    with pytest.raises(ArgumentError, match=r"no stack has a Deployment 'x'. dev \(analytics\)"):
        deploy._choose_stack("x", None)


def test_the_first_stack_has_to_be_named(fake: FakePulumi) -> None:
    fake.stacks()
    with pytest.raises(ArgumentError, match="--stack: the project has no stack"):
        deploy._choose_stack(None, None)


@pytest.mark.usefixtures("two_stacks")
def test_in_a_terminal_deploy_asks_and_tells_what_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cluster of one stack cannot be reached: the choice can be made all the same."""

    def connect(context: None, stack: str) -> FakeCluster:
        if stack == "prod":
            raise ClusterError("does not answer")
        return FakeCluster(OURS)

    class Healthy:
        healthy = True

    monkeypatch.setattr(deploy, "connect", connect)
    monkeypatch.setattr(deploy, "is_terminal", lambda: True)
    monkeypatch.setattr("astro_pulumi.cli.status.read", lambda _: Healthy)
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: 2)
    assert deploy._choose_stack(None, None) == "prod"
    said = capsys.readouterr().out
    assert "1. dev (analytics): Airflow 3.3.2, release 3, healthy" in said
    assert "2. prod (reports)" in said


def test_before_a_deploy_one_line_says_what_is_deployed(
    fake: FakePulumi, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deploy._announced("dev") == "Deploying stack dev"
    fake.state(component("analytics", "dev-1a2b"))
    monkeypatch.setattr(deploy, "connect", lambda *_: FakeCluster(OURS))
    assert (
        deploy._announced("dev")
        == "Deploying analytics (stack dev). Current: Airflow 3.3.2, release 3"
    )


def test_a_log_that_cannot_be_read_is_not_a_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    class Logs:
        def log_lines(self, namespace: str, pod: str, container: str, **how: Any) -> Iterator[str]:
            asked.append((namespace, pod, container, how))
            if pod == "new":
                raise ClusterError("container is waiting to start", 400)
            yield "ready"

    pods = [{"metadata": {"name": name}} for name in ("old", "new")]
    cluster: Any = Logs()
    deployed = Deployed(cluster, "analytics", "dev", 3, "3.3.2")
    monkeypatch.setattr(logs, "find", lambda *_: deployed)
    monkeypatch.setattr(Deployed, "objects", lambda *_: pods)
    with pytest.raises(SystemExit, match="1"):
        logs.logs("scheduler", tail=5)
    assert asked[0] == ("dev", "old", "airflow", {"follow": False, "tail": 5})
    said = capsys.readouterr()
    assert said.out == "old: ready\n"
    assert said.err == "new: container is waiting to start\n"
