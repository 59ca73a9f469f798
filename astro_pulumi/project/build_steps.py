"""Add the build steps that a base image without `ONBUILD` requires in the project's Dockerfile.

Astro Runtime's `ONBUILD` installs `packages.txt` and `requirements.txt` and copies the project, so most
Dockerfiles have a single line. With the same line, `apache/airflow` and the `-base` images of Astro Runtime
would build an image without DAGs. A Dockerfile that copies DAGs into the image itself is complete.
"""

import re
from collections.abc import Collection
from typing import Final

from astro_pulumi.project import base_image_tag
from astro_pulumi.project.build_secrets import PIP_WITH_SECRETS
from astro_pulumi.project.dockerfile import BaseImage, Dockerfile, Instruction
from astro_pulumi.project.image_files import PACKAGES, REQUIREMENTS

_HEAD: Final = """
# Added by astro_pulumi, since the base image does not do it: install and copy the project.
"""
# The user's id is the same for `astro` in Astro Runtime and `airflow` in apache/airflow.
_INSTALL_PACKAGES: Final = """\
USER root
COPY packages.txt ./
RUN packages=$(sed -e 's/\\r$//' -e 's/#.*//' packages.txt | tr -s '[:space:]' ' ') \\
 && if [ -n "${packages# }" ]; then apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages \\
 && rm -rf /var/lib/apt/lists/*; fi
"""
# Airflow's installed version is a requirement too, so that no other requirement replaces Airflow.
_INSTALL_REQUIREMENTS: Final = f"""\
COPY requirements.txt ./
RUN if sed -e 's/\\r$//' -e 's/#.*//' requirements.txt | grep -q '[^[:space:]]'; then \\
    airflow=$(python -c 'from importlib.metadata import version; print(version("apache-airflow"))') \\
 && python -c '{PIP_WITH_SECRETS}' install --no-cache-dir --disable-pip-version-check \\
    --requirement requirements.txt "apache-airflow==$airflow"; fi
"""
_COPY_PROJECT: Final = """\
COPY --chown=50000:0 . ./
RUN python -m compileall -qq -f --invalidation-mode checked-hash . || true
"""

# Settings that name the folder of the DAGs. A Dockerfile that sets one also fills the folder.
DAG_FOLDER_SETTINGS: Final = (
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST",
)
_DAG_FOLDER = re.compile(r"(?:^|/)(?:[\w.-]+[_-])?dags(?=/|$)", re.IGNORECASE)
_RUN_BRINGS_DAGS = re.compile(
    r"\b(?:cp|mv|ln|rsync|clone|curl|wget|tar|unzip)\b[^&|;]*[\s/._-]dags\b", re.IGNORECASE
)


def missing_build_steps(dockerfile: Dockerfile, base: BaseImage, files: Collection[str]) -> str:
    """Return the lines to append to the Dockerfile; empty if it is complete.

    Args:
        dockerfile: The project's Dockerfile.
        base: Its base image.
        files: Paths of all files in the build context. Steps for missing files are left out.
    """
    if (
        base_image_tag.installs_project(base) is not False
        or dockerfile.frontend_installs_project
        or brings_other_dags(dockerfile, files)
        or any(map(_copies_own_dags, dockerfile.final_stage))
    ):
        return ""
    steps = _HEAD
    if _needs_step(PACKAGES, dockerfile, files):
        steps += _INSTALL_PACKAGES
    steps += "USER 50000:0\n"
    if _needs_step(REQUIREMENTS, dockerfile, files):
        steps += _INSTALL_REQUIREMENTS
    return steps + _COPY_PROJECT


def brings_other_dags(dockerfile: Dockerfile, files: Collection[str]) -> bool:
    """Return whether the final stage copies DAGs from elsewhere than the project's dags/."""
    return any(name in dockerfile.environment for name in DAG_FOLDER_SETTINGS) or any(
        _brings_dags(instruction, files) and not _copies_own_dags(instruction)
        for instruction in dockerfile.final_stage
    )


def installs(dockerfile: Dockerfile, file: str) -> bool:
    """Return whether the final stage runs a command on `file`, such as `pip install -r file`."""
    return any(
        file in text
        for instruction in dockerfile.final_stage
        if instruction.keyword == "RUN"
        for _, text in instruction.lines
    )


def _needs_step(file: str, dockerfile: Dockerfile, files: Collection[str]) -> bool:
    return file in files and not installs(dockerfile, file)


def _copies_own_dags(instruction: Instruction) -> bool:
    return any(source in ("", ".", "*", "dags", "dags/*") for source in _sources(instruction))


def _brings_dags(instruction: Instruction, files: Collection[str]) -> bool:
    if instruction.keyword == "RUN":
        return any(_RUN_BRINGS_DAGS.search(text) for _, text in instruction.lines)
    if instruction.keyword not in ("COPY", "ADD") or len(instruction.words) < 2:
        return False
    target = instruction.words[-1]
    if _DAG_FOLDER.search(target):
        # `COPY dbt /usr/local/airflow/dags/dbt` does not bring the project's own dags/.
        has_own = any(path.startswith("dags/") for path in files)
        return not has_own or bool(re.search(r"dags/?$", target, re.IGNORECASE))
    return any(_holds_dags(source, files) for source in _sources(instruction))


def _holds_dags(source: str, files: Collection[str]) -> bool:
    if _DAG_FOLDER.search(source):  # but not dags/requirements.txt
        return source.endswith((".py", "*")) or source not in files
    return any(path.startswith(f"{source}/dags/") for path in files)


def _sources(instruction: Instruction) -> list[str]:
    """Return the sources of COPY or ADD in the build context."""
    if instruction.keyword not in ("COPY", "ADD") or instruction.flag("from") is not None:
        return []
    return [source.removeprefix("./").strip("/") for source in instruction.words[:-1]]
