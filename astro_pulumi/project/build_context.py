"""Write the build context: a copy of the files that belong into the image.

Without the copy, pulumi-docker's context hash would depend on file modes, and local Connections and `.env`
would be sent to the Docker daemon. The copy is beside the program, in a folder that git ignores: its path in
Pulumi's state must be the same on every machine.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from astro_pulumi.pod_files import astro_shared_names
from astro_pulumi.project.astro_project import Project
from astro_pulumi.project.dags import DAGS
from astro_pulumi.project.image_files import DOCKERFILE, content_of

_FOLDER: Final = Path(".astro-pulumi") / "contexts"
_KEPT_SECONDS: Final = 24 * 3600


def write_build_context(project: Project, dockerfile: str | None = None) -> str:
    """Write the build context of `project` unless it exists.

    Args:
        project: The project.
        dockerfile: A Dockerfile in the place of the project's.

    Returns:
        Its path, relative to the working directory, with `/`.
    """
    target = _FOLDER / (project.content_hash[:16] + ("" if dockerfile is None else "-dags"))
    if not target.is_dir():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        (_FOLDER.parent / ".gitignore").write_text("*\n")
        partial = Path(tempfile.mkdtemp(dir=_FOLDER, prefix=".partial-"))
        try:
            _copy(project, partial)
            if dockerfile is not None:
                (partial / DOCKERFILE).write_text(dockerfile)
            partial.chmod(0o755)
            partial.rename(target)  # atomic, for concurrent deploys
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
    if not project.has_dags:
        # Docker would not copy a folder that is not there.
        placeholder = folder / DAGS / astro_shared_names.NO_DAGS
        placeholder.parent.mkdir()
        placeholder.write_text("DAGs are deployed on their own: dag_deploys.\n")
    if project.build_steps:
        with (folder / DOCKERFILE).open("a") as dockerfile:
            dockerfile.write(f"\n{project.build_steps}")
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            Path(parent, name).chmod(0o755)


def _remove_old() -> None:
    """Remove contexts older than a day. Younger ones may belong to other images or deploys."""
    for path in _FOLDER.iterdir():
        if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
