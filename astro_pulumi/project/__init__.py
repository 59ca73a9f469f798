"""An Astro project on disk: read it, know what of it goes into the image, and name that by content."""

from astro_pulumi.project.reader import Project, read_project

__all__ = ["Project", "read_project"]
