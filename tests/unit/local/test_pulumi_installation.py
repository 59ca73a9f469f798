"""The Pulumi that is there is used; otherwise one is put together from what was built, and stand-ins."""

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from local import pulumi_installation
from local.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "state", tmp_path / "cache")


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, Path]:
    names = ("pulumi", "pulumi-language-yaml", "pulumi-resource-kubernetes")
    return {name: executable(tmp_path / "programs" / name) for name in names}


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def plugin(home: Path, name: str) -> Path:
    """Return where the CLI looks for a provider in the version that our resources ask for."""
    folder = home / "plugins" / f"resource-{name}-v{version(f'pulumi-{name}')}"
    return folder / f"pulumi-resource-{name}"


def test_a_pulumi_on_path_is_used(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = executable(tmp_path / "bin" / "pulumi")
    monkeypatch.setenv("PATH", f"/usr/bin:{installed.parent}")
    assert pulumi_installation.existing(paths) == str(installed)


def test_our_own_pulumi_is_not_taken_for_an_installed_one(
    paths: Paths, programs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = pulumi_installation.install(programs, paths)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:/usr/bin")
    assert pulumi_installation.existing(paths) is None


def test_everything_that_the_cli_looks_for_is_in_its_place(
    paths: Paths, programs: dict[str, Path]
) -> None:
    home = pulumi_installation.install(programs, paths)
    assert (home / "bin" / "pulumi").samefile(programs["pulumi"])
    assert not (home / "bin" / "pulumi").is_symlink()
    assert plugin(home, "kubernetes").resolve() == programs["pulumi-resource-kubernetes"]
    for path in (home / "bin" / "pulumi-language-python", plugin(home, "docker")):
        assert os.access(path, os.X_OK)
    assert pulumi_installation.install(programs, paths) == home  # again, over the first


def test_a_stand_in_starts_from_any_directory(
    paths: Paths, programs: dict[str, Path], tmp_path: Path
) -> None:
    """The module names in the launchers exist, and a user's `random.py` does not get in their way."""
    home = pulumi_installation.install(programs, paths)
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong module')\n")
    for launcher in (plugin(home, "random"), home / "bin" / "pulumi-language-python"):
        with subprocess.Popen(
            [launcher, "127.0.0.1:9"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as started:
            assert started.stdout
            port = started.stdout.readline()
            started.kill()
        assert port.strip().isdigit()


def test_a_real_plugin_is_used_instead_of_a_stand_in(
    paths: Paths, programs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = executable(plugin(Path.home() / ".pulumi", "docker"))
    on_path = executable(tmp_path / "bin" / "pulumi-resource-random")
    monkeypatch.setenv("PATH", f"/usr/bin:/bin:{on_path.parent}")
    home = pulumi_installation.install(programs, paths)
    assert plugin(home, "docker").resolve() == installed
    assert plugin(home, "random").resolve() == on_path
