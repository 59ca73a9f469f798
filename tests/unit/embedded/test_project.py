"""Pulumi.yaml, stack configuration, and the file:// backend as Pulumi lays them out."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from astro_pulumi.embedded.backend import Backend, open_backend
from astro_pulumi.embedded.project import (
    Project,
    find_project,
    read_config,
    read_salt,
    select_stack,
    selected_stack,
    write_config,
    write_salt,
)
from astro_pulumi.embedded.secrets import Crypter
from astro_pulumi.errors import EngineError, StateError

CRYPTER = Crypter(bytes(32))


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))

    def write(text: str = "name: proj\nruntime: python\n", stack: str | None = None) -> Project:
        (tmp_path / "Pulumi.yaml").write_text(text)
        if stack is not None:
            (tmp_path / "Pulumi.dev.yaml").write_text(stack)
        return find_project(tmp_path)

    return write


def test_a_project_is_searched_upwards(make: Callable[..., Project], tmp_path: Path) -> None:
    make()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_project(below).name == "proj"


def test_a_missing_project_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no Pulumi.yaml in .* or above"):
        find_project(tmp_path)


def test_other_languages_are_refused(make: Callable[..., Project]) -> None:
    with pytest.raises(EngineError, match=r"nodejs.*Pulumi CLI"):
        make("name: p\nruntime: nodejs\n")


def test_broken_yaml_names_file_and_line(make: Callable[..., Project]) -> None:
    with pytest.raises(EngineError, match=r"(?s)Pulumi\.yaml.*line 2"):
        make("name: p\n\truntime: python\n")


@pytest.mark.parametrize(
    ("main", "expected"),
    [("", (".", ".")), ("src", ("src", ".")), ("src/app.py", ("src", "app.py"))],
)
def test_where_the_program_is(
    make: Callable[..., Project], tmp_path: Path, main: str, expected: tuple[str, str]
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").touch()
    project = make(f"name: p\nruntime: python\nmain: {main!r}\n")
    assert project.program == (tmp_path / expected[0], expected[1])


def test_configuration_of_project_and_stack(make: Callable[..., Project]) -> None:
    secure = CRYPTER.encrypt("hush")
    project = make(
        "name: proj\nruntime: python\nconfig:\n  color: red\n  size: {default: 3, type: integer}\n"
        "  kubernetes:context: {value: kind}\n",
        "config:\n  proj:color: blue\n  proj:flag: true\n"
        f"  proj:password: {{secure: '{secure}'}}\n"
        f"  proj:deep: {{a: [1, {{secure: '{secure}'}}]}}\n",
    )
    config = read_config(project, "dev", CRYPTER)
    assert config.values == {
        "proj:color": "blue",
        "proj:size": "3",
        "kubernetes:context": "kind",
        "proj:flag": "true",
        "proj:password": "hush",
        "proj:deep": '{"a":[1,"hush"]}',
    }
    assert config.secret_keys == {"proj:password", "proj:deep"}
    assert config.of_package("kubernetes") == {"context": "kind"}


def test_setting_a_value_keeps_the_rest_of_the_file(make: Callable[..., Project]) -> None:
    before = (
        "# mine\nencryptionsalt: v1:a:b\nconfig:\n  # a color\n  proj:color: red\n  proj:n: 1\n"
    )
    project = make(stack=before)
    write_config(project, "dev", "color", "deep blue: #1", None)
    write_config(project, "dev", "new", "x", None)
    write_config(project, "dev", "n", "hush", CRYPTER)
    text = project.stack_file("dev").read_text()
    assert text.startswith("# mine\nencryptionsalt: v1:a:b\nconfig:\n  # a color\n")
    assert "hush" not in text
    assert read_config(project, "dev", CRYPTER).values == {
        "proj:color": "deep blue: #1",
        "proj:n": "hush",
        "proj:new": "x",
    }
    write_config(project, "dev", "n", "plain", None)
    assert read_config(project, "dev", CRYPTER).secret_keys == set()


@pytest.mark.parametrize("before", [None, "", "config: {}\n", "encryptionsalt: v1:a:b\n"])
def test_setting_the_first_value(make: Callable[..., Project], before: str | None) -> None:
    project = make(stack=before)
    write_config(project, "dev", "a", "1", None)
    assert read_config(project, "dev", CRYPTER).values == {"proj:a": "1"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'config:\n  a:b: "1"  # why\n  proj:n: "3"\nencryptionsalt: v1:x\n',
            'config:\n  a:b: "1"  # why\nencryptionsalt: v1:x\n',
        ),
        ("config:\n  proj:n:\n    secure: v1:x\n  proj:m: 1\n", "config:\n  proj:m: 1\n"),
        ("encryptionsalt: v1:x\nconfig:\n  proj:n: 3\n", "encryptionsalt: v1:x\n"),
        ("config:\n  proj:n: 3\n", ""),
        ("config:\n  proj:name: 3\n", "config:\n  proj:name: 3\n"),
        ("encryptionsalt: v1:x\n", "encryptionsalt: v1:x\n"),
    ],
)
def test_removing_a_value_leaves_the_rest_of_the_file_alone(
    make: Callable[..., Project], before: str, after: str
) -> None:
    project = make(stack=before)
    write_config(project, "dev", "n", None, None)
    assert project.stack_file("dev").read_text() == after


def test_salt(make: Callable[..., Project]) -> None:
    project = make(stack="config:\n  proj:a: b\n")
    assert read_salt(project, "dev") is None
    write_salt(project, "dev", "v1:x:y")
    assert read_salt(project, "dev") == "v1:x:y"
    assert read_config(project, "dev", CRYPTER).values == {"proj:a": "b"}


@pytest.mark.parametrize("line", ["secretsprovider: awskms://x", "encryptedkey: abc"])
def test_other_secrets_providers_are_refused(make: Callable[..., Project], line: str) -> None:
    with pytest.raises(EngineError, match="'passphrase'"):
        read_salt(make(stack=line), "dev")


def test_the_selected_stack_is_shared_with_pulumi(
    make: Callable[..., Project], tmp_path: Path
) -> None:
    project = make()
    assert selected_stack(project) is None
    select_stack(project, "dev")
    assert selected_stack(project) == "dev"
    (file,) = (tmp_path / "home" / "workspaces").iterdir()
    assert file.name.startswith("proj-")
    assert json.loads(file.read_text()) == {"stack": "dev"}


class TestBackend:
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return Backend(tmp_path, "proj")

    def test_layout(self, backend: Backend, tmp_path: Path) -> None:
        backend.create("dev", '{"n": 1}')
        backend.write("dev", '{"n": 2}')
        backend.back_up("dev")
        backend.add_to_history("dev", {"kind": "update"})
        root = tmp_path / ".pulumi"
        assert (root / "meta.yaml").read_text() == "version: 1\n"
        assert (root / "stacks/proj/dev.json").read_text() == '{"n": 2}'
        assert (root / "stacks/proj/dev.json.bak").read_text() == '{"n": 1}'
        assert len(list((root / "backups/proj/dev").glob("dev.*.json"))) == 1
        history = sorted(f.name.split(".", 1)[1] for f in (root / "history/proj/dev").iterdir())
        assert history == ["checkpoint.json", "history.json"]
        assert backend.stacks() == ["dev"]
        assert backend.read("dev") == {"n": 2}
        assert backend.read("other") is None

    def test_one_engine_at_a_time(self, backend: Backend) -> None:
        with (
            backend.lock("dev"),
            pytest.raises(StateError, match=rf"(?s)locked by 1.*pid {os.getpid()}"),
            backend.lock("dev"),
        ):
            pass
        with backend.lock("dev"), backend.lock("prod"):
            pass

    def test_the_lock_of_a_killed_engine_is_taken_away(
        self, backend: Backend, tmp_path: Path
    ) -> None:
        lock = tmp_path / ".pulumi/locks/organization/proj/dev/x.json"
        lock.parent.mkdir(parents=True)
        owner = {"pid": 2**22 + 1, "hostname": socket.gethostname(), "username": "me"}
        lock.write_text(json.dumps(owner))
        with backend.lock("dev"):
            assert not lock.exists()
        lock.write_text(json.dumps(owner | {"hostname": "elsewhere"}))
        with pytest.raises(StateError, match="me@elsewhere"), backend.lock("dev"):
            pass

    def test_which_backend(self, make: Callable[..., Project], tmp_path: Path) -> None:
        by_project = make(f"name: p\nruntime: python\nbackend: {{url: 'file://{tmp_path}/a'}}\n")
        assert open_backend(by_project, {}).root == tmp_path / "a"
        by_variable = {"PULUMI_BACKEND_URL": f"file://{tmp_path}/b"}
        assert open_backend(by_project, by_variable).root == tmp_path / "b"
        assert open_backend(make(), {}).root == Path.home()

    @pytest.mark.parametrize("url", ["https://api.pulumi.com", "s3://bucket"])
    def test_others_are_refused_by_name(self, make: Callable[..., Project], url: str) -> None:
        with pytest.raises(StateError, match=f"{url}.*file://"):
            open_backend(make(), {"PULUMI_BACKEND_URL": url})

    def test_a_token_for_the_cloud_means_the_cloud(
        self, make: Callable[..., Project], tmp_path: Path
    ) -> None:
        token = {"PULUMI_ACCESS_TOKEN": "t"}
        with pytest.raises(StateError, match=r"api\.pulumi\.com"):
            open_backend(make(), token)
        chosen = {**token, "PULUMI_BACKEND_URL": f"file://{tmp_path}"}
        assert open_backend(make(), chosen).root == tmp_path

    def test_the_old_layout_is_refused(self, make: Callable[..., Project], tmp_path: Path) -> None:
        (tmp_path / ".pulumi").mkdir()
        (tmp_path / ".pulumi/meta.yaml").write_text("version: 0\n")
        with pytest.raises(StateError, match="pulumi state upgrade"):
            open_backend(make(), {"PULUMI_BACKEND_URL": f"file://{tmp_path}"})
