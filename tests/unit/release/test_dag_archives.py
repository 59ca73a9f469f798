"""Archives of `dags/`: the same on every machine, unpacked as they were, found where an image has them."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.release.pod_file import load

dags = load("astro_dags")
KEY = "k" * 48


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder `dags/` with what can be in one."""
    made = tmp_path / "home" / "dags"
    (made / "sub" / "empty").mkdir(parents=True)
    (made / "sales.py").write_text("import lib\n")
    (made / "sub" / "query.sql").write_text("SELECT 1")
    (made / ".airflowignore").write_text("sub/\n")
    (made / "naïve ☃.yaml").write_text("a: 1")
    Path(os.fsdecode(os.fsencode(made) + b"/latin-\xe9.txt")).write_text("not UTF-8")
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o755)
    (made / "link.sql").symlink_to("sub/query.sql")
    (made / "helpers").symlink_to("../include")
    (made / "__pycache__").mkdir()
    (made / "__pycache__" / "sales.pyc").write_bytes(b"\0")
    (made / ".astro-pulumi").write_text("of the image without DAGs")
    (tmp_path / "home" / "include").mkdir()
    (tmp_path / "home" / "include" / "helper.py").write_text("ANSWER = 42\n")
    (tmp_path / "home" / "logs").mkdir()
    return made


def unpacked(folder: Path, where: Path, version: str | None = None) -> Path:
    home = where / "versions" / "1"
    dags.unpack(dags.pack(folder)[1], home, folder.parent, version)
    return home / "dags"


def test_an_unpacked_archive_is_what_was_packed(folder: Path, tmp_path: Path) -> None:
    found = unpacked(folder, tmp_path)
    names = sorted(os.fsencode(path.relative_to(found)) for path in found.rglob("*"))
    assert names == sorted(
        (
            *(b".airflowignore", b"helpers", "latin-é.txt".encode("latin-1"), b"link.sql"),
            *("naïve ☃.yaml".encode(), b"run.sh", b"sales.py", b"sub", b"sub/query.sql"),
        )
    )
    assert (found / "link.sql").read_text() == "SELECT 1"
    assert (found / "link.sql").is_symlink()
    assert os.access(found / "run.sh", os.X_OK)
    assert not os.access(found / "sales.py", os.X_OK)


def test_links_out_of_the_folder_lead_into_the_image(folder: Path, tmp_path: Path) -> None:
    found = unpacked(folder, tmp_path)
    assert (found / "helpers" / "helper.py").read_text() == "ANSWER = 42\n"
    assert (found.parent / "include").readlink() == folder.parent / "include"
    assert not (found.parent / "logs").exists()


def test_unpacked_files_are_new(folder: Path, tmp_path: Path) -> None:
    os.utime(folder / "sales.py", (0, 0))
    before = time.time() - 1
    assert (unpacked(folder, tmp_path) / "sales.py").stat().st_mtime > before


def test_the_digest_depends_on_names_contents_and_executable_bits_alone(folder: Path) -> None:
    digest = dags.pack(folder)[0]
    os.utime(folder / "sales.py", (0, 0))
    (folder / "sales.py").chmod(0o600)
    assert dags.pack(folder)[0] == digest
    (folder / "sales.py").chmod(0o700)
    assert dags.pack(folder)[0] != digest
    (folder / "sales.py").chmod(0o644)
    (folder / "sales.py").write_text("import other\n")
    assert dags.pack(folder)[0] != digest


def test_the_digest_is_the_same_with_every_version_of_this_package(tmp_path: Path) -> None:
    (tmp_path / "sales.py").write_text("print(1)\n")
    digest, content = dags.pack(tmp_path)
    assert digest == dags.digest_of(content)
    # If this differs, a deploy with the new version of the package stores every project's DAGs again.
    assert digest == "0bcad9c7dd42bbda277f0f21b8de3e1f0c63164557063e03e578fcb7e0f3f4fd"


def test_a_damaged_archive_is_refused(folder: Path, tmp_path: Path) -> None:
    digest, _ = dags.pack(folder)
    unpacked(folder, tmp_path / "right", dags.version_name(7, digest))
    with pytest.raises(ValueError, match="damaged"):
        unpacked(folder, tmp_path / "wrong", "7-000000000000")
    assert not (tmp_path / "wrong").exists()


def test_a_version_that_another_process_unpacked_meanwhile_is_right(
    folder: Path, tmp_path: Path
) -> None:
    found = unpacked(folder, tmp_path)
    assert unpacked(folder, tmp_path) == found
    assert [path.name for path in found.parent.parent.iterdir()] == ["1"]


def adopted(home: Path, image: Path, code: str, **environment: str) -> str:
    """What `code` prints in a process that has adopted a version."""
    script = f"""
import sys
sys.path.insert(0, {str(Path(dags.__file__).parent)!r})
import astro_dags
from pathlib import Path
astro_dags.adopt(Path({str(home)!r}))
# Airflow's command has neither of them on its path.
sys.path[:] = [path for path in sys.path if path not in ("", {str(Path(dags.__file__).parent)!r})]
{code}
"""
    variables = {"AIRFLOW_HOME": str(image), "PYTHONPATH": str(image), **environment}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **variables},
        cwd=image,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def version(folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The home of a version, and AIRFLOW_HOME of an image without DAGs."""
    (folder / "lib.py").write_text("CODE = 'bundle'\n")
    home = unpacked(folder, tmp_path / "bundles").parent
    image = folder.parent
    for path in sorted((image / "dags").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    return home, image


@pytest.mark.parametrize(
    "code",
    [
        "from dags.lib import CODE; print(CODE)",
        "import os; print(open(os.environ['AIRFLOW_HOME'] + '/dags/lib.py').read()[8:14])",
        "import os; print(open(os.environ['AIRFLOW__CORE__DAGS_FOLDER'] + '/lib.py').read()[8:14])",
        "print(open('dags/lib.py').read()[8:14])",
        # A task's own subprocess, such as one of a BashOperator.
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'from dags.lib import CODE; print(CODE)'])",
        "import subprocess; subprocess.run('cut -c9-14 $AIRFLOW_HOME/dags/lib.py', shell=True)",
    ],
)
def test_dags_are_found_where_an_image_has_them(version: tuple[Path, Path], code: str) -> None:
    assert adopted(*version, code) == "bundle"


def test_the_rest_of_the_project_is_imported_from_the_image(version: tuple[Path, Path]) -> None:
    home, image = version
    printed = adopted(home, image, "import include.helper; print(include.helper.__file__)")
    assert printed == str(image / "include" / "helper.py")


def test_another_version_replaces_the_one_before(
    version: tuple[Path, Path], tmp_path: Path
) -> None:
    home, image = version
    other = tmp_path / "bundles" / "versions" / "2"
    (home / "dags" / "lib.py").write_text("CODE = 'newer!'\n")
    dags.unpack(dags.pack(home / "dags")[1], other, image)
    code = (
        f"astro_dags.adopt(Path({str(other)!r})); from dags.lib import CODE\n"
        f"print(CODE, sys.path.count({str(home)!r}))"
    )
    assert adopted(home, image, code) == "newer! 0"


def test_a_project_that_is_not_on_the_path_stays_off_it(version: tuple[Path, Path]) -> None:
    home, image = version
    assert adopted(home, image, f"print({str(home)!r} in sys.path)", PYTHONPATH="") == "False"


def test_a_signature_is_for_one_path_and_a_short_time() -> None:
    signed = dags.sign("/archives/7-abc", KEY, 1000.0)
    assert dags.is_signed("/archives/7-abc", KEY, signed, 1001.0)
    assert not dags.is_signed("/archives/8-abc", KEY, signed, 1001.0)
    assert not dags.is_signed("/archives/7-abc", "another", signed, 1001.0)
    assert not dags.is_signed("/archives/7-abc", KEY, signed, 1000.0 + dags.VALIDITY + 1)
    until, _, mac = signed.partition(":")
    assert not dags.is_signed("/archives/7-abc", KEY, f"{int(until) + 9}:{mac}", 1001.0)


@pytest.mark.parametrize("given", ["", ":", "x:y", "99999999999:abc", "1001:é"])
def test_anything_else_is_no_signature(given: Any) -> None:
    assert not dags.is_signed("/archives/7-abc", KEY, given, 1000.0)


def test_folders_of_a_version_can_be_read_by_other_users(folder: Path, tmp_path: Path) -> None:
    found = unpacked(folder, tmp_path)
    for path in (found.parent, found, found / "sub"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o005 == 0o005
