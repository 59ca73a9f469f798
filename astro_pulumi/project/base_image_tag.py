"""Read Airflow version, Python version and `ONBUILD` of a base image from its name and tag."""

import re

from astro_pulumi.airflow.version import AirflowVersion, version_in_image
from astro_pulumi.airflow.version_differences import AIRFLOW
from astro_pulumi.project.dockerfile import BaseImage

_PYTHON = re.compile(r"-python-?(\d+)\.(\d+)(?=-|$)")


def airflow_version(base: BaseImage) -> AirflowVersion | None:
    """Return the Airflow version of the image; None if its tag does not name one."""
    return version_in_image(base.reference)


def is_supported(version: AirflowVersion) -> bool:
    """Return whether this package can deploy the version."""
    facts = AIRFLOW.get(version.major)
    return facts is not None and version.minor >= facts.oldest_minor


def supported_versions() -> str:
    """Return the versions in words: `Airflow 2 from 2.7 on, or Airflow 3`."""
    return ", or ".join(
        f"Airflow {major}"
        + (f" from {major}.{facts.oldest_minor} on" if facts.oldest_minor else "")
        for major, facts in sorted(AIRFLOW.items())
    )


def is_certified(base: BaseImage) -> bool:
    """Return whether the image is Astronomer Certified, which ended with Airflow 2.4."""
    return base.name.endswith("/ap-airflow")


def installs_project(base: BaseImage) -> bool | None:
    """Return whether the image's `ONBUILD` installs the project; None if its name does not tell."""
    if is_certified(base):
        return (base.tag or "").endswith("-onbuild")
    if airflow_version(base) is None:
        return None
    return not base.name.endswith("/airflow") and not (base.tag or "").endswith("-base")


def python_version(base: BaseImage) -> tuple[int, int] | None:
    """Return the Python version of the image; None if its tag does not name one."""
    match = _PYTHON.search(base.tag or "")
    return (int(match[1]), int(match[2])) if match else None
