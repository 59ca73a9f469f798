"""The flags of `astro-pulumi deploy` for a single deploy, as configuration of the stack."""

from typing import Any

import pytest

from astro_pulumi.cli import deploy_flags
from astro_pulumi.cli.deploy_flags import DatabaseKind, Flags, configuration
from astro_pulumi.cli.find_deployment import Deployed, InStack
from astro_pulumi.release.release_records import Release

TWO = [InStack("analytics", "a"), InStack("reports", "b"), InStack("new", None)]


class Known(Deployed):
    """A Deployment whose records are known."""

    def releases(self) -> list[Release]:
        return [Release(number, "a@sha256:1", "3.3.2") for number in (9, 8)]


@pytest.fixture(autouse=True)
def _cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster in which `analytics` is at release 11 and `reports` at 9."""
    cluster: Any = None
    found = [
        Known(cluster, name, "a", current, "3.3.2")
        for name, current in (("analytics", 11), ("reports", 9))
    ]
    monkeypatch.setattr(deploy_flags, "connect", lambda *_: cluster)
    monkeypatch.setattr(
        deploy_flags,
        "of_stack",
        lambda _, ours: [d for d in found if d.name in {o.name for o in ours}],
    )


def values(flags: Flags, deployments: list[InStack], name: str | None = None, **config: str) -> Any:
    given = {f"astro:{key}": value for key, value in config.items()}
    found = configuration(flags, "prod", name, deployments, given)
    return {key: value for key, value in found.items() if key != "description"}


def test_a_confirmation_names_the_coming_release() -> None:
    flags = Flags(skip_dag_parse=True, max_removed_dags=3)
    expected = {"skipDagParse": "12", "maxRemovedDags": "12:3"}
    assert values(flags, TWO[:1]) == expected


def test_a_confirmation_is_for_all_deployments_of_the_stack_unless_one_is_named() -> None:
    flags = Flags(skip_dag_parse=True)
    assert values(flags, TWO) == {"skipDagParse": "analytics=12,reports=10,new=1"}
    assert values(flags, TWO, "reports") == {"skipDagParse": "reports=10"}
    assert values(flags, TWO, "prod") == {"skipDagParse": "analytics=12,reports=10,new=1"}


def test_tests_are_run_for_this_deploy_only_and_ask_no_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(deploy_flags, "connect")
    assert values(Flags(pytest=True), TWO[:1]) == {"pytest": "true"}
    assert values(Flags(pytest=True), TWO, "reports") == {"pytest": "reports=true"}


def test_the_first_deploy_of_a_stack_makes_release_1() -> None:
    flags = Flags(max_removed_dags=0, confirm_database_change=DatabaseKind.external)
    expected = {"maxRemovedDags": "1:0", "confirmDatabaseChange": "external"}
    assert values(flags, []) == expected


def test_the_confirmation_to_another_deployment_stays() -> None:
    before = {"skipDagParse": "reports=10"}
    flags = Flags(skip_dag_parse=True)
    assert values(flags, TWO, "analytics", **before) == {"skipDagParse": "reports=10,analytics=12"}


def test_what_no_flag_decides_stays_as_it_is() -> None:
    """For example what an error message of the deploy before has advised to set."""
    assert values(Flags(), TWO, skipDagParse="analytics=12") == {}


def test_without_a_confirmation_the_cluster_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(deploy_flags, "connect")
    flags = Flags(description="d", confirm_database_change=DatabaseKind.embedded)
    assert configuration(flags, "prod", None, TWO[:1], {}) == {
        "description": "d",
        "confirmDatabaseChange": "embedded",
    }


def test_a_record_that_is_newer_than_the_current_release_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster: Any = None
    assert deploy_flags.next_release(Known(cluster, "analytics", "a", 3, "3.3.2")) == 10
