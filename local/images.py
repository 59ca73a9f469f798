"""Images of the local platform, rebuilt only if an input changes.

Each image has the key of its inputs as a label. An image in the registry with the right label costs two
requests.
"""

import configparser
import dataclasses
import http.client
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import docker.errors

from local import cancellation, commands, packages, versions
from local.errors import ImageError
from local.keys import content_key
from local.paths import SOURCE, Paths
from local.progress import Phase, Reporter

KEY_LABEL = "astro-pulumi.local.key"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
CA_IN_IMAGE = "/usr/local/share/ca-bundle/host.pem"
CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
BASE_PACKAGES = ("ca-certificates", "libpq5", "procps", "python3", "python3-venv", "tini")
# Settings for access to package registries, passed on to builds if this machine has them.
PASSED_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Image:
    """An image: a Dockerfile with its files, and its base image."""

    name: str
    tag: str
    context: Path
    dockerfile: str = "Dockerfile"
    base: "Image | None" = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    # Generated files, by their name in the context.
    extra: Mapping[str, Path] = field(default_factory=dict)
    # Whether an archive is cached, for images that take longer to build than to load.
    archived: bool = False

    def reference(self, registry: str) -> str:
        """Return the image's name in a registry."""
        return f"{registry}/{self.name}:{self.tag}"

    def key(self, registry: str) -> str:
        """Return a digest of all inputs of the image."""
        parts = [self.reference(registry), self.dockerfile]
        parts += [f"{name}={value}" for name, value in sorted(self.arguments.items())]
        if self.base:
            parts.append(self.base.key(registry))
        files = [path for path in self.context.iterdir() if path.is_file()]
        return content_key(*parts, files=[*files, *self.extra.values()])


@dataclass(frozen=True)
class Base(Image):
    """The Debian file system below the other images, built by mmdebstrap."""

    def key(self, registry: str) -> str:
        """Digest of all inputs of the file system."""
        sources = "\n".join(apt_sources())
        bundle = [CA_BUNDLE] if CA_BUNDLE.exists() else []
        parts = [versions.DEBIAN_SUITE, *BASE_PACKAGES, sources, pip_index()]
        return content_key(registry, *parts, files=bundle)


PAUSE = Image("pause", "1", SOURCE / "images" / "pause")


def pip_index(environment: Mapping[str, str] = os.environ) -> str:
    """Return this machine's package index for pip, if it is not the default."""
    files = (
        Path("/etc/pip.conf"),
        Path.home() / ".pip/pip.conf",
        Path.home() / ".config/pip/pip.conf",
    )
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(files)
    configured = parser.get("global", "index-url", fallback="")
    return environment.get("PIP_INDEX_URL") or configured


def base() -> Image:
    """Return the image below PostgreSQL, Redis and the runtime."""
    return Base("base", versions.DEBIAN_SUITE, SOURCE / "images")


def services() -> tuple[Image, Image]:
    """Return the images of PostgreSQL and Redis."""
    images = SOURCE / "images"
    postgres = Image(
        "postgres",
        versions.POSTGRES_TAG,
        images / "postgres",
        base=base(),
        arguments={"VERSION": versions.POSTGRES_TAG},
        archived=True,
    )
    return postgres, Image(
        "redis", versions.REDIS_TAG, images / "redis", base=base(), archived=True
    )


def runtime(airflow: str = versions.AIRFLOW, tag: str | None = None) -> Image:
    """Return the open runtime image of an Airflow version, which projects name in `FROM`."""
    tag = tag or versions.runtime_tag(airflow)
    plain = Image(
        "runtime",
        f"{tag}-base",
        SOURCE / "runtime",
        base=base(),
        arguments={
            "AIRFLOW_VERSION": airflow,
            "AIRFLOW_REQUIREMENTS": versions.airflow_requirements(airflow),
            "UV_VERSION": versions.UV,
            "RUNTIME_VERSION": tag,
        },
        archived=True,
    )
    return Image("runtime", tag, SOURCE / "runtime", dockerfile="Dockerfile.onbuild", base=plain)


def pause(paths: Paths) -> Image:
    """Return the image of the process that holds a pod's namespaces, compiled if necessary."""
    source = PAUSE.context / "pause.c"
    program = paths.cache / "bin" / f"pause-{content_key(files=[source])}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(".part")
        commands.run(
            [packages.program("cc"), "-static", "-Os", "-s", "-o", unfinished, source],
            what="compile pause",
        )
        unfinished.rename(program)
    return dataclasses.replace(PAUSE, extra={"pause": program})


def coredns(binaries: Path) -> Image:
    """Return the image of the cluster's DNS server."""
    directory = SOURCE / "images" / "coredns"
    return Image("coredns", "1", directory, extra={"coredns": binaries / "coredns"})


def apt_sources(directory: Path = Path("/etc/apt")) -> list[str]:
    """Return this machine's Debian sources for the suite of the images, one per line.

    A machine may reach Debian only through a mirror. Sources of other vendors or suites are left out. Without
    any source, mmdebstrap uses Debian's own.
    """
    lines: list[str] = []
    files = [directory / "sources.list", *sorted((directory / "sources.list.d").glob("*.list"))]
    for path in files:
        if path.exists():
            lines += [
                line.strip()
                for line in path.read_text().splitlines()
                if line.startswith("deb ") and _suites(line) and "debian" in line
            ]
    for path in sorted((directory / "sources.list.d").glob("*.sources")):
        lines += deb822_sources(path.read_text())
    return lines


def _suites(line: str) -> bool:
    names = (
        versions.DEBIAN_SUITE,
        f"{versions.DEBIAN_SUITE}-updates",
        f"{versions.DEBIAN_SUITE}-security",
    )
    return any(field in names for field in line.split())


def deb822_sources(text: str) -> list[str]:
    """Return the one-line form of the Debian sources in a deb822 file."""
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (
                line.partition(":")
                for line in paragraph.splitlines()
                if line and not line.startswith(("#", " "))
            )
        }
        if "debian-archive-keyring" not in fields.get("signed-by", ""):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                line = f"deb {uri} {suite} {fields.get('components', '')}"
                lines += [line] if _suites(line) else []
    return lines


class Builder:
    """Builds images with one Docker daemon, and pushes them to one registry."""

    def __init__(self, docker_host: str, registry: str, paths: Paths, reporter: Reporter) -> None:
        """Take the Docker daemon, the registry, the paths and the reporter."""
        self._client = docker.DockerClient(base_url=docker_host, timeout=600)
        self._registry = registry
        self._paths = paths
        self._reporter = reporter

    def ensure(self, image: Image) -> str:
        """Return the reference of an image, built and pushed if necessary."""
        reference, key = image.reference(self._registry), image.key(self._registry)
        with self._reporter.phase(f"Image {image.name}:{image.tag}", quiet=True) as phase:
            if self._built_key(reference) != key:
                self._make(image, key, phase)
            if not self._pushed(image):
                self._push(image, phase)
        return reference

    def ensure_chain(self, image: Image) -> str:
        """Return the reference of an image, after ensuring the images that it is built on."""
        if image.base:
            self.ensure_chain(image.base)
        return self.ensure(image)

    def _make(self, image: Image, key: str, phase: Phase) -> None:
        archive = self._paths.cache / "images" / f"{image.name}-{image.tag}-{key}.tar"
        if isinstance(image, Base):
            self._bootstrap(image, key, archive, phase)
        elif archive.exists():
            phase.note("docker load")
            with archive.open("rb") as stream:
                self._client.images.load(stream)
        else:
            self._build(image, key, phase)
            if image.archived:
                phase.note("docker save")
                self._save(image.reference(self._registry), archive)

    def _save(self, reference: str, archive: Path) -> None:
        archive.parent.mkdir(parents=True, exist_ok=True)
        unfinished = archive.with_suffix(".part")
        with unfinished.open("wb") as file:
            # By name: `save` of an image's id would leave its name out of the archive.
            for chunk in self._client.api.get_image(reference):
                cancellation.check()
                file.write(chunk)
        unfinished.rename(archive)
        # Only the newest archive of a name is useful, and each has some hundred megabytes.
        for older in archive.parent.glob(f"{archive.name.rpartition('-')[0]}-*.tar"):
            if older != archive:
                older.unlink()

    def _inspect(self, reference: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._client.images.get(reference).attrs
        except docker.errors.ImageNotFound:
            return {}
        return found

    def _built_key(self, reference: str) -> str | None:
        labels = self._inspect(reference).get("Config", {}).get("Labels") or {}
        return labels.get(KEY_LABEL)

    def _pushed(self, image: Image) -> bool:
        repository = f"{self._registry}/{image.name}"
        digests = self._inspect(image.reference(self._registry)).get("RepoDigests") or []
        own = {d.partition("@")[2] for d in digests if d.startswith(f"{repository}@")}
        if not self._registry.startswith("localhost:"):
            # Another registry may require a login for each request. Docker's push was the check.
            return bool(own)
        return manifest_digest(self._registry, image.name, image.tag) in own

    def _bootstrap(self, image: Image, key: str, archive: Path, phase: Phase) -> None:
        if not archive.exists():
            archive.parent.mkdir(parents=True, exist_ok=True)
            unfinished = archive.with_suffix(".part.tar")
            debootstrap(unfinished, phase)
            unfinished.rename(archive)
        phase.note("docker import")
        changes = [f"LABEL {KEY_LABEL}={key}", 'CMD ["bash"]']
        if CA_BUNDLE.exists():
            changes += [f"ENV {name}={CA_IN_IMAGE}" for name in CA_VARIABLES]
        with archive.open("rb") as stream:
            answer = self._client.api.import_image_from_data(
                stream,
                repository=f"{self._registry}/{image.name}",
                tag=image.tag,
                changes=changes,
            )
        if '"error"' in str(answer):
            raise ImageError("Docker could not import the base image.", why=str(answer))

    def _build(self, image: Image, key: str, phase: Phase) -> None:
        arguments = dict(image.arguments)
        arguments |= {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
        if image.base:
            arguments["BASE"] = image.base.reference(self._registry)
        log: list[str] = []
        with tempfile.TemporaryDirectory() as directory:
            context = Path(directory)
            shutil.copytree(image.context, context, dirs_exist_ok=True)
            for name, path in image.extra.items():
                shutil.copy(path, context / name)
            stream = self._client.api.build(
                path=directory,
                dockerfile=image.dockerfile,
                tag=image.reference(self._registry),
                buildargs=arguments,
                labels={KEY_LABEL: key},
                rm=True,
                forcerm=True,
                decode=True,
            )
            for event in stream:
                self._follow(event, log, f"build {image.name}:{image.tag}", phase)

    def _push(self, image: Image, phase: Phase) -> None:
        log: list[str] = []
        stream = self._client.api.push(
            f"{self._registry}/{image.name}", tag=image.tag, stream=True, decode=True
        )
        for event in stream:
            self._follow(event, log, f"push {image.reference(self._registry)}", phase)

    def _follow(self, event: dict[str, Any], log: list[str], doing: str, phase: Phase) -> None:
        cancellation.check()  # Docker gives up a build or push whose client is gone
        text = str(event.get("stream") or event.get("status") or "").rstrip()
        if text:
            log.append(text)
            phase.note(f"{text} {event.get('progress', '')}")
        if "error" in event:
            why = "\n".join([*log[-commands.TAIL_LINES :], str(event["error"])])
            raise ImageError(f"Docker could not {doing}.", why=why)


def debootstrap(archive: Path, phase: Phase) -> None:
    """Build the tar archive of a small Debian, with this machine's CA bundle beside Debian's own.

    The bundle has a path of its own: Debian rewrites its bundle whenever a package changes it.
    """
    options = [f"--include={','.join(BASE_PACKAGES)}"]
    options += [
        f"--dpkgopt=path-exclude={pattern}"
        for pattern in ("/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/man/??/*")
    ]
    # Licences stay.
    options.append("--dpkgopt=path-include=/usr/share/doc/*/copyright")
    if CA_BUNDLE.exists():
        options += [
            f'--customize-hook=mkdir -p "$1{Path(CA_IN_IMAGE).parent}"',
            f'--customize-hook=cp {CA_BUNDLE} "$1{CA_IN_IMAGE}"',
        ]
    if index := pip_index():
        options += [
            f'--customize-hook=printf "[global]\\nindex-url = %s\\n" "{index}" > "$1/etc/pip.conf"',
            '--customize-hook=mkdir -p "$1/etc/uv"',
            "--customize-hook=printf '[[index]]\\nurl = \"%s\"\\ndefault = true\\n' "
            f'"{index}" > "$1/etc/uv/uv.toml"',
        ]
    sources = apt_sources()
    commands.run(
        [
            packages.program("mmdebstrap"),
            "--variant=minbase",
            *options,
            versions.DEBIAN_SUITE,
            archive,
            *(["-"] if sources else []),
        ],
        what="make the base file system",
        stdin="\n".join(sources),
        on_line=phase.note,
    )


def manifest_digest(registry: str, name: str, tag: str) -> str | None:
    """Return the digest of a tag in a registry on this machine; None if there is none."""
    address, _, folder = registry.partition("/")
    repository = f"{folder}/{name}" if folder else name
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(
            "HEAD",
            f"/v2/{repository}/manifests/{tag}",
            headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
        )
        response = connection.getresponse()
        return response.getheader("Docker-Content-Digest") if response.status == 200 else None
    except OSError:
        return None
    finally:
        connection.close()
