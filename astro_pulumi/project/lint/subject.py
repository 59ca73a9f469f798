"""What the rules look at: a project's files and Dockerfile, read once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from astro_pulumi.project import runtime
from astro_pulumi.project.build_steps import missing_build_steps
from astro_pulumi.project.dockerfile import BaseImage, Dockerfile
from astro_pulumi.project.files import Listing, ProjectFile
from astro_pulumi.project.findings import Finding

# What a remedy shows to who has to write a FROM.
EXAMPLE_FROM: Final = "FROM astrocrpublic.azurecr.io/runtime:3.1-5"


@dataclass(frozen=True)
class Subject:
    """A project with a Dockerfile."""

    listing: Listing
    dockerfile: Dockerfile
    base: BaseImage | None  # None: the Dockerfile does not say, which is a finding of its own

    @cached_property
    def installs_requirements(self) -> bool:
        """Whether `packages.txt` and `requirements.txt` are installed without the Dockerfile's doing:
        by the base image, or by the steps that are added where it does not."""
        if self.base is None:
            return False
        return bool(
            runtime.installs_project(self.base) or missing_build_steps(self.dockerfile, self.base)
        )

    @cached_property
    def copies_nothing_before(self) -> bool:
        """Whether no other file of the project is in the image when that happens."""
        if self.base is None or not self.installs_requirements:
            return False
        if runtime.installs_project(self.base):  # ONBUILD comes first of all
            return not self.dockerfile.has_own_frontend
        return not any(each.keyword in ("COPY", "ADD") for each in self.dockerfile.final_stage)


Check = Callable[[Subject], Iterator[Finding]]

# Looks at the content of one file; all of them share one reading of it.
ContentCheck = Callable[[ProjectFile, bytes], Iterator[Finding]]
