"""Images: where they are pushed to and pulled from, and `ProjectImage`, which builds one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NotRequired, TypedDict

import pulumi

from astro_pulumi.args.default_types import Default, Defaults

DEFAULTS: Final[Defaults] = {
    "ProjectImageArgs": {"platform": Default("linux/amd64")},
}


class RegistryArgs(TypedDict):
    """Where the image is pushed to and pulled from."""

    repository: pulumi.Input[str]
    """Repository without a tag: `ghcr.io/acme/analytics`. The tag is made from the project's content."""
    username: NotRequired[pulumi.Input[str]]
    """User to push as. The pull Secret has the same login. Default: no login."""
    password: NotRequired[pulumi.Input[str]]
    """Password or token of `username`. Kept secret."""
    pull_repository: NotRequired[pulumi.Input[str]]
    """Name of the same repository in the cluster, if it differs from the name for pushing.
    Default: `repository`."""
    pull_secret: NotRequired[pulumi.Input[str]]
    """An existing Secret of the namespace to pull with, of type `kubernetes.io/dockerconfigjson`.
    Default: one is made of `username` and `password`, or none without a login."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Validated `RegistryArgs`. Servers are the hosts of the repositories, None for Docker Hub."""

    repository: pulumi.Input[str]
    pull_repository: pulumi.Input[str] | None
    server: pulumi.Input[str | None] | None
    pull_server: pulumi.Input[str | None] | None
    username: pulumi.Input[str] | None
    password: pulumi.Input[str] | None
    pull_secret: pulumi.Input[str] | None


class ProjectImageArgs(TypedDict):
    """Arguments of `ProjectImage`: build an Astro project into an image and push it."""

    project: str
    """Path of the Astro project: the directory with `Dockerfile`, `dags/`, `requirements.txt` ..."""
    registry: RegistryArgs
    """Where the image is pushed to."""
    platform: NotRequired[str]
    """Platform of the image and of the cluster's nodes. Default: `linux/amd64`."""
    build_secrets: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Variables for the installation of `requirements.txt`, such as the password of a private package index:
    pip replaces `${NAME}` in that file, and reads its own, such as `PIP_EXTRA_INDEX_URL`. They are in
    neither the image nor its history. The base image must be one without `ONBUILD`. Kept secret."""
