"""A Docker build context on disk: its files, its hash, its archive."""

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from astro_pulumi.project.dockerignore_patterns import DockerIgnore
from local.pulumi.plugin import ResourceError

# Time stamp of every file in the archive, so that equal projects give equal bytes. Not 1970, since zip files
# (such as a wheel that is built from the context) cannot have times before 1980.
_FILE_TIME: Final = 946684800


@dataclass(frozen=True)
class BuildContext:
    """A directory and the Dockerfile to build it with."""

    root: Path
    shown_root: str  # as the program gave it
    dockerfile: Path
    dockerfile_name: str  # relative to the root: "Dockerfile", "../other/Dockerfile"
    ignore: DockerIgnore

    @classmethod
    def open(cls, context: str, dockerfile: str, directory: Path) -> "BuildContext":
        """Return the context at two paths relative to `directory`.

        Raises:
            ResourceError: A path does not exist.
        """
        root, path = directory / context, directory / dockerfile
        if not root.is_dir():
            raise ResourceError(f"build.context: there is no directory {context!r}")
        if not path.is_file():
            better = os.path.normpath(f"{context}/{dockerfile}")
            hint = f"; did you mean {better!r}?" if (directory / better).is_file() else ""
            raise ResourceError(f"build.dockerfile: there is no file {dockerfile!r}{hint}")
        files = (path.with_name(f"{path.name}.dockerignore"), root / ".dockerignore")
        rules = next((file.read_text().splitlines() for file in files if file.is_file()), ())
        name = Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()
        return cls(root, context, path, name, DockerIgnore(rules))

    @property
    def name_in_archive(self) -> str:
        """Name of the Dockerfile for the daemon. A Dockerfile from outside the context gets a unique name."""
        if not self.dockerfile_name.startswith("../"):
            return self.dockerfile_name
        return f".dockerfile.{hashlib.sha256(self.dockerfile.read_bytes()).hexdigest()[:20]}"

    def _entries(self, folder: str = "") -> Iterator[tuple[str, Path]]:
        """Yield relative path and path on disk of each entry, in pulumi-docker's order."""
        found = sorted(os.scandir(self.root / folder), key=lambda entry: os.fsencode(entry.name))
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            ignored = self.ignore.ignores(path)
            if not ignored:
                yield path, Path(entry.path)
            if entry.is_dir(follow_symlinks=False) and (not ignored or self.ignore.has_exceptions):
                yield from self._entries(path)

    def digest(self) -> str:
        """Return pulumi-docker's hash: names, modes and contents; of links their targets."""
        whole = hashlib.sha256()

        def add(name: str, mode: str, content: bytes) -> None:
            whole.update(name.encode() + mode.encode() + hashlib.sha256(content).digest() + b"\0")

        # Of the Dockerfile only the content counts, not its name and mode.
        add("Dockerfile", "----------", self.dockerfile.read_bytes())
        for name, path in self._entries():
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                add(name, "Lrwxrwxrwx", self._link_target(path).encode())
            elif stat.S_ISREG(mode):
                add(name, _go_mode(mode), path.read_bytes())
        return whole.hexdigest()

    def _link_target(self, path: Path) -> str:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise ResourceError(f"{path}: the link leads nowhere ({path.readlink()})") from error
        if Path(self.shown_root).is_absolute() or path.readlink().is_absolute():
            return target.as_posix()
        inside = os.path.relpath(target, self.root.resolve())
        return Path(os.path.normpath(Path(self.shown_root) / inside)).as_posix()

    def write(self, archive: IO[bytes]) -> None:
        """Write a tar archive that depends on names, modes and contents only."""
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
            written = set()
            for name, path in self._entries():
                written.add(name)
                _add(tar, name, path)
            # The daemon needs the Dockerfile even if an ignore file excludes it.
            if self.name_in_archive not in written:
                _add(tar, self.name_in_archive, self.dockerfile)


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    info = tar.gettarinfo(path, arcname=name)
    if info is None:  # a socket, for example
        return
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = _FILE_TIME
    if info.isreg():
        with path.open("rb") as content:
            tar.addfile(info, content)
    else:
        info.type = tarfile.REGTYPE if info.islnk() else info.type
        tar.addfile(info)


def _go_mode(mode: int) -> str:
    """Return file permissions in Go's format: like `ls`, with special bits first."""
    bits = ((stat.S_ISUID, "u"), (stat.S_ISGID, "g"), (stat.S_ISVTX, "t"))
    special = "".join(letter for bit, letter in bits if mode & bit)
    return (special or "-") + stat.filemode(mode & 0o777)[1:]
