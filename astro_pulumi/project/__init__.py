"""An Astro project on disk: its files, its Dockerfile, its problems."""

from astro_pulumi.project.astro_project import Project, read_project

__all__ = ["Project", "read_project"]
