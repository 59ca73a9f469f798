"""What the rules look at: a project's files and Dockerfile, read once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

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


Check = Callable[[Subject], Iterator[Finding]]

# Looks at the content of one file; all of them share one reading of it.
ContentCheck = Callable[[ProjectFile, bytes], Iterator[Finding]]
