"""The pin of a stack to a release, in the stack's file."""

from pathlib import Path

import pytest
import typer

from astro_pulumi.cli import updates
from astro_pulumi.cli.phases import Phases
from astro_pulumi.cli.rollback import merged_pin
from astro_pulumi.embedded.project import Project, find_project
from astro_pulumi.errors import EngineError

BEFORE = 'config:\n  # where it runs\n  kubernetes:context: prod\n  astro:rollbackTo: "3"\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    (tmp_path / "Pulumi.prod.yaml").write_text(BEFORE)
    return find_project(tmp_path)


def stack_file(project: Project) -> str:
    return project.stack_file("prod").read_text()


@pytest.mark.parametrize("pin", ["5", None])
def test_it_stays_after_a_good_update(project: Project, pin: str | None) -> None:
    with updates.pinned_to(project, "prod", pin, Phases()):
        assert updates.pins(project, "prod") == pin
    assert updates.pins(project, "prod") == pin
    assert "# where it runs\n  kubernetes:context: prod\n" in stack_file(project)


@pytest.mark.parametrize("pin", ["5", None])
@pytest.mark.parametrize(
    "error", [EngineError("not confirmed"), SystemExit(1), KeyboardInterrupt(), typer.Abort()]
)
def test_an_update_that_changed_nothing_leaves_it(
    project: Project, pin: str | None, error: BaseException
) -> None:
    with pytest.raises(type(error)), updates.pinned_to(project, "prod", pin, Phases()):
        raise error
    assert updates.pins(project, "prod") == "3"


def test_an_update_that_stopped_half_way_keeps_the_new_one(project: Project) -> None:
    phases = Phases()
    with pytest.raises(SystemExit), updates.pinned_to(project, "prod", "5", phases):
        phases.changes = 1
        raise SystemExit(1)
    assert updates.pins(project, "prod") == "5"


def test_what_is_of_one_update_is_gone_after_it(project: Project) -> None:
    values = {"description": "sales: #7", "skipDagParse": None}
    with updates.for_this_update(project, "prod", values):
        assert "astro:description" in stack_file(project)
        assert "skipDagParse" not in stack_file(project)
    assert stack_file(project) == BEFORE


def test_what_a_killed_deploy_has_left_does_not_hold_for_the_next(project: Project) -> None:
    updates.set_config(project, "prod", "skipDagParse", "true")
    with updates.for_this_update(project, "prod", {"skipDagParse": None}):
        assert stack_file(project) == BEFORE


@pytest.mark.parametrize(
    ("before", "deployments", "pin"),
    [
        (None, ["analytics"], "7"),
        ("3", ["analytics"], "7"),
        (None, ["analytics", "reports"], "analytics=7"),
        ("analytics=3,reports=2", ["analytics", "reports"], "analytics=7,reports=2"),
        ("3", ["analytics", "reports"], "analytics=7,reports=3"),
    ],
)
def test_each_deployment_of_a_stack_has_a_pin_of_its_own(
    before: str | None, deployments: list[str], pin: str
) -> None:
    assert merged_pin(before, "analytics", 7, deployments) == pin
