"""What is asked of the Pulumi CLI, and what is said when it cannot answer."""

import json

import pytest
from typer.testing import CliRunner

from astro_pulumi.cli import main, pulumi_cli
from astro_pulumi.cli.pulumi_cli import find_project
from astro_pulumi.errors import PulumiError
from tests.unit.cli.fake_pulumi import FakePulumi


def test_without_pulumi_one_sentence_says_how_to_install_it(
    fake: FakePulumi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        PulumiError, match=r"not on PATH: install it from https://www\.pulumi\.com/docs/install/$"
    ):
        pulumi_cli.command()


@pytest.mark.parametrize(
    ("version", "too_old"),
    [
        ("v3.218.9", True),
        ("v2.25.2", True),
        ("v3.219.0", False),
        ("v3.300.0-alpha.1", False),
        ("v4.0.0", False),
        ("dev", False),  # somebody's own build
    ],
)
def test_a_cli_that_is_too_old_is_refused_with_the_version_that_is_required(
    fake: FakePulumi, version: str, too_old: bool
) -> None:
    fake.version(version)
    if not too_old:
        assert pulumi_cli.command().command == "pulumi"
        return
    with pytest.raises(PulumiError, match=rf"{version[1:]} is too old: version 3\.219\.0 or later"):
        pulumi_cli.command()


@pytest.mark.parametrize("arguments", [["deploy", "--yes"], ["rollback", "--yes"]])
def test_it_is_refused_before_anything_is_asked_of_it(
    fake: FakePulumi, arguments: list[str]
) -> None:
    fake.version("v3.100.0")
    done = CliRunner().invoke(main.app, arguments)
    assert isinstance(done.exception, PulumiError)
    assert fake.calls == []


def test_without_a_login_the_message_says_how_to_log_in(fake: FakePulumi) -> None:
    fake.fails(
        "stack-ls",
        "PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions",
    )
    with pytest.raises(PulumiError, match=r"not logged in to a backend.*`pulumi login`"):
        pulumi_cli.stacks()


def test_other_failures_are_told_in_pulumis_words(fake: FakePulumi) -> None:
    fake.fails("stack-export", "could not reach s3://states")
    with pytest.raises(PulumiError, match=r"^pulumi: could not reach s3://states$"):
        pulumi_cli.read_state("dev")


def test_a_stack_that_does_not_exist_has_no_state(fake: FakePulumi) -> None:
    fake.fails("stack-export", "no stack named 'new' found")
    assert pulumi_cli.read_state("new") is None


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("stack-export", "failed to load checkpoint: place 1: unexpected end of JSON input"),
        ("stack-ls", "place 1: unexpected end of JSON input"),
        (
            "stack-export",
            "failed to load checkpoint: place 1: invalid character '\\x00' looking for beginning of value",
        ),
    ],
)
def test_half_a_state_is_named_with_the_way_back(
    fake: FakePulumi, command: str, message: str
) -> None:
    stacks = fake.backend / ".pulumi" / "stacks" / "demo"
    stacks.mkdir(parents=True)
    (stacks / "good.json").write_text(json.dumps({"version": 3}))
    (stacks / "dev.json").write_text('{"version": 3, "checkpo')
    fake.fails(command, message)
    with pytest.raises(PulumiError) as caught:
        pulumi_cli.read_state("dev") if command == "stack-export" else pulumi_cli.stacks()
    said = str(caught.value)
    assert "The state of stack dev is damaged" in said
    assert f"cp {stacks}/dev.json.bak {stacks}/dev.json" in said
    assert "good" not in said


def test_a_state_with_damaged_attributes_is_said_with_the_way_out(fake: FakePulumi) -> None:
    """A killed CLI leaves an empty file: it writes the attributes in place."""
    stacks = fake.backend / ".pulumi" / "stacks" / "demo"
    stacks.mkdir(parents=True)
    (stacks / "dev.json").write_text(json.dumps({"version": 3}))
    (stacks / "dev.json.attrs").write_text("")
    fake.fails("stack-export", "error: failed to load checkpoint: EOF")
    with pytest.raises(PulumiError) as caught:
        pulumi_cli.read_state("dev")
    assert f"rm {stacks}/dev.json.attrs" in str(caught.value)
    assert "The state of stack" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("file:///srv/states", "/srv/states/.pulumi"),
        ("file:///srv/my%20states?no_tmp_dir=true", "/srv/my states/.pulumi"),
        ("s3://states", None),
        ("https://api.pulumi.com", None),
    ],
)
def test_where_a_backend_keeps_its_files(
    fake: FakePulumi, monkeypatch: pytest.MonkeyPatch, url: str, directory: str | None
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", url)
    found = pulumi_cli.local_backend()
    assert (str(found) if found else None) == directory


def test_without_the_variable_pulumi_says_where_it_is_logged_in(
    fake: FakePulumi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    monkeypatch.setenv("HOME", "/home/me")
    fake.answer("whoami", 'print(\'{"user": "me", "url": "file://~"}\')')
    assert str(pulumi_cli.local_backend()) == "/home/me/.pulumi"


def test_a_directory_without_a_project_is_refused(fake: FakePulumi) -> None:
    with pytest.raises(
        PulumiError, match=r"no Pulumi\.yaml in .* or name its directory with --cwd"
    ):
        find_project(fake.home)
