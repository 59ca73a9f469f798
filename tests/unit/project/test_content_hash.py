"""The content hash is the same on any machine, and changes with everything that is in the image."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from astro_pulumi.project import Project, read_project
from astro_pulumi.project.build_context import write_build_context
from tests.unit.project.projects import HEALTHY, Changes, Link, Script, write_project

FILES: Changes = {
    **HEALTHY,
    "include/run.sh": Script("#!/bin/sh\n"),
    "include/latest.sh": Link("run.sh"),
    "include/Größe/注文.csv": "1\n",
    "include/a b.txt": "",
    "include/data.bin": bytes(range(256)),
}
# Made once and written down: the hash must be this on every machine and with every version, or the
# next deploy after an upgrade of this package would build and roll out everything for nothing.
KNOWN = "2895c5f04f333bf52672c8da9bc0b0d1a9bcbac0fca8a714d4fdec0b4b31f1e1"


def content_hash(folder: Path) -> str:
    return read_project(folder).content_hash


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", FILES)


def test_it_is_known(project: Path) -> None:
    assert content_hash(project) == KNOWN


def test_it_is_64_hex_digits(project: Path) -> None:
    assert len(content_hash(project)) == 64
    assert int(content_hash(project), 16)


def writing(changes: Changes) -> Callable[[Path], None]:
    def write(project: Path) -> None:
        write_project(project, changes, {})

    return write


# What differs between two checkouts of the same project


def touch(project: Path) -> None:
    for path in project.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)


def close_to_others(project: Path) -> None:
    """As a checkout with umask 077 is."""
    for path in project.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() or os.access(path, os.X_OK) else 0o600)


def open_to_all(project: Path) -> None:
    """As a checkout with umask 000 is."""
    for path in project.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o777 if executable else 0o666)


def set_special_bits(project: Path) -> None:
    (project / "include").chmod(0o2755)
    (project / "include" / "run.sh").chmod(0o755 | 0o4000)


def add_empty_directories(project: Path) -> None:
    """Git has none, so that a laptop has them and CI does not."""
    (project / "plugins" / "empty").mkdir(parents=True)


def add_local_files(project: Path) -> None:
    write_project(
        project,
        {
            ".env": "A=1\n",
            "airflow_settings.yaml": "airflow:\n",
            "airflow.db": "x",
            ".git/HEAD": "ref: refs/heads/main\n",
            "dags/__pycache__/sales.pyc": "x",
            "include/.DS_Store": "x",
        },
        {},
    )


@pytest.mark.parametrize(
    "change",
    [
        touch,
        close_to_others,
        open_to_all,
        set_special_bits,
        add_empty_directories,
        add_local_files,
        writing({".venv/lib/module.py": "x"}),
        writing({".dockerignore": "# ours\n.venv\n"}),  # only what it leaves out counts
    ],
)
def test_what_does_not_get_into_the_image_does_not_change_it(
    project: Path, change: Callable[[Path], None]
) -> None:
    before = content_hash(project)
    change(project)
    assert content_hash(project) == before


def test_the_place_of_the_checkout_does_not_change_it(project: Path, tmp_path: Path) -> None:
    before = content_hash(project)
    elsewhere = tmp_path / "other place" / "ünïcode"
    shutil.copytree(project, elsewhere, symlinks=True)
    assert content_hash(elsewhere) == before


def test_a_relative_path_and_a_linked_directory_do_not_change_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content_hash(project)
    (tmp_path / "link").symlink_to(project)
    assert content_hash(tmp_path / "link") == before
    monkeypatch.chdir(project)
    assert content_hash(Path()) == before


def test_the_order_of_files_on_disk_does_not_change_it(project: Path, tmp_path: Path) -> None:
    before = content_hash(project)
    for seed in range(5):
        names = list(FILES)
        random.Random(seed).shuffle(names)  # noqa: S311
        folder = write_project(tmp_path / str(seed), {name: FILES[name] for name in names}, {})
        assert content_hash(folder) == before


def test_locale_and_hash_seed_do_not_change_it(project: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from astro_pulumi.project import read_project;"
        "print(read_project(Path(sys.argv[1])).content_hash)"
    )
    for variables in (
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"},
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, project],
            env={**os.environ, **variables},
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == content_hash(project)


# What does change the image


def rename_a_file(project: Path) -> None:
    (project / "include" / "helpers.py").rename(project / "include" / "helper.py")


def move_a_file(project: Path) -> None:
    (project / "include" / "a b.txt").rename(project / "dags" / "a b.txt")


def remove_a_file(project: Path) -> None:
    (project / "include" / "a b.txt").unlink()


def make_executable(project: Path) -> None:
    (project / "include" / "helpers.py").chmod(0o755)


def make_not_executable(project: Path) -> None:
    (project / "include" / "run.sh").chmod(0o644)


def turn_a_link(project: Path) -> None:
    (project / "include" / "latest.sh").unlink()
    (project / "include" / "latest.sh").symlink_to("helpers.py")


def replace_a_link_by_its_target(project: Path) -> None:
    (project / "include" / "latest.sh").unlink()
    shutil.copy(project / "include" / "run.sh", project / "include" / "latest.sh")


def replace_a_link_by_a_file_with_its_text(project: Path) -> None:
    (project / "include" / "latest.sh").unlink()
    (project / "include" / "latest.sh").write_text("run.sh")


def swap_two_files(project: Path) -> None:
    one, two = project / "include" / "helpers.py", project / "packages.txt"
    text = one.read_text()
    one.write_text(two.read_text())
    two.write_text(text)


def compose_a_name(project: Path) -> None:
    """Another sequence of bytes is another name on Linux, though it looks the same."""
    (project / "include" / "Größe").rename(project / "include" / "Gro\u0308ße")


@pytest.mark.parametrize(
    "change",
    [
        writing({"include/data.bin": bytes(range(255)) + b"\0"}),
        writing({"packages.txt": "jq\n\n"}),
        writing({"include/__init__.py": ""}),
        writing({".dockerignore": "include/data.bin\n"}),
        writing({"Dockerfile": f"{HEALTHY['Dockerfile']}ENV A=1\n"}),
        rename_a_file,
        move_a_file,
        remove_a_file,
        make_executable,
        make_not_executable,
        turn_a_link,
        replace_a_link_by_its_target,
        replace_a_link_by_a_file_with_its_text,
        swap_two_files,
        compose_a_name,
    ],
)
def test_any_change_in_the_image_changes_it(project: Path, change: Callable[[Path], None]) -> None:
    before = read(project).content_hash
    change(project)
    assert read(project).content_hash != before


def read(project: Path) -> Project:
    """Reads it, whatever a change broke."""
    return read_project(project, accept={"AP303", "AP308"})


def test_the_border_between_name_and_content_counts(tmp_path: Path) -> None:
    one = write_project(tmp_path / "1", {"include/a": "bc", "include/d": ""})
    two = write_project(tmp_path / "2", {"include/a": "b", "include/d": "c"})
    assert content_hash(one) != content_hash(two)


def test_the_build_context_has_exactly_these_files(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    add_local_files(project)
    found = read_project(project)
    context = Path(write_build_context(found))
    assert not context.is_absolute()
    copied = {
        path.relative_to(context).as_posix(): path
        for path in context.rglob("*")
        if path.is_symlink() or path.is_file()
    }
    assert set(copied) == {file.path for file in found.files} == set(FILES) - {".dockerignore"}
    modes = {name: path.lstat().st_mode & 0o7777 for name, path in copied.items()}
    assert modes.pop("include/run.sh") == 0o755
    assert copied["include/latest.sh"].readlink() == Path("run.sh")
    modes.pop("include/latest.sh")
    assert set(modes.values()) == {0o644}


def test_links_that_lead_nowhere_are_left_out(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pulumi-docker follows links when it hashes the context, and fails at these."""
    monkeypatch.chdir(tmp_path)
    before = content_hash(project)
    dead = {"gone": "nothing", "out": "../../out", "absolute": str(project / "include/data.bin")}
    (tmp_path / "out").touch()
    write_project(project, {f"include/{name}": Link(to) for name, to in dead.items()}, {})
    found = read_project(project)
    assert found.content_hash == before
    assert [finding.code for finding in found.findings] == ["AP601"]
    context = Path(write_build_context(found))
    assert [name for name in dead if (context / "include" / name).is_symlink()] == []


def test_the_build_context_hashes_to_the_same(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = read_project(project)
    assert content_hash(Path(write_build_context(found))) == found.content_hash
