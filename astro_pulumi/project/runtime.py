"""What is known of a base image by its name: which Airflow and Python it has, what it does itself."""

import re
from typing import Final

from astro_pulumi.airflow.facts import AIRFLOW
from astro_pulumi.airflow.version import AirflowVersion, version_in_image
from astro_pulumi.project.dockerfile import BaseImage

# Where Astronomer publishes Astro Runtime; a runtime of these is known by its tag, or not at all.
_ASTRONOMER: Final = re.compile(
    r"^(?:quay\.io/astronomer|astrocrpublic\.azurecr\.io|images\.astronomer\.cloud/baseimages)/"
)
_PYTHON = re.compile(r"-python-?(\d+)\.(\d+)(?=-|$)")


def airflow_version(base: BaseImage) -> AirflowVersion | None:
    """The Airflow that the image carries; None when its tag does not say."""
    return version_in_image(base.reference)


def is_supported(version: AirflowVersion) -> bool:
    """Whether this package can deploy it."""
    facts = AIRFLOW.get(version.major)
    return facts is not None and version.minor >= facts.oldest_minor


def supported_versions() -> str:
    """`Airflow 2 from 2.7 on, or Airflow 3`."""
    return ", or ".join(
        f"Airflow {major}"
        + (f" from {major}.{facts.oldest_minor} on" if facts.oldest_minor else "")
        for major, facts in sorted(AIRFLOW.items())
    )


def is_certified(base: BaseImage) -> bool:
    """Whether it is Astronomer Certified, which came before Astro Runtime and ended with Airflow 2.4."""
    return base.name.endswith("/ap-airflow")


def is_from_astronomer(base: BaseImage) -> bool:
    """Whether it comes from one of Astronomer's own registries."""
    return bool(_ASTRONOMER.match(base.reference))


def installs_project(base: BaseImage) -> bool | None:
    """Whether `ONBUILD` of the image installs `packages.txt`, `requirements.txt` and the project.

    None when its name does not say.
    """
    if is_certified(base):
        return (base.tag or "").endswith("-onbuild")
    if airflow_version(base) is None:
        return None
    return not base.name.endswith("/airflow") and not (base.tag or "").endswith("-base")


def python_version(base: BaseImage) -> tuple[int, int] | None:
    """The Python that the image carries; None when its tag does not say."""
    match = _PYTHON.search(base.tag or "")
    return (int(match[1]), int(match[2])) if match else None
