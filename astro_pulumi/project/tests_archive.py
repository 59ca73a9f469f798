"""The tests of a project, for an image that does not contain them."""

import gzip
import io
import tarfile
from typing import Final

from astro_pulumi.errors import ProjectError
from astro_pulumi.project.astro_project import Project
from astro_pulumi.project.dockerignore_patterns import DockerIgnore
from astro_pulumi.project.image_files import LOCAL_ONLY

_FOLDER: Final = "tests"
# A ConfigMap holds 1 MiB, and base64 turns three bytes into four.
_MOST_BYTES: Final = 700 << 10


def missing_tests(project: Project) -> bytes | None:
    """Return `tests/` as `tar.gz` if `.dockerignore` keeps a part of it out of the image; None otherwise.

    Raises:
        ProjectError: There are no tests, or they are too large.
    """
    local_only = DockerIgnore(LOCAL_ONLY)
    files = {
        path.relative_to(project.directory).as_posix(): path
        for path in sorted((project.directory / _FOLDER).rglob("*"))
        if path.is_file()
    }
    files = {name: path for name, path in files.items() if not local_only.ignores(name)}
    if not files:
        raise ProjectError(f"{project.directory / _FOLDER}: there are no tests to run")
    if files.keys() <= {file.path for file in project.files}:
        return None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, path in files.items():
            content = path.read_bytes()
            entry = tarfile.TarInfo(name)  # without times and owners: the same on every machine
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    compressed = gzip.compress(packed.getvalue(), mtime=0)
    if len(compressed) > _MOST_BYTES:
        raise ProjectError(
            f"{project.directory / _FOLDER}: {len(compressed) >> 10} KiB compressed, and at most "
            f"{_MOST_BYTES >> 10} KiB can be sent to the cluster. Let the tests into the image: remove "
            f"{_FOLDER}/ from .dockerignore"
        )
    return compressed
