"""Read the arguments of images: the project, the registry, and Airflow's version in the image."""

from pathlib import Path

import pulumi

from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.airflow.version_differences import AIRFLOW
from astro_pulumi.args import ProjectImageArgs
from astro_pulumi.args.images import Registry
from astro_pulumi.deployment_spec import ImageSource
from astro_pulumi.errors import ArgumentError
from astro_pulumi.project import base_image_tag, build_secrets, read_project
from astro_pulumi.project.dockerfile import BaseImage
from astro_pulumi.pulumi_inputs import computed
from astro_pulumi.pulumi_run_cache import cached_per_run
from astro_pulumi.validation.argument_reader import Arguments

_read_project = cached_per_run(read_project)


def specify_image(args: ProjectImageArgs) -> ImageSource:
    """Validate the arguments of `ProjectImage` and read the project.

    Raises:
        ArgumentError: An argument is wrong; the message names it.
        ProjectError: A file of the project is wrong; the message names it.
    """
    return read_image_source(Arguments(args, ProjectImageArgs))


def read_image_source(given: Arguments, accept: frozenset[str] = frozenset()) -> ImageSource:
    """Read the project, its registry and build secrets. Findings with a code in `accept` are no errors."""
    if not given.has("registry"):
        raise ArgumentError("registry", "is required with `project`: the image is pushed there")
    project = _read_project(Path(given.plain_text("project")), accept)
    secrets = read_build_secrets(given)
    if secrets and project.no_build_secrets:
        raise ArgumentError("build_secrets", project.no_build_secrets)
    return ImageSource(
        project=project,
        registry=read_registry(given),
        platform=given.plain_text("platform"),
        build_secrets=secrets,
    )


def read_build_secrets(given: Arguments) -> dict[str, pulumi.Input[str]]:
    """Read the variables for the installation of requirements."""

    def check_name(name: str, path: str) -> None:
        if not build_secrets.NAME.fullmatch(name):
            raise ArgumentError(path, "must be upper-case letters, digits and `_`, as pip wants it")

    return given.strings("build_secrets", check_name)


def read_registry(given: Arguments) -> Registry:
    """Read where images are pushed to and pulled from."""
    args = given.section("registry")
    repository = args.text("repository", check=_check_repository)
    if args.has("username") != args.has("password"):
        missing = "password" if args.has("username") else "username"
        raise ArgumentError(args.path(missing), "is required: a login is a username and a password")
    pull_repository = args.optional_text("pull_repository", _check_repository)
    return Registry(
        repository=repository,
        pull_repository=pull_repository,
        server=computed(_server, repository),
        pull_server=computed(_server, repository if pull_repository is None else pull_repository),
        username=args.optional_text("username"),
        password=args.optional_text("password"),
        pull_secret=args.optional_text("pull_secret"),
    )


def _server(repository: str) -> str | None:
    host, slash, _ = repository.partition("/")
    is_host = slash and ("." in host or ":" in host or host == "localhost")
    return host if is_host else None


def _check_repository(repository: str, path: str) -> str:
    last = repository.rsplit("/", 1)[-1]
    if ":" in last or "@" in repository:
        raise ArgumentError(
            path,
            f"{repository!r} must not carry a tag or digest: the tag is made from the content",
        )
    if repository != repository.lower():
        raise ArgumentError(path, f"{repository!r} must be lower-case")
    return repository


def read_airflow_version(given: Arguments, source: ImageSource | None) -> AirflowVersion:
    """Return the version in the arguments, or in the tag of the project's base image."""
    if text := given.optional_plain_text("airflow_version"):
        try:
            version = AirflowVersion.parse(text)
        except ValueError as error:
            raise ArgumentError("airflow_version", str(error)) from None
    elif source is None:
        raise ArgumentError(
            "airflow_version", "is required with `image`. State it as 3.1 or 2.10.4"
        )
    elif source.project.airflow_version is None:
        base = source.project.base_image
        raise ArgumentError(
            "airflow_version",
            f"is required: {source.project.directory / 'Dockerfile'}:{base.line} builds on "
            f"{base.reference}, whose tag does not say which Airflow it carries. State it as 3.1 or 2.10.4",
        )
    else:
        version = source.project.airflow_version
    if not base_image_tag.is_supported(version):
        known = " and ".join(f"{major}.{AIRFLOW[major].oldest_minor}" for major in AIRFLOW)
        raise ArgumentError(
            "airflow_version", f"{version} cannot be deployed; Airflow from {known} on can"
        )
    return version


def check_image(reference: str, path: str) -> str:
    """Refuse a reference that Kubernetes would refuse when the Deployment is half made."""
    if not BaseImage(reference, 1).is_valid:
        raise ArgumentError(
            path,
            f"{reference!r} is no reference of an image: it must be one such as postgres:17 or "
            "ghcr.io/acme/analytics@sha256:<64 digits>, with the name in lower case",
        )
    return reference
