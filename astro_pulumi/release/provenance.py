"""Describe where a release comes from: git commit, person or pipeline, as far as known."""

import getpass
import json
import os
import re
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from astro_pulumi.pulumi_run_cache import cached_per_run

_GIT_TIMEOUT: Final = 5
# `https://user:token@host/path.git`, `ssh://git@host:22/path.git`, `git@host:path.git`
_REMOTE: Final = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^@/]*@)?(?P<host>[\w.-]+\.\w+)(?::\d+)?/(?P<path>[^?#]+?)"
    r"|(?:[\w.-]+@)(?P<host2>[\w.-]+\.\w+):(?P<path2>[^?#]+?))(?:\.git)?/?"
)
# variable that is set -> (name of the system, variables that say who and which run)
_PIPELINES: Final = {
    "GITHUB_ACTIONS": ("GitHub Actions", "GITHUB_ACTOR", "GITHUB_RUN_ID"),
    "GITLAB_CI": ("GitLab CI", "GITLAB_USER_LOGIN", "CI_JOB_ID"),
    "PULUMI_DEPLOYMENTS_EXECUTOR_VERSION": ("Pulumi Deployments", "", "PULUMI_CI_BUILD_ID"),
    "JENKINS_URL": ("Jenkins", "BUILD_USER_ID", "BUILD_ID"),
    "CIRCLECI": ("CircleCI", "CIRCLE_USERNAME", "CIRCLE_BUILD_NUM"),
    "BUILDKITE": ("Buildkite", "BUILDKITE_BUILD_CREATOR", "BUILDKITE_BUILD_NUMBER"),
    "CI": ("CI", "", ""),
}


def describe(
    directory: Path | None,
    description: str | None,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Return the origin as a record keeps it: strings, some of them JSON."""
    git = _git_state(directory) if directory else {}
    return {
        **({"description": description} if description else {}),
        **({"git": json.dumps(git, sort_keys=True)} if git else {}),
        "by": json.dumps(who_and_where(environment), sort_keys=True),
    }


def git_state(directory: Path) -> dict[str, str | bool]:
    """Return commit, branch and dirty flag of the project; empty outside of git.

    The commit is the last one that touched the project, and only changes in the project make it dirty:
    the rest of a repository is not what is deployed.
    """
    commit = _git(directory, "log", "-1", "--format=%H", "--", ".")
    if not commit:
        return {}
    changes = _git(directory, "status", "--porcelain", "--", ".", ":(exclude)**/.astro-pulumi")
    branch = _git(directory, "rev-parse", "--abbrev-ref", "HEAD")
    return {
        "commit": commit,
        "dirty": bool(changes),
        # In a pipeline the checkout is detached.
        **({"branch": branch} if branch and branch != "HEAD" else {}),
    }


_git_state = cached_per_run(git_state)


def commit_url(directory: Path) -> str | None:
    """Return the page of the project's commit at its git host; None without a remote or a clean commit."""
    commit = _git_state(directory).get("commit")
    remote = _git(directory, "remote", "get-url", "origin") if commit else None
    page = remote and web_page(remote)
    # GitLab's pages are below `/-/`, and it understands this path as well.
    return f"{page}/tree/{commit}" if page else None


def web_page(remote: str) -> str | None:
    """Return the page of a git remote, without a login: `https://github.com/acme/etl`. None for a path."""
    match = _REMOTE.fullmatch(remote.strip())
    if match is None:
        return None
    host, path = match["host"] or match["host2"], match["path"] or match["path2"]
    return f"https://{host}/{path.strip('/')}"


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def who_and_where(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `{"where": "GitHub Actions", "who": "octocat", "run": "123"}`, or user and host."""
    for variable, (name, who, run) in _PIPELINES.items():
        if environment.get(variable):
            found = {"where": name, "who": environment.get(who), "run": environment.get(run)}
            return {key: value for key, value in found.items() if value}
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in some containers
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return {"where": socket.gethostname(), "who": user}
