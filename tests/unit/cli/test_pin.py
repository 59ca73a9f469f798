"""The pin of a stack to a release, in the stack's file."""

import pytest
import typer

from astro_pulumi.cli import pulumi_up
from astro_pulumi.cli.phase_durations import Phases
from astro_pulumi.cli.pulumi_cli import Project, find_project
from astro_pulumi.errors import PulumiError
from tests.unit.cli.fake_pulumi import FakePulumi

BEFORE = 'config:\n  # where it runs\n  kubernetes:context: prod\n  astro:rollbackTo: "3"\n'


# Edits the stack's file as Pulumi does: nothing else in it changes.
CONFIG = """
file = Path(f"Pulumi.{argv[argv.index('--stack') + 1]}.yaml")
lines = file.read_text().splitlines()
given = [word for word in argv[4:] if word != "--plaintext"]
for pair in given:
    key, equals, value = pair.partition("=")
    lines = [line for line in lines if not line.startswith(f"  {key}:")]
    lines += [f"  {key}: {json.dumps(value)}"] if equals else []
file.write_text("\\n".join(lines) + "\\n")
"""


@pytest.fixture
def project(fake: FakePulumi) -> Project:
    (fake.project / "Pulumi.prod.yaml").write_text(BEFORE)
    fake.answer("config-set-all", CONFIG)
    fake.answer("config-rm-all", CONFIG)
    return find_project(fake.project)


def stack_file(project: Project) -> str:
    return project.stack_file("prod").read_text()


@pytest.mark.parametrize("pin", ["5", None])
def test_it_stays_after_a_good_update(project: Project, pin: str | None) -> None:
    with pulumi_up.pinned_to(project, "prod", pin, Phases()):
        assert pulumi_up.pin(project, "prod") == pin
    assert pulumi_up.pin(project, "prod") == pin
    assert "# where it runs\n  kubernetes:context: prod\n" in stack_file(project)


@pytest.mark.parametrize("pin", ["5", None])
@pytest.mark.parametrize(
    "error", [PulumiError("not confirmed"), SystemExit(1), KeyboardInterrupt(), typer.Abort()]
)
def test_an_update_that_changed_nothing_leaves_it(
    project: Project, pin: str | None, error: BaseException
) -> None:
    with pytest.raises(type(error)), pulumi_up.pinned_to(project, "prod", pin, Phases()):
        raise error
    assert pulumi_up.pin(project, "prod") == "3"


def test_an_update_that_stopped_half_way_keeps_the_new_one(project: Project) -> None:
    phases = Phases()
    with pytest.raises(SystemExit), pulumi_up.pinned_to(project, "prod", "5", phases):
        phases.changes = 1
        raise SystemExit(1)
    assert pulumi_up.pin(project, "prod") == "5"


def test_what_is_of_one_update_is_gone_after_it(project: Project) -> None:
    values = {"description": "sales: #7", "skipDagParse": "12"}
    with pulumi_up.for_this_update(project, "prod", values):
        assert "astro:description" in stack_file(project)
        assert "astro:skipDagParse" in stack_file(project)
    assert stack_file(project) == BEFORE


def test_what_the_configuration_says_besides_holds_again_after_an_update(project: Project) -> None:
    config = {"pytest": "true", "skipDagParse": "reports=7"}
    pulumi_up.set_config(project, "prod", config)
    before = stack_file(project)
    values = {"description": "one", "pytest": "true", "skipDagParse": "reports=7,analytics=12"}
    with pulumi_up.for_this_update(project, "prod", values):
        assert "analytics=12" in stack_file(project)
    assert stack_file(project) == before


def test_a_value_that_is_no_text_in_the_file_holds_again(project: Project) -> None:
    file = project.stack_file("prod")
    file.write_text(f"{BEFORE}  astro:pytest: true\n")
    with pulumi_up.for_this_update(project, "prod", {"pytest": "analytics=true"}):
        assert "analytics=true" in stack_file(project)
    assert project.config("prod")["astro:pytest"] in (True, "true")


def test_what_a_killed_deploy_has_left_does_not_hold_for_the_next(project: Project) -> None:
    pulumi_up.set_config(project, "prod", {"description": "killed"})
    with pulumi_up.for_this_update(project, "prod", {"description": None}):
        assert stack_file(project) == BEFORE


def test_what_is_as_it_should_be_costs_no_call_of_pulumi(
    project: Project, fake: FakePulumi
) -> None:
    with (
        pulumi_up.pinned_to(project, "prod", "3", Phases()),
        pulumi_up.for_this_update(project, "prod", {"description": None}),
    ):
        pass
    assert fake.calls == []
