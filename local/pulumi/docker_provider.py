"""Stand-in for the provider `pulumi-resource-docker`: `Image`, built by the Docker daemon and pushed.

It uses the `docker` library and the daemon's classic builder, since BuildKit cannot be driven from Python.
Inputs, outputs, the hash of the build context and the detection of changes follow pulumi-docker 5, so that a
stack can switch between both without a rebuild. It refuses other resource types, functions, `pulumi import`,
schemas, Dockerfiles that need BuildKit, `buildOnPreview`, unknown inputs, and all options of the provider
except `host`.
"""

import os
import platform
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from local.pulumi.docker_progress import Progress, explain_build, explain_push
from local.pulumi.plugin import ResourceError, merged
from local.pulumi.provider import Kind, Provider, Request, main
from local.pulumi.values import UNKNOWN, Properties, Secret, reveal, texts

if TYPE_CHECKING:
    from local.pulumi.docker_context import BuildContext

_IMAGE: Final = "docker:index/image:Image"
_INPUTS: Final = ("build", "imageName", "registry", "skipPush")
_BUILD_INPUTS: Final = (
    *("addHosts", "args", "cacheFrom", "context", "contextDigest", "dockerfile", "network"),
    *("platform", "target"),
)
_ARCHITECTURE: Final = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())
_SOCKET: Final = "unix:///var/run/docker.sock"
_TIMEOUT: Final = 3600  # seconds between two events of the daemon
# Two threads that import the library concurrently can each see a partial `requests`, whose modules import
# each other, and fail.
_IMPORT: Final = threading.Lock()
_Log = Callable[[str], object]


class DockerProvider(Provider):
    """Builds and pushes images with the Docker daemon of `DOCKER_HOST` or of the option `host`."""

    name = "docker"
    types = (_IMAGE,)
    options = ("host",)

    def __init__(self, directory: Path = Path()) -> None:
        """Resolve relative paths in build options from `directory`, by default the program's."""
        self._directory = directory
        self._host = ""
        self._cancelled = threading.Event()

    def configure(self, config: Properties) -> None:
        """Take the daemon's address."""
        self._host = str(config.get("host") or "")

    def check(self, request: Request) -> tuple[Properties, dict[str, str]]:
        """Add the defaults, and a hash of the build context, whose change rebuilds the image."""
        inputs = dict(request.inputs)
        refused = _unknown_inputs(inputs, _INPUTS, "")
        if not inputs.setdefault("buildOnPreview", False):
            refused.pop("buildOnPreview", None)
        image = reveal(inputs.get("imageName", UNKNOWN))
        if image != UNKNOWN and not inputs.get("skipPush") and not _host_of(image):
            refused["imageName"] = f"{image!r} must begin with its registry: 'docker.io/{image}'"
        given = inputs.get("build", {})
        if given == UNKNOWN:
            return inputs, refused
        build = dict(given.value if isinstance(given, Secret) else given)
        refused |= _unknown_inputs(build, _BUILD_INPUTS, "build.")
        context = reveal(build.setdefault("context", "."))
        if context != UNKNOWN:
            dockerfile = build.setdefault("dockerfile", os.path.normpath(f"{context}/Dockerfile"))
            if reveal(dockerfile) != UNKNOWN:
                build["contextDigest"] = self._context(reveal(build)).digest()
        build.setdefault("platform", f"linux/{_ARCHITECTURE}")
        inputs["build"] = Secret(build) if isinstance(given, Secret) else build
        return inputs, refused

    def diff(self, request: Request) -> dict[str, Kind]:
        """Return the inputs that differ, except changed credentials for the same registry."""
        old = _without_login(request.old_outputs.get("__inputs") or request.old_inputs)
        new = _without_login(request.inputs)
        changes: dict[str, Kind] = {}
        for key in {*old, *new} - {*request.ignore_changes}:
            if old.get(key) != new.get(key):
                changed: Kind = "UPDATE" if key in new else "DELETE"
                changes[key] = changed if key in old else "ADD"
        return changes

    def create(self, request: Request) -> tuple[str, Properties]:
        """Build the image and push it."""
        if request.preview:
            return "", request.inputs
        hide = _mask(request.inputs)
        try:
            outputs = self._make(reveal(request.inputs), lambda text: request.log(hide(text)))
        except ResourceError as error:
            raise ResourceError(hide(str(error))) from None  # nor is it in the cause
        return outputs["imageName"], outputs

    def update(self, request: Request) -> Properties:
        """Build the image again and push it."""
        return self.create(request)[1]

    def cancel(self) -> None:
        """End builds and pushes. The daemon stops too, because this process and its connection end."""
        self._cancelled.set()

    def _context(self, build: dict[str, Any]) -> "BuildContext":
        from local.pulumi.docker_context import BuildContext

        return BuildContext.open(str(build["context"]), str(build["dockerfile"]), self._directory)

    def _make(self, plain: Properties, log: _Log) -> Properties:
        build, image, client = plain["build"], str(plain["imageName"]), self._connect()
        context = self._context(build)
        image_id = self._build(client, context, plain, log)
        return {
            "__inputs": Secret(plain),
            "baseImageName": image,
            "context": build["context"],
            "dockerfile": context.dockerfile_name,
            "imageName": image,
            "platform": build["platform"],
            "registryServer": (plain.get("registry") or {}).get("server") or "",
            "repoDigest": image_id if plain.get("skipPush") else self._push(client, plain, log),
        }

    def _connect(self) -> Any:
        with _IMPORT:
            import docker
            from docker.utils import kwargs_from_env

        settings: dict[str, Any] = {"base_url": _SOCKET, **kwargs_from_env()}
        if self._host:
            settings["base_url"] = self._host
        try:
            # "auto" asks the daemon for its version, which is the first check that it answers.
            return docker.APIClient(version="auto", timeout=_TIMEOUT, **settings)
        except (docker.errors.DockerException, OSError) as error:
            raise ResourceError(
                f"no Docker daemon answers at {settings['base_url']} ({_innermost(error)}). Start"
                " Docker, or set DOCKER_HOST; an image that was built elsewhere needs none"
            ) from error

    def _build(self, client: Any, context: "BuildContext", plain: Properties, log: _Log) -> str:
        build, image, login = plain["build"], str(plain["imageName"]), _login(plain)
        if login:  # for base images in the same registry
            client._auth_configs.add_auth(login["serveraddress"], login)
        log("sending the build context")
        progress = Progress(explain_build)
        with tempfile.TemporaryFile() as archive, _errors_as(f"building {image} failed"):
            context.write(archive)
            archive.seek(0)
            events = client.build(
                fileobj=archive,
                custom_context=True,
                dockerfile=context.name_in_archive,
                tag=image,
                buildargs={key: str(value) for key, value in (build.get("args") or {}).items()},
                target=build.get("target") or "",
                platform=build.get("platform"),
                cache_from=(build.get("cacheFrom") or {}).get("images") or [],
                network_mode=build.get("network"),
                extra_hosts=build.get("addHosts"),
                rm=True,
                forcerm=True,
                decode=True,
            )
            self._follow(events, progress, log)
        if not progress.result:
            raise ResourceError(f"building {image} failed: the daemon named no image")
        return progress.result

    def _push(self, client: Any, plain: Properties, log: _Log) -> str:
        image, login = str(plain["imageName"]), _login(plain)
        repository, tag = _split_tag(image)
        host = _host_of(image) or "docker.io"
        progress = Progress(lambda _, error: explain_push(host, error))
        log(f"pushing to {host}")
        with _errors_as(f"pushing {image} failed"):
            events = client.push(repository, tag=tag, auth_config=login, stream=True, decode=True)
            self._follow(events, progress, log)
        if not progress.result:
            raise ResourceError(f"pushing {image} failed: the registry named no digest")
        return f"{repository}@{progress.result}"

    def _follow(self, events: Iterator[dict[str, Any]], progress: Progress, log: _Log) -> None:
        """Log the daemon's events until the last one. Raise if the call is cancelled."""
        for event in merged([events], self._cancelled.is_set):
            if status := progress.hear(event):
                log(status)
        if self._cancelled.is_set():
            raise ResourceError("cancelled")


@contextmanager
def _errors_as(what: str) -> Iterator[None]:
    """Add the current action to every error, and remove the library's wrapping."""
    from docker.errors import DockerException

    try:
        yield
    except (DockerException, ResourceError, OSError) as error:
        raise ResourceError(f"{what}: {_innermost(error)}") from error


def _innermost(error: BaseException) -> str:
    """Return the daemon's own message or an error's first cause, without the library's wrapping."""
    while not getattr(error, "explanation", None) and (error.__cause__ or error.__context__):
        error = error.__cause__ or error.__context__ or error
    return str(getattr(error, "explanation", None) or error).strip() or type(error).__name__


def _unknown_inputs(given: Properties, known: tuple[str, ...], where: str) -> dict[str, str]:
    unknown = [key for key in given if key not in known and not key.startswith("__")]
    reason = "the local stand-in for pulumi-docker does not implement this input"
    return {f"{where}{key}": reason for key in unknown}


def _mask(inputs: Properties) -> Callable[[str], str]:
    """Return a filter that removes passwords and secret build arguments, which a build may print."""
    hidden = {*texts(inputs, secret_only=True)}
    hidden.add(str((reveal(inputs.get("registry")) or {}).get("password") or ""))
    # Shorter values are indistinguishable from ordinary text.
    pattern = "|".join(re.escape(text) for text in hidden if len(text) > 3)
    return lambda text: re.sub(pattern, "[secret]", text) if pattern else text


def _host_of(image: str) -> str:
    """Return the registry in an image name; empty if it has none."""
    first, slash, _ = image.partition("/")
    return first if slash and (first == "localhost" or "." in first or ":" in first) else ""


def _split_tag(image: str) -> tuple[str, str]:
    repository, colon, tag = image.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (image, "latest")


def _login(plain: Properties) -> dict[str, str] | None:
    """Return the program's credentials. None stands for those in this machine's Docker configuration."""
    registry = plain.get("registry") or {}
    username, password = registry.get("username"), registry.get("password")
    if not username or not password:
        return None
    server = str(registry.get("server") or _host_of(str(plain["imageName"])))
    server = re.sub(r"^https?://", "", server).partition("/")[0]
    if server in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        server = "https://index.docker.io/v1/"
    return {"username": str(username), "password": str(password), "serveraddress": server}


def _without_login(inputs: Properties | Secret) -> Properties:
    plain: Properties = reveal(inputs)
    registry = plain.get("registry")
    return {**plain, "registry": registry.get("server")} if isinstance(registry, dict) else plain


if __name__ == "__main__":
    main(DockerProvider())
