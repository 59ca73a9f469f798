"""DAG deploys: pods run an image of everything but `dags/`, and a second image adds the DAGs to it."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from astro_pulumi.project.build_steps import DAG_FOLDER_SETTINGS, brings_other_dags
from astro_pulumi.project.dockerfile import Dockerfile
from astro_pulumi.project.image_files import ProjectFile, content_of

DAGS: Final = "dags/"
# Build argument with the image that pods run.
PODS_IMAGE: Final = "PODS_IMAGE"
DAGS_DOCKERFILE: Final = f"""\
# Made by astro_pulumi: the image of a release with DAG deploys is the one that pods run, and the DAGs.
ARG {PODS_IMAGE}
FROM ${{{PODS_IMAGE}}}
COPY --chown=50000:0 dags/ ${{AIRFLOW_HOME}}/dags/
"""


def why_no_dag_deploys(files: Sequence[ProjectFile], dockerfile: Dockerfile) -> str | None:
    """Return why the DAGs of a project cannot be deployed on their own; None if they can."""
    paths = {file.path for file in files}
    if any(name in dockerfile.environment for name in DAG_FOLDER_SETTINGS):
        return "Dockerfile: it sets where Airflow finds DAGs, and DAG deploys need them in dags/"
    if brings_other_dags(dockerfile, paths):
        return (
            "Dockerfile: it brings DAGs from elsewhere than dags/, which only an image deploy does"
        )
    for instruction in dockerfile.final_stage:
        if instruction.keyword not in ("COPY", "ADD") or instruction.flag("from") is not None:
            continue
        for source in instruction.words[:-1]:
            if source.removeprefix("./").startswith(DAGS) and source.removeprefix("./") != DAGS:
                return (
                    f"Dockerfile:{instruction.line}: it copies {source}, and the image that pods run is "
                    "built without dags/. Move the file to another folder"
                )
    for file in files:
        if file.is_link and not file.path.startswith(DAGS) and _target(file).startswith(DAGS):
            return f"{file.path}: it is a link into dags/, and the image that pods run is built without it"
    return None


def _target(file: ProjectFile) -> str:
    """Return the path of a link's target, relative to the project, with a slash at its end."""
    parts: list[str] = []
    target = PurePosixPath(file.path).parent / content_of(file).decode(errors="replace")
    for part in target.parts:
        if part == "..":
            del parts[-1:]
        else:
            parts.append(part)
    return "/".join(parts) + "/"
