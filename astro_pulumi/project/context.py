"""The build context: a copy of exactly the files that belong into the image.

A copy, because pulumi-docker's own context hash depends on file modes and on the targets of absolute
links, and because what must not reach the image (local Connections, `.env`) is then not even sent to
the Docker daemon. It is made beside the program, in a folder that git ignores, so that its relative
path is the same on every machine and a state written on one gives no diff on another.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from astro_pulumi.project.files import DOCKERFILE, content_of
from astro_pulumi.project.reader import Project

_FOLDER: Final = Path(".astro-pulumi") / "contexts"
_KEPT_SECONDS: Final = 24 * 3600


def write_build_context(project: Project) -> str:
    """Writes the context of `project` unless it is there already.

    :returns: its path, relative to the working directory, with `/`.
    """
    target = _FOLDER / project.content_hash[:16]
    if not target.is_dir():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        (_FOLDER.parent / ".gitignore").write_text("*\n")
        partial = Path(tempfile.mkdtemp(dir=_FOLDER, prefix=".partial-"))
        try:
            _copy(project, partial)
            partial.chmod(0o755)
            partial.rename(target)  # atomic: two engines at once both end with a whole context
        except OSError:
            if not target.is_dir():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _remove_old()
    return target.as_posix()


def _copy(project: Project, folder: Path) -> None:
    for file in project.files:
        target = folder / file.path
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True)
        if file.is_link:
            target.symlink_to(os.fsdecode(content_of(file)))
        else:
            shutil.copyfile(file.source, target)
            target.chmod(0o755 if file.executable else 0o644)
    if project.build_steps:
        with (folder / DOCKERFILE).open("a") as dockerfile:
            dockerfile.write(f"\n{project.build_steps}")
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            Path(parent, name).chmod(0o755)


def _remove_old() -> None:
    """Removes contexts of days ago. Younger ones may belong to another image of this program, or to
    an engine that runs at the same time."""
    for path in _FOLDER.iterdir():
        if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
