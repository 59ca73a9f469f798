"""Rules on the Dockerfile."""

import posixpath
import re
from collections.abc import Iterator

from astro_pulumi.project import base_image_tag
from astro_pulumi.project.dockerfile import (
    INSTRUCTIONS,
    BaseImage,
    Dockerfile,
    FromError,
    base_image,
)
from astro_pulumi.project.dockerignore_patterns import DockerIgnore
from astro_pulumi.project.image_files import DOCKERFILE, LOCAL_ONLY, Listing
from astro_pulumi.project.lint import rules
from astro_pulumi.project.lint.findings import Finding
from astro_pulumi.project.lint.lint_context import EXAMPLE_FROM, LintContext

_UNPREDICTABLE = re.compile(r"[$*?\[\\]|^<<|://|^git@")  # only the build knows these sources


def check_from(dockerfile: Dockerfile) -> tuple[BaseImage | None, list[Finding]]:
    """Return the base image, or None if it is unknown, and the findings about FROM."""
    first = next((each for each in dockerfile.instructions if each.keyword != "ARG"), None)
    if first is None or first.keyword != "FROM":
        if first is None:
            problem = "there is no FROM" if dockerfile.instructions else "the Dockerfile is empty"
        elif first.keyword in INSTRUCTIONS:
            problem = "the first instruction must be FROM; only ARG may come before it"
        else:
            problem = f"{first.keyword} is not a Dockerfile instruction, and FROM is expected here"
        return None, [
            rules.NO_FROM.broken_by(
                DOCKERFILE,
                problem,
                f"Begin with the Airflow image to build on: {EXAMPLE_FROM}",
                first.line if first else 1,
            )
        ]
    try:
        base = base_image(dockerfile)
    except FromError as error:
        return None, [_bad_from(error)]
    return base, [] if base is None else list(_check_base(base))


def _bad_from(error: FromError) -> Finding:
    if error.variable is None:
        problem = "FROM takes one image, and optionally AS and the name of the stage"
        remedy = f"Write it like this: {EXAMPLE_FROM}"
    else:
        problem = f"FROM uses ${error.variable}, which has no value before FROM"
        remedy = f"Give it a value above FROM: ARG {error.variable}=..."
    return rules.BAD_FROM.broken_by(DOCKERFILE, problem, remedy, error.line)


def _check_base(base: BaseImage) -> Iterator[Finding]:
    version = base_image_tag.airflow_version(base)
    if not base.is_valid:
        yield rules.BAD_FROM.broken_by(
            DOCKERFILE,
            f"{base.reference!r} is not the name of an image",
            f"Write registry/repository:tag in lower case, for example: {EXAMPLE_FROM}",
            base.line,
        )
    elif base_image_tag.is_certified(base) or (
        version and not base_image_tag.is_supported(version)
    ):
        what = f"carries Airflow {version}" if version else "is Astronomer Certified"
        yield rules.UNSUPPORTED_AIRFLOW.broken_by(
            DOCKERFILE,
            f"{base.reference} {what}, which cannot be deployed",
            f"Build on an image with {base_image_tag.supported_versions()}, for example: {EXAMPLE_FROM}",
            base.line,
        )
    elif version is None:
        yield rules.UNKNOWN_AIRFLOW.broken_by(
            DOCKERFILE,
            f"{base.reference} does not tell its Airflow version",
            "Give the version to the Deployment: airflow_version.",
            base.line,
        )


def check_dockerfile(context: LintContext) -> Iterator[Finding]:
    """Check all instructions except FROM."""
    if not context.dockerfile.has_own_frontend:
        for instruction in context.dockerfile.instructions[1:]:  # `check_from` reads the first
            if instruction.keyword not in INSTRUCTIONS:
                yield rules.UNKNOWN_INSTRUCTION.broken_by(
                    DOCKERFILE,
                    f"{instruction.keyword} is not a Dockerfile instruction",
                    "If the line continues the one above, end that one with a backslash.",
                    instruction.line,
                )
    for instruction in context.dockerfile.built:
        if instruction.keyword not in ("COPY", "ADD") or instruction.flag("from") is not None:
            continue
        for source in instruction.words[:-1]:
            path = posixpath.normpath(f"/{source}").lstrip("/")
            if not _UNPREDICTABLE.search(source) and not _is_there(path, context.listing):
                problem, remedy = _why_not_there(path, context.listing)
                yield rules.NOTHING_TO_COPY.broken_by(
                    DOCKERFILE,
                    f"{instruction.keyword} of {source}: {problem}",
                    remedy,
                    instruction.line_with(source),
                )


def _is_there(path: str, listing: Listing) -> bool:
    if path in listing.by_path or listing.has_directory(path):
        return True
    # A parent folder may be a link, which the build follows.
    return any(path.startswith(f"{file.path}/") for file in listing.files if file.is_link)


def _why_not_there(path: str, listing: Listing) -> tuple[str, str]:
    """Return the reason why the build cannot copy `path`, and one remedy for all reasons."""
    if DockerIgnore(LOCAL_ONLY).ignores(path):
        return (
            "it belongs to the local Airflow and is never part of an image",
            "Remove it from the instruction. Give settings, Connections and Variables to the "
            "Deployment: environment, secret_environment, connections, variables.",
        )
    exists = (listing.directory / path).exists()
    if listing.ignore_file.rules.ignores(path):
        name = listing.ignore_file.name
        return (
            f"{name} excludes it" + ("" if exists else ", and there is no such file"),
            f"Add the line !{path} at the end of {name}"
            + ("." if exists else ", and add the file."),
        )
    if exists:
        return (
            "the directory is empty, and git does not keep empty directories",
            f"Add an empty file {path}/.gitkeep.",
        )
    return (
        "there is no such file in the project",
        "Correct the path, relative to the project, or add the file.",
    )
