"""`astro-pulumi deploy` and `rollback` as a whole, on a `pulumi` that only notes what it is asked."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from astro_pulumi.cli import deploy, find_deployment, main, rollback
from astro_pulumi.cli.find_deployment import Deployed
from astro_pulumi.errors import ClusterError
from astro_pulumi.release.release_records import Release
from tests.unit.cli.fake_pulumi import FakePulumi

PINNED = 'config:\n  astro:rollbackTo: "3"\n'
DEPLOYMENT = {
    "urn": "urn:pulumi:dev::demo::astro:index:Deployment::analytics",
    "type": "astro:index:Deployment",
    "outputs": {"namespace": "dev-1a2b"},
}


@pytest.fixture(autouse=True)
def settings(fake: FakePulumi) -> None:
    for command in ("config-set-all", "config-rm-all", "up", "preview"):
        fake.answer(command, "")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, arguments)


def words(fake: FakePulumi) -> list[str]:
    return [" ".join(call[:2]) for call in fake.changes]


def test_a_deploy_asks_pulumi_for_nothing_but_the_update(fake: FakePulumi) -> None:
    done = invoke("deploy", "--stack", "dev", "--yes")
    assert done.exit_code == 0
    assert done.stderr == "Deploying stack dev\n"
    assert words(fake) == ["up --stack"]


def test_wishes_for_one_deploy_and_the_end_of_a_pin_are_configuration(fake: FakePulumi) -> None:
    (fake.project / "Pulumi.dev.yaml").write_text(PINNED)
    done = invoke("deploy", "--stack", "dev", "--yes", "--skip-dag-parse", "-m", "sales: #7")
    assert done.exit_code == 0
    assert fake.changes[:2] == [
        ["config", "rm-all", "--stack", "dev", "astro:rollbackTo"],
        [
            *("config", "set-all", "--stack", "dev"),
            *("--plaintext", "astro:description=sales: #7"),
            *("--plaintext", "astro:skipDagParse=1"),
        ],
    ]
    assert "The stack is no longer pinned to release 3." in done.stderr


def test_a_dry_run_is_a_preview(fake: FakePulumi) -> None:
    fake.state(pending=[{"type": "creating", "resource": {"urn": "urn:pulumi:dev::p::t::n"}}])
    assert invoke("deploy", "--stack", "dev", "--dry-run", "--json").exit_code == 0
    assert fake.changes == [["preview", "--stack", "dev", "--json"]]


def test_a_deploy_that_fails_has_pulumis_exit_code(fake: FakePulumi) -> None:
    fake.answer("up", "sys.exit(6)")
    assert invoke("deploy", "--stack", "dev", "--yes").exit_code == 6


def test_a_deploy_that_succeeded_is_no_failure_if_the_cluster_cannot_be_asked(
    fake: FakePulumi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: Any) -> None:
        raise ClusterError("the Kubernetes API at https://x does not answer")

    fake.state(DEPLOYMENT)
    monkeypatch.setattr(deploy, "connect", connect)
    done = invoke("deploy", "--stack", "dev", "--yes")
    assert done.exit_code == 0
    assert "Deploying analytics (stack dev)\n" in done.stderr
    assert "Cannot show the current state: the Kubernetes API at https://x" in done.stderr


class Found:
    """What `find` finds, before and after."""

    def __init__(self) -> None:
        self.current = 7

    def __call__(self, *_: Any) -> Deployed:
        cluster: Any = None
        self.current += 1
        return Deployed(cluster, "analytics", "dev-1a2b", self.current - 1, "3.3.2")


def test_a_rollback_pins_the_stack_and_needs_no_docker(
    fake: FakePulumi, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = [Release(number, f"a@sha256:{number}", "3.3.2") for number in (7, 6)]
    monkeypatch.setattr(rollback, "find", Found())
    monkeypatch.setattr(rollback, "require_releases", lambda _: releases)
    fake.state(DEPLOYMENT)
    done = invoke("rollback", "6", "--stack", "dev", "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    assert "Rolling back analytics (stack dev) from release 7" in done.stderr
    pin, up = fake.changes
    assert pin == ["config", "set-all", "--stack", "dev", "--plaintext", "astro:rollbackTo=6"]
    assert up[-2:] == ["--exclude", "**docker:index/image:Image**"]
    assert json.loads(done.stdout) == {
        "name": "analytics",
        "release": 8,
        "restores": 6,
        "phases": {},
    }
    assert find_deployment.require_stack("dev") == "dev"
