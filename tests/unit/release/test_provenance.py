"""Commit, branch and dirty flag of a project in git."""

import subprocess
from pathlib import Path

import pytest

from astro_pulumi.release.provenance import commit_url, git_state, web_page


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in a repository with other things."""
    git(tmp_path, "init", "-b", "main")
    project = tmp_path / "project"
    project.mkdir()
    (project / "Dockerfile").write_text("FROM x\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "one")
    return project


def test_outside_of_git_nothing_is_known(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {}


def test_a_clean_checkout(project: Path) -> None:
    state = git_state(project)
    assert len(str(state["commit"])) == 40
    assert (state["branch"], state["dirty"]) == ("main", False)


def test_what_is_beside_the_project_does_not_count(project: Path) -> None:
    before = git_state(project)
    (project.parent / "README.md").write_text("other\n")
    assert git_state(project) == before
    git(project.parent, "add", "-A")
    git(project.parent, "commit", "-m", "two")
    assert git_state(project) == before


def test_a_change_in_the_project_is_dirty_until_it_is_committed(project: Path) -> None:
    before = git_state(project)
    (project / "Dockerfile").write_text("FROM y\n")
    assert git_state(project) == {**before, "dirty": True}
    git(project.parent, "commit", "-am", "two")
    after = git_state(project)
    assert after["dirty"] is False
    assert after["commit"] != before["commit"]


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/acme/etl.git", "https://github.com/acme/etl"),
        ("https://user:t0ken@github.com/acme/etl", "https://github.com/acme/etl"),
        ("git@github.com:acme/etl.git", "https://github.com/acme/etl"),
        (
            "ssh://git@gitlab.acme.com:2222/data/team/etl.git",
            "https://gitlab.acme.com/data/team/etl",
        ),
        ("/srv/git/etl.git", None),
        ("file:///srv/git/etl.git", None),
    ],
)
def test_a_remote_has_a_page_without_its_login(remote: str, page: str | None) -> None:
    assert web_page(remote) == page


def test_the_page_of_a_commit_needs_a_remote(project: Path) -> None:
    assert commit_url(project) is None
    git(project, "remote", "add", "origin", "git@github.com:acme/etl.git")
    commit = git_state(project)["commit"]
    assert commit_url(project) == f"https://github.com/acme/etl/tree/{commit}"
