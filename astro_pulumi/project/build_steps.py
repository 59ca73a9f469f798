"""The build steps that a base image without `ONBUILD` leaves to the project's Dockerfile.

Astro Runtime installs `packages.txt` and `requirements.txt` and copies the project by itself, so most
Dockerfiles hold one line. On `apache/airflow` and on the `-base` images of Astro Runtime the same line
would make an image without a single DAG; it gets these steps instead.
"""

from typing import Final

from astro_pulumi.project import runtime
from astro_pulumi.project.dockerfile import BaseImage, Dockerfile

# By user id, which `astro` in Astro Runtime and `airflow` in apache/airflow share. What is installed may
# not change Airflow itself: its own version is required along with the rest.
_STEPS: Final = """
# Added by astro_pulumi, since the base image does not do it: install and copy the project.
USER root
COPY packages.txt ./
RUN packages=$(sed -e 's/\\r$//' -e 's/#.*//' packages.txt | tr -s '[:space:]' ' ') \\
 && if [ -n "${packages# }" ]; then apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages \\
 && rm -rf /var/lib/apt/lists/*; fi
USER 50000:0
COPY requirements.txt ./
RUN if sed -e 's/\\r$//' -e 's/#.*//' requirements.txt | grep -q '[^[:space:]]'; then \\
    airflow=$(python -c 'from importlib.metadata import version; print(version("apache-airflow"))') \\
 && python -m pip install --no-cache-dir --disable-pip-version-check \\
    --requirement requirements.txt "apache-airflow==$airflow"; fi
COPY --chown=50000:0 . ./
RUN python -m compileall -qq -f --invalidation-mode checked-hash . || true
"""


def missing_build_steps(dockerfile: Dockerfile, base: BaseImage) -> str:
    """What to add to the Dockerfile; "" when the base image or the Dockerfile itself copies the project."""
    if runtime.installs_project(base) is not False or _copies_dags(dockerfile):
        return ""
    return _STEPS


def _copies_dags(dockerfile: Dockerfile) -> bool:
    for instruction in dockerfile.final_stage:
        if instruction.keyword in ("COPY", "ADD") and instruction.flag("from") is None:
            sources = [source.removeprefix("./").rstrip("/") for source in instruction.words[:-1]]
            if any(source in ("", ".", "dags") or source.startswith("dags/") for source in sources):
                return True
    return False
