"""Archives of the folder `dags/`: pack, unpack, name and sign them.

An archive is a compressed tar file. Its digest depends on names, executable bits and contents only, so it is
the same on every machine. Unpacked, it is the `home` of one version: `dags/`, and links to everything else in
AIRFLOW_HOME, so that paths such as `$AIRFLOW_HOME/dags/query.sql` and `../include` lead to the right files.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import os
import shutil
import sys
import tarfile
import tempfile
import time
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import astro_shared_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DAGS = "dags"
_IGNORED = (astro_shared_names.NO_DAGS, "__pycache__")
# Entries of AIRFLOW_HOME that are no part of a project.
_NOT_LINKED = (DAGS, "logs", "airflow.cfg", "airflow.db", "__pycache__")
_DIGEST_LENGTH = 12
# Seconds that a signed request is valid. The clocks of nodes may differ.
VALIDITY = 120
# Paths below the webserver's root.
PREFIX = "/astro-pulumi"
ARCHIVES = "/archives"
POINTERS = "/pointers"
VERSIONS = "/versions"
SIGNATURE = "Astro-Signature"


def pack(folder: Path) -> tuple[str, bytes]:
    """Return digest and content of the archive of a folder."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in sorted(_entries(folder, ""), key=lambda entry: os.fsencode(entry[0])):
            info = tarfile.TarInfo(name)
            if path.is_symlink():
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
                tar.addfile(info)
                continue
            content = path.read_bytes()
            info.size = len(content)
            info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            tar.addfile(info, io.BytesIO(content))
    data = plain.getvalue()
    return hashlib.sha256(data).hexdigest(), zlib.compress(data, 6)


def _entries(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Yield the files and links below a folder. A folder without files is not part of an image either."""
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name in _IGNORED:
                continue
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path), f"{path}/")
            elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
                yield path, Path(entry.path)


def digest_of(content: bytes) -> str:
    """Return the digest of an archive."""
    return hashlib.sha256(zlib.decompress(content)).hexdigest()


def version_name(release: int, digest: str) -> str:
    """Return the name of a version, as the UI shows it: `12-4f9c1e2ab03d`.

    Args:
        release: Number of the first release with this content.
        digest: Digest of the archive.
    """
    return f"{release}-{digest[:_DIGEST_LENGTH]}"


def unpack(content: bytes, home: Path, airflow_home: Path, version: str | None = None) -> None:
    """Make the home of a version, all at once. Files get the current time, so that Airflow parses them.

    Args:
        content: The archive.
        home: The folder to make. Its parent is made as well.
        airflow_home: AIRFLOW_HOME of the image.
        version: Name of the version, which the content is compared with.

    Raises:
        ValueError: The archive is not that of the version, or names files outside of its folder.
    """
    plain = zlib.decompress(content)
    if version and not version.endswith("-" + hashlib.sha256(plain).hexdigest()[:_DIGEST_LENGTH]):
        raise ValueError(f"the archive of version {version} is damaged")
    home.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=home.parent, prefix=".partial-"))
    try:
        partial.chmod(0o755)
        (partial / DAGS).mkdir()
        _extract(plain, partial / DAGS)
        for entry in airflow_home.iterdir():
            if entry.name not in _NOT_LINKED:
                (partial / entry.name).symlink_to(entry)
        partial.rename(home)
    except OSError:
        if not is_complete(home):  # another process was faster
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract(plain: bytes, folder: Path) -> None:
    # Not `extractall`: its `filter` is missing in Python 3.11.2, and it sets the times of the archive.
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r") as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts:
                raise ValueError(f"the archive names {member.name!r}, outside of its folder")
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.issym():
                path.symlink_to(member.linkname)
                continue
            source = tar.extractfile(member)
            if source is not None:
                path.write_bytes(source.read())
                path.chmod(member.mode & 0o777)


def is_complete(home: Path) -> bool:
    """Return whether a version is unpacked."""
    return (home / DAGS).is_dir()


def touch(home: Path, files: Iterable[str] | None = None) -> None:
    """Give files of a version the current time, so that Airflow parses them again, the newest first.

    Args:
        home: The home of the version.
        files: The files, relative to `dags/`. Default: all.
    """
    now, folder = time.time(), home / DAGS
    for path in folder.rglob("*") if files is None else (folder / file for file in files):
        with contextlib.suppress(OSError):
            if not path.is_dir():
                os.utime(path, (now, now), follow_symlinks=False)


def changed_files(before: Path, after: Path) -> list[str]:
    """Return the Python files and archives of a version that are not in another one, relative to `dags/`."""
    found = []
    for folder, _, files in os.walk(after / DAGS):
        for name in files:
            path = Path(folder, name).relative_to(after)
            if path.suffix in (".py", ".zip") and not _is_same(before / path, after / path):
                found.append(path.relative_to(DAGS).as_posix())
    return sorted(found)


def _is_same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()
    return False


def airflow_home() -> Path:
    """Return AIRFLOW_HOME of the image, also in a process that has adopted a version."""
    given = os.environ.get(astro_shared_names.IMAGE_HOME) or os.environ.get("AIRFLOW_HOME")
    return Path(given or "~/airflow").expanduser()


def adopt(home: Path) -> None:
    """Let this process and its children find the files of a version where an image has them.

    That is below AIRFLOW_HOME, in the current directory, as the package `dags`, and in DAGS_FOLDER.
    """
    real = airflow_home()
    before = os.environ.get("AIRFLOW_HOME", str(real))
    os.environ[astro_shared_names.IMAGE_HOME] = str(real)
    os.environ["AIRFLOW_HOME"] = str(home)
    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(home / DAGS)
    # After AIRFLOW_HOME of the image, so that `include` is imported from there.
    sys.path[:] = _with_home(sys.path, str(real), before, str(home))
    if "PYTHONPATH" in os.environ:
        given = os.environ["PYTHONPATH"].split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(_with_home(given, str(real), before, str(home)))
    with contextlib.suppress(OSError):
        if Path.cwd() in (real, Path(before).resolve()) or before != str(real):
            os.chdir(home)
    for module in ("airflow.settings", "airflow.configuration"):
        if module in sys.modules:
            vars(sys.modules[module])["AIRFLOW_HOME"] = str(home)
    if "airflow.settings" in sys.modules:
        vars(sys.modules["airflow.settings"])["DAGS_FOLDER"] = str(home / DAGS)


def _with_home(paths: list[str], real: str, before: str, home: str) -> list[str]:
    """Return import paths in which `home` follows AIRFLOW_HOME of the image, if that is one of them."""
    others = [path for path in paths if path == real or path not in (before, home)]
    if real not in others:
        return others
    place = others.index(real) + 1
    return [*others[:place], home, *others[place:]]


def sign(path: str, key: str, now: float | None = None) -> str:
    """Return the value of the header `SIGNATURE` of a request.

    Args:
        path: Path of the request, below `PREFIX`.
        key: The webserver's secret key, which workers have too.
        now: The current time.
    """
    until = int((time.time() if now is None else now) + VALIDITY)
    return f"{until}:{_mac(path, key, until)}"


def is_signed(path: str, key: str, signature: str, now: float | None = None) -> bool:
    """Return whether a signature is right and has not expired."""
    until, _, mac = signature.partition(":")
    current = time.time() if now is None else now
    if not until.isdigit() or not current <= int(until) <= current + 2 * VALIDITY:
        return False
    return hmac.compare_digest(mac.encode(), _mac(path, key, int(until)).encode())


def _mac(path: str, key: str, until: int) -> str:
    # A key of its own, so that no signature of Airflow's can be used here, nor the reverse.
    own = hmac.new(key.encode(), b"astro-pulumi DAG archives", hashlib.sha256).digest()
    return hmac.new(own, f"{path}\n{until}".encode(), hashlib.sha256).hexdigest()
