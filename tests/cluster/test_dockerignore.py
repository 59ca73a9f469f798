"""What a real `docker build` sends is what we take for a project's files."""

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.platform import Platform
from tests.unit.project.ignore_cases import CASES, FILES, Case
from tests.unit.project.projects import write_project

PARALLEL = 4  # a build of some small files is mostly waiting


@pytest.fixture(scope="module")
def environment(platform: Platform) -> dict[str, str]:
    return {**os.environ, **platform.environment()}


def test_the_classic_builder(environment: dict[str, str], tmp_path: Path) -> None:
    environment = {**environment, "DOCKER_BUILDKIT": "0"}

    def left_out(case: Case) -> frozenset[str]:
        context = write_context(case, tmp_path / str(CASES.index(case)))
        image = run(environment, "build", "--quiet", "--no-cache", str(context)).decode().strip()
        container = run(environment, "create", image, "nothing").decode().strip()
        try:
            archive = run(environment, "export", container)
        finally:
            run(environment, "rm", container)
            run(environment, "rmi", image)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            names = {member.name.removeprefix("context/") for member in tar if member.isfile()}
        return frozenset(FILES) - names

    assert_left_out(left_out, {case: case.left_out_by_classic for case in CASES})


def test_buildkit(environment: dict[str, str], tmp_path: Path) -> None:
    if subprocess.run(["docker", "buildx", "version"], env=environment, check=False).returncode:
        pytest.skip("this Docker CLI has no buildx")

    def left_out(case: Case) -> frozenset[str]:
        context = write_context(case, tmp_path / str(CASES.index(case)))
        out = context.with_name(f"{context.name}-sent")
        run(environment, "buildx", "build", "--output", f"type=local,dest={out}", str(context))
        names = {path.relative_to(out / "context").as_posix() for path in out.rglob("context/**/*")}
        return frozenset(FILES) - names

    assert_left_out(left_out, {case: case.left_out for case in CASES})


def write_context(case: Case, folder: Path) -> Path:
    """A context of FILES with the ignore file of `case`."""
    changes = {".dockerignore": case.text, "Dockerfile": "FROM scratch\nCOPY . /context/\n"}
    return write_project(folder, changes, dict.fromkeys(FILES, "x"))


def run(environment: dict[str, str], *arguments: str) -> bytes:
    """Runs the Docker CLI."""
    done = subprocess.run(["docker", *arguments], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def assert_left_out(
    left_out: Callable[[Case], frozenset[str]], expected: dict[Case, frozenset[str]]
) -> None:
    """Asks for all cases at once, and names each that is not as expected."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        found = dict(zip(expected, pool.map(left_out, expected), strict=True))
    differences = {
        case.name: sorted(found[case] ^ names)
        for case, names in expected.items()
        if found[case] != names
    }
    assert differences == {}
