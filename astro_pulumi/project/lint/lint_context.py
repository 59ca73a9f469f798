"""Input of the checks: a project's files and Dockerfile, read once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from astro_pulumi.project import base_image_tag
from astro_pulumi.project.build_steps import installs, missing_build_steps
from astro_pulumi.project.dockerfile import BaseImage, Dockerfile
from astro_pulumi.project.image_files import REQUIREMENTS, Listing

EXAMPLE_FROM: Final = "FROM astrocrpublic.azurecr.io/runtime:3.1-5"


@dataclass(frozen=True)
class LintContext:
    """A project with a Dockerfile."""

    listing: Listing
    dockerfile: Dockerfile
    base: BaseImage | None  # None if the Dockerfile does not say, which is a finding

    @cached_property
    def build_steps(self) -> str:
        """Steps that are appended to the Dockerfile; empty if there are none."""
        if self.base is None:
            return ""
        return missing_build_steps(self.dockerfile, self.base, self.listing.by_path)

    @cached_property
    def has_onbuild(self) -> bool:
        """Whether the base image installs the project before any instruction of the Dockerfile."""
        return self.base is not None and bool(base_image_tag.installs_project(self.base))

    @cached_property
    def installs_first(self) -> bool:
        """Whether requirements.txt is installed before any other file of the project is copied."""
        if self.has_onbuild:
            return not self.dockerfile.has_own_frontend
        copies = any(each.keyword in ("COPY", "ADD") for each in self.dockerfile.final_stage)
        return f"COPY {REQUIREMENTS}" in self.build_steps and not copies

    def installs(self, file: str) -> bool:
        """Return whether the build installs `file`, that is requirements.txt or packages.txt."""
        return (
            self.has_onbuild
            or self.dockerfile.frontend_installs_project
            or f"COPY {file}" in self.build_steps
            or installs(self.dockerfile, file)
        )
