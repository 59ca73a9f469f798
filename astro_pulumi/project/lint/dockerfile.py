"""Rules on the Dockerfile and on the scripts that the build runs."""

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from astro_pulumi.project import runtime
from astro_pulumi.project.dockerfile import (
    INSTRUCTIONS,
    BaseImage,
    Dockerfile,
    FromError,
    Instruction,
    base_image,
)
from astro_pulumi.project.files import DOCKERFILE, LOCAL_ONLY, Listing, ProjectFile
from astro_pulumi.project.findings import Finding
from astro_pulumi.project.ignore import DockerIgnore
from astro_pulumi.project.lint import rules
from astro_pulumi.project.lint.subject import EXAMPLE_FROM, ContentCheck, Subject

_INITS: Final = frozenset({"tini", "dumb-init", "docker-init", "entrypoint"})
_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh"})
# `exec "$@"`, and `exec /entrypoint "$@"`: the script becomes the command.
_BECOMES_COMMAND = re.compile(rb"^\s*exec\s.*\$[@*{]|^\s*exec\s.*/entrypoint", re.MULTILINE)
_INTERPRETED = re.compile(rb"^#!")


def check_from(dockerfile: Dockerfile) -> tuple[BaseImage | None, list[Finding]]:
    """The base image, and what is wrong with how it is named; None where it cannot be told."""
    if not dockerfile.instructions:
        return None, [
            rules.EMPTY_DOCKERFILE.broken_by(
                DOCKERFILE,
                "the Dockerfile is empty",
                f"Name the Airflow image to build on: {EXAMPLE_FROM}",
                1,
            )
        ]
    first = next((each for each in dockerfile.instructions if each.keyword != "ARG"), None)
    if first is None or first.keyword != "FROM":
        line = first.line if first else None
        unknown = first is not None and first.keyword not in INSTRUCTIONS
        return None, [
            rules.NO_FROM.broken_by(
                DOCKERFILE,
                f"{first.keyword} is not a Dockerfile instruction, and stands where FROM belongs"
                if unknown and first
                else "the first instruction must be FROM; only ARG may come before it",
                f"Begin with the Airflow image to build on: {EXAMPLE_FROM}",
                line,
            )
        ]
    try:
        base = base_image(dockerfile)
    except FromError as error:
        return None, [_unreadable_from(error)]
    return base, [] if base is None else list(_check_base(base))


def _unreadable_from(error: FromError) -> Finding:
    if error.variable is None:
        return rules.BAD_FROM.broken_by(
            DOCKERFILE,
            "FROM takes one image, and perhaps a name for the stage",
            f"Write FROM image:tag, or FROM image:tag AS name. For example: {EXAMPLE_FROM}",
            error.line,
        )
    return rules.FROM_WITHOUT_VALUE.broken_by(
        DOCKERFILE,
        f"FROM uses ${error.variable}, which has no value before FROM",
        f"Give it one above: ARG {error.variable}=...",
        error.line,
    )


def _check_base(base: BaseImage) -> Iterator[Finding]:
    if not base.is_valid:
        yield rules.BAD_FROM.broken_by(
            DOCKERFILE,
            f"{base.reference!r} is not the name of an image",
            f"Write it as registry/repository:tag in lower case. For example: {EXAMPLE_FROM}",
            base.line,
        )
        return
    version = runtime.airflow_version(base)
    tag = base.tag or ""
    if not base.has_digest and (not tag or "latest" in tag.split("-")) and base.name != "scratch":
        yield rules.UNPINNED.broken_by(
            DOCKERFILE,
            f"{base.reference} is another image tomorrow, since it has "
            + (f"the tag {tag}" if tag else "no tag"),
            f"Name one version: {base.name}:<version>",
            base.line,
        )
    elif runtime.is_certified(base):
        yield rules.UNSUPPORTED_AIRFLOW.broken_by(
            DOCKERFILE,
            f"{base.reference} is Astronomer Certified, which ended with Airflow 2.4",
            f"Build on Astro Runtime or apache/airflow: {EXAMPLE_FROM}",
            base.line,
        )
    elif version is not None and not runtime.is_supported(version):
        yield rules.UNSUPPORTED_AIRFLOW.broken_by(
            DOCKERFILE,
            f"{base.reference} carries Airflow {version}, which cannot be deployed",
            f"Build on an image with {runtime.supported_versions()}: {EXAMPLE_FROM}",
            base.line,
        )
    elif version is None and runtime.is_from_astronomer(base) and not base.has_digest:
        yield rules.UNSUPPORTED_AIRFLOW.broken_by(
            DOCKERFILE,
            f"there is no Astro Runtime {tag} that can be deployed",
            "Take a tag from Astronomer's release notes: 3.1-5 for Airflow 3.1, 13.1.0 for Airflow 2.11.",
            base.line,
        )
    elif version is None:
        yield rules.UNKNOWN_RUNTIME.broken_by(
            DOCKERFILE,
            f"{base.reference} does not say which Airflow it carries",
            "Say it to the Deployment: airflow_version.",
            base.line,
        )


def check_dockerfile(subject: Subject) -> Iterator[Finding]:
    """All rules on the Dockerfile except those on FROM and on secrets."""
    yield from _instructions(subject.dockerfile)
    yield from _copied_files(subject)
    yield from _entrypoint(subject)
    yield from _command_and_user(subject.dockerfile)


def _instructions(dockerfile: Dockerfile) -> Iterator[Finding]:
    if dockerfile.has_own_frontend:
        return
    for instruction in dockerfile.instructions[1:]:  # the first has a rule of its own
        if instruction.keyword not in INSTRUCTIONS:
            yield rules.UNKNOWN_INSTRUCTION.broken_by(
                DOCKERFILE,
                f"{instruction.keyword} is not a Dockerfile instruction",
                "If the line continues the one above, end that one with a backslash.",
                instruction.line,
            )


def _copied_files(subject: Subject) -> Iterator[Finding]:
    for instruction in subject.dockerfile.instructions:
        if instruction.keyword not in ("COPY", "ADD") or instruction.flag("from") is not None:
            continue
        for source in instruction.words[:-1]:
            if re.search(r"[$*?\[\\]|^<<|://|^git@", source):
                continue  # only the builder knows
            path = posixpath.normpath(f"/{source}").lstrip("/")
            reason = _why_not_in_context(path, subject.listing)
            if reason:
                yield rules.NOTHING_TO_COPY.broken_by(
                    DOCKERFILE,
                    f"{instruction.keyword} of {source}: {reason[0]}",
                    reason[1],
                    instruction.line_with(source),
                )


def _why_not_in_context(path: str, listing: Listing) -> tuple[str, str] | None:
    """Why a build cannot copy `path`, and what to do; None when it can."""
    if path in listing.by_path or listing.has_directory(path):
        return None
    folders = path.split("/")[:-1]
    if any(
        "/".join(folders[: i + 1]) in listing.by_path for i in range(len(folders))
    ):  # through a link, which only the builder follows
        return None
    if not (listing.directory / path).exists():
        return "there is no such file in the project", "Correct the name, or add the file."
    if DockerIgnore(LOCAL_ONLY).ignores(path):
        return (
            "it belongs to the local Airflow and is never part of an image",
            "Give settings, Connections and Variables to the Deployment: environment, "
            "secret_environment, connections, variables.",
        )
    if listing.ignore_file.rules.ignores(path):
        return (
            f"{listing.ignore_file.name} keeps it out of the build",
            f"Add the line !{path} at the end of {listing.ignore_file.name}.",
        )
    return (
        "there is no file in the directory, and git keeps no empty directories",
        f"Put an empty file .gitkeep into {path}/.",
    )


def _entrypoint(subject: Subject) -> Iterator[Finding]:
    instruction = subject.dockerfile.last("ENTRYPOINT")
    if instruction is None:
        return
    words = instruction.exec_form
    # Astro Runtime's and apache/airflow's images have /entrypoint behind tini or dumb-init.
    remedy = 'Remove it, or end it with the image\'s own: ["tini", "--", "/entrypoint"].'
    if words is None:
        yield rules.ENTRYPOINT_SWALLOWS_SIGNALS.broken_by(
            DOCKERFILE,
            "ENTRYPOINT in shell form: the pods' arguments are lost, and no signal reaches Celery, "
            "so that running tasks are killed",
            remedy,
            instruction.line,
        )
        return
    program = posixpath.basename(words[0]) if words else ""
    if program in _INITS:
        return
    script = _script_of(words, subject.listing)
    if script is not None and not _BECOMES_COMMAND.search(script):
        yield rules.ENTRYPOINT_SWALLOWS_SIGNALS.broken_by(
            DOCKERFILE,
            f"ENTRYPOINT runs the command as a child of {words[-1] if words else program}: "
            "no signal reaches Celery, so that running tasks are killed",
            'Let the script end with exec "$@".',
            instruction.line,
        )
    elif script is None:
        yield rules.ENTRYPOINT_REPLACED.broken_by(
            DOCKERFILE,
            "ENTRYPOINT replaces the base image's init, which passes signals on to Celery",
            f"{remedy} If your own passes them on, all is well.",
            instruction.line,
        )


def _script_of(words: list[str], listing: Listing) -> bytes | None:
    """The shell script that an ENTRYPOINT runs; None where it is not in the project."""
    if not words:
        return None
    if posixpath.basename(words[0]) in _SHELLS:
        if len(words) > 2 and words[1] == "-c":
            return words[2].encode()
        words = words[1:]
    name = posixpath.basename(words[0]) if words else ""
    for path in listing.by_path:
        if name and posixpath.basename(path) == name:
            try:
                content = (listing.directory / path).read_bytes()
            except OSError:
                return None
            return content if re.match(rb"#!.*\b(?:ba|da|z|a)?sh\b", content) else None
    return None


def _command_and_user(dockerfile: Dockerfile) -> Iterator[Finding]:
    if instruction := dockerfile.last("CMD"):
        yield rules.CMD_WITHOUT_EFFECT.broken_by(
            DOCKERFILE,
            "CMD has no effect: each Airflow process is started with arguments of its own",
            "Remove the instruction.",
            instruction.line,
        )
    user = dockerfile.last("USER")
    if user and user.value.split(":")[0].strip() in ("root", "0"):
        yield rules.ROOT_USER.broken_by(
            DOCKERFILE,
            "the Dockerfile ends as root, while Airflow's processes run as the user 50000: what was "
            "made after this line may not be theirs",
            "End with USER astro (Astro Runtime) or USER airflow (apache/airflow).",
            user.line,
        )


def crlf_check(dockerfile: Dockerfile) -> ContentCheck:
    """A check of scripts: Linux looks for an interpreter whose name ends with a carriage return."""
    build = [
        instruction
        for instruction in dockerfile.instructions
        if instruction.keyword in ("RUN", "ENTRYPOINT", "SHELL")
    ]

    def check(file: ProjectFile, content: bytes) -> Iterator[Finding]:
        if not (file.path.endswith((".sh", ".bash")) or _INTERPRETED.match(content)):
            return
        end = content.find(b"\r\n")
        if end < 0:
            return
        line = content.count(b"\n", 0, end) + 1
        name = posixpath.basename(file.path)
        remedy = f"Convert it: sed -i 's/\\r$//' {file.path}; in .gitattributes: *.sh text eol=lf"
        by = _first_that_runs(name, build)
        if by:
            yield rules.CRLF_IN_BUILD.broken_by(
                file.path,
                f"it has Windows line ends, and Dockerfile:{by} runs it",
                remedy,
                line,
            )
        else:
            yield rules.CRLF_IN_SCRIPT.broken_by(
                file.path,
                "it has Windows line ends; whoever runs it on Linux sees 'not found' or worse",
                remedy,
                line,
            )

    return check


def _first_that_runs(name: str, build: list[Instruction]) -> int | None:
    for instruction in build:
        for number, text in instruction.lines:
            if re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text):
                return number
    return None
