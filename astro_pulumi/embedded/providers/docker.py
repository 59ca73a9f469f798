"""`docker:index/image:Image`: builds an image with the Docker daemon and pushes it.

On the `docker` library and the daemon's classic builder, since BuildKit cannot be driven from Python.
Input and output properties, the hash of the build context and the rules for differences are
pulumi-docker's, so that a stack goes from one engine to the other without a rebuild.
"""

import hashlib
import os
import platform
import queue
import re
import stat
import tarfile
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final

from astro_pulumi.embedded.provider import (
    CheckResult,
    DiffKind,
    DiffResult,
    Log,
    Provider,
    ReadResult,
    Request,
)
from astro_pulumi.embedded.providers import CLIENT_IMPORTS, innermost
from astro_pulumi.embedded.values import (
    UNKNOWN,
    Properties,
    Secret,
    Value,
    has_unknown,
    parts,
    reveal,
)
from astro_pulumi.errors import ResourceError
from astro_pulumi.project.ignore import DockerIgnore

_IMAGE: Final = "docker:index/image:Image"
_BUILD_TIMEOUT: Final = 3600  # seconds between two lines of output
# Every file in the context has this age: the same project gives the same bytes. Not 1970, since zip
# files (a wheel that is built from the context) begin in 1980.
_FILE_TIME: Final = 946684800
_LAST_LINES: Final = 15
_BUILDKIT: Final = re.compile(
    r"requires BuildKit|unknown flag: (mount|link|chmod|checksum|exclude)"
)
_STEP: Final = re.compile(r"Step \d+/\d+ : ")
_NOT_ALLOWED: Final = re.compile(
    r"unauthorized|denied|no basic auth credentials|authentication required|^EOF$", re.IGNORECASE
)
_NOT_REACHED: Final = re.compile(
    r"connection refused|no such host|i/o timeout|HTTP response to HTTPS client|certificate|dial tcp",
    re.IGNORECASE,
)
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_MEGABYTE: Final = 1_000_000


class DockerProvider(Provider):
    """Builds and pushes images with the Docker daemon of `DOCKER_HOST` or of the option `host`."""

    name = "docker"
    version = "5.2.0"

    def __init__(self, config: Properties, directory: Path = Path()) -> None:
        """`directory` is what relative paths in build options are relative to: the program's."""
        self._config = reveal(config)
        self._directory = directory
        self._cancelled = threading.Event()

    def check(self, request: Request) -> CheckResult:
        """Adds the defaults, and a hash of the build context: when it changes, the image is built anew."""
        resource = request.resource
        if resource.type != _IMAGE:
            raise ResourceError(
                f"{resource.type}: the embedded engine handles {_IMAGE} only; other resources of the"
                " package docker need the Pulumi CLI (https://www.pulumi.com/docs/install/)"
            )
        inputs: Properties = _without_nulls(request.inputs)
        inputs.setdefault("buildOnPreview", False)
        if has_unknown(inputs.get("buildOnPreview")):
            inputs["buildOnPreview"] = False
        given = inputs.get("build", {})
        if given is UNKNOWN:
            return CheckResult(inputs)
        build = dict(given.value if isinstance(given, Secret) else given)
        context = build.setdefault("context", ".")
        if not has_unknown(context):
            build.setdefault("dockerfile", os.path.normpath(f"{reveal(context)}/Dockerfile"))
            if not has_unknown(build["dockerfile"]):
                context_, dockerfile = str(reveal(context)), str(reveal(build["dockerfile"]))
                build["contextDigest"] = _open_context(
                    self._directory, context_, dockerfile
                ).digest()
        build.setdefault("platform", f"linux/{_architecture()}")
        inputs["build"] = Secret(build) if isinstance(given, Secret) else build
        image = reveal(inputs.get("imageName"))
        if isinstance(image, str) and not inputs.get("skipPush") and not _host_of(image):
            raise ResourceError(
                f"{resource.name}: the image name {image!r} must begin with its registry, as in"
                f' "docker.io/{image}"'
            )
        return CheckResult(inputs)

    def diff(self, request: Request) -> DiffResult:
        """Any change builds again in place, except other credentials for the same registry."""
        old = reveal(request.old_outputs.get("__inputs")) or reveal(request.old_inputs)
        new = reveal(request.inputs)
        detailed: dict[str, DiffKind] = {}
        for key in sorted(old.keys() | new.keys()):
            if key not in new:
                detailed[key] = "DELETE"
            elif key not in old:
                detailed[key] = "ADD"
            elif old[key] != new[key] and not _is_other_login(key, old[key], new[key]):
                detailed[key] = "UPDATE"
        for ignored in request.ignore_changes:
            detailed.pop(ignored, None)
        return DiffResult(changes=bool(detailed), detailed=detailed)

    def create(self, request: Request) -> tuple[str, Properties]:
        """Builds the image and pushes it."""
        inputs, preview = request.inputs, request.preview
        if preview and not _can_build_in_preview(inputs):
            return "", inputs
        hide = _mask(inputs)
        try:
            outputs = self._build_and_push(
                inputs, preview, lambda level, text: request.log(level, hide(text))
            )
        except ResourceError as error:
            raise ResourceError(hide(str(error))) from None  # nor is it in the cause
        return ("" if preview else outputs["imageName"]), outputs

    def update(self, request: Request) -> Properties:
        """Builds the image again and pushes it."""
        return self.create(request)[1]

    def read(self, request: Request) -> ReadResult | None:
        """The image as recorded: the registry is not asked."""
        return ReadResult(request.id, request.inputs, request.old_outputs)

    def delete(self, request: Request) -> None:
        """Leaves the image where it is: an earlier release may run it."""

    def cancel(self) -> None:
        """Ends a build or push: the daemon stops when this process ends, and its connection with it."""
        self._cancelled.set()

    def _build_and_push(self, inputs: Properties, preview: bool, log: Log) -> Properties:
        plain = reveal(inputs)
        build, registry = plain["build"], plain.get("registry") or {}
        image = str(plain["imageName"])
        login = _login(registry, image)
        client = self._connect()
        context = _open_context(self._directory, build["context"], build["dockerfile"])
        image_id = self._build(client, context, image, build, login, log)
        is_local = bool(plain.get("skipPush")) or preview
        digest = image_id if is_local else self._push(client, image, login, log)
        return {
            "__inputs": Secret(plain),
            "baseImageName": image,
            "context": build["context"],
            "dockerfile": context.dockerfile_name,
            "imageName": image,
            "platform": build["platform"],
            "registryServer": registry.get("server") or "",
            "repoDigest": digest,
        }

    def _connect(self) -> Any:
        with CLIENT_IMPORTS:
            from docker import APIClient
            from docker.errors import DockerException
            from docker.utils import kwargs_from_env

        settings = kwargs_from_env()
        given = self._config.get("host") or settings.get("base_url")
        problems = []
        for host in [given] if given else _usual_hosts():
            settings["base_url"] = host
            try:
                # "auto" asks the daemon for its version: the first proof that there is one.
                return APIClient(version="auto", timeout=_BUILD_TIMEOUT, **settings)
            except (DockerException, OSError) as error:
                missing = host.startswith("ssh:") and find_spec("paramiko") is None
                cause = "this needs the Python package paramiko" if missing else innermost(error)
                problems.append(f"{host} ({cause})")
        raise ResourceError(
            f"no Docker daemon answers at {', '.join(problems)}. Start Docker, or set DOCKER_HOST;"
            " an image that was built elsewhere needs none"
        )

    def _build(
        self,
        client: Any,
        context: "_Context",
        image: str,
        build: dict[str, Any],
        login: dict[str, str] | None,
        log: Log,
    ) -> str:
        if login:  # for base images in the same registry
            client._auth_configs.add_auth(login["serveraddress"], login)
        log("info", "sending the build context")
        with tempfile.TemporaryFile() as archive:
            context.write(archive)
            archive.seek(0)
            progress = _BuildProgress(image)
            with _errors_as(f"building {image} failed"):
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
                for event in self._until_cancelled(events):
                    _tell(log, progress.hear(event))
        if not progress.image_id:
            raise ResourceError(f"building {image} failed: the daemon named no image")
        return progress.image_id

    def _until_cancelled(self, events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The daemon's events. A step of a build may be silent for minutes: they are awaited elsewhere."""
        arrived: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()

        def read() -> None:
            try:
                for event in events:
                    arrived.put(event)
                arrived.put(None)
            except Exception as error:
                arrived.put(error)

        threading.Thread(target=read, name="docker", daemon=True).start()
        while not self._cancelled.is_set():
            try:
                event = arrived.get(timeout=0.2)
            except queue.Empty:
                continue
            if event is None:
                return
            if isinstance(event, Exception):
                raise event
            yield event
        raise ResourceError("cancelled")

    def _push(self, client: Any, image: str, login: dict[str, str] | None, log: Log) -> str:
        repository, tag = _split_tag(image)
        log("info", f"pushing to {_host_of(image) or 'docker.io'}")
        progress = _PushProgress(image)
        with _errors_as(f"pushing {image} failed"):
            events = client.push(repository, tag=tag, auth_config=login, stream=True, decode=True)
            for event in self._until_cancelled(events):
                _tell(log, progress.hear(event))
        if progress.digest:
            return f"{repository}@{progress.digest}"
        for digest in client.inspect_image(image).get("RepoDigests") or []:
            if str(digest).startswith(f"{repository}@"):
                return str(digest)
        raise ResourceError(f"pushing {image} failed: the registry named no digest")


@dataclass
class _BuildProgress:
    """The story of a build, from the daemon's events."""

    image: str
    image_id: str = ""
    step: str = ""
    partial: str = ""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    layers: dict[str, tuple[int, int]] = field(default_factory=dict)

    def hear(self, event: dict[str, Any]) -> str:
        """-> a status line; empty when there is nothing new to say. Raises what went wrong."""
        if "error" in event:
            raise ResourceError(self._failure(str(event["error"])))
        aux = event.get("aux")
        if isinstance(aux, dict) and "ID" in aux:
            self.image_id = aux["ID"]
        self.partial += _COLOURS.sub("", str(event.get("stream") or ""))
        if self.partial and not self.partial.endswith("\n"):
            return ""  # a line may come in pieces
        text, self.partial = self.partial.rstrip(), ""
        if _STEP.match(text):
            self.step = " ".join(text.split())
            self.tail.clear()
            return self.step
        if text.strip() and not text.startswith(
            (" --->", "Removing intermediate", "Successfully ")
        ):
            self.tail.extend(text.splitlines())
            return f"{self.step.partition(' : ')[0]}: {self.tail[-1].strip()}"
        if "progressDetail" in event:
            return _layer_progress(f"{self.step}: pulling", event, self.layers)
        return ""

    def _failure(self, error: str) -> str:
        if _BUILDKIT.search(error):
            return (
                f"building {self.image} failed: {error.strip()}. This Dockerfile needs BuildKit, which"
                " the embedded engine cannot drive: install the Pulumi CLI, which can, or rewrite the"
                " instruction"
            )
        where = f" at {self.step}" if self.step else ""
        lines = "".join(f"\n    {line}" for line in (*self.tail, *self.partial.splitlines()))
        return f"building {self.image} failed{where}{lines}\n{error.strip()}"


@dataclass
class _PushProgress:
    """The story of a push, from the daemon's events."""

    image: str
    digest: str = ""
    layers: dict[str, tuple[int, int]] = field(default_factory=dict)

    def hear(self, event: dict[str, Any]) -> str:
        """-> a status line; empty when there is nothing new to say. Raises what went wrong."""
        if "error" in event:
            raise ResourceError(self._failure(str(event["error"]).strip()))
        aux = event.get("aux")
        if isinstance(aux, dict) and aux.get("Digest"):
            self.digest = aux["Digest"]
        if event.get("status") == "Pushing":
            return _layer_progress("pushing", event, self.layers)
        return ""

    def _failure(self, error: str) -> str:
        host = _host_of(self.image) or "docker.io"
        if _NOT_ALLOWED.search(error):
            hint = f"check the username and password for {host}, and that they may push to this repository"
            return f"pushing {self.image} failed: {error} ({hint})"
        if _NOT_REACHED.search(error):
            return f"pushing {self.image} failed: the registry {host} cannot be reached ({error})"
        return f"pushing {self.image} failed: {error}"


def _layer_progress(doing: str, event: dict[str, Any], layers: dict[str, tuple[int, int]]) -> str:
    detail = event.get("progressDetail") or {}
    if not detail.get("total"):
        return ""
    total = int(detail["total"])
    layers[str(event.get("id"))] = (min(int(detail.get("current") or 0), total), total)
    done, all_ = (sum(values) // _MEGABYTE for values in zip(*layers.values(), strict=True))
    return f"{doing} {done}/{all_} MB"


@contextmanager
def _errors_as(what: str) -> Iterator[None]:
    """Turns the library's errors into one line of ours."""
    from docker.errors import DockerException
    from requests import RequestException

    try:
        yield
    except (DockerException, RequestException, OSError) as error:
        raise ResourceError(f"{what}: {innermost(error)}") from error


def _tell(log: Log, status: str) -> None:
    if status:
        log("info", status)


@dataclass(frozen=True)
class _Context:
    """A build context on disk and the Dockerfile to build it with."""

    root: Path
    shown_root: str  # as the program gave it
    dockerfile: Path
    dockerfile_name: str  # relative to the root: "Dockerfile", "../other/Dockerfile"
    ignore: DockerIgnore

    @property
    def name_in_archive(self) -> str:
        """What the daemon calls the Dockerfile: one from outside is added under a name of its own."""
        if not self.dockerfile_name.startswith("../"):
            return self.dockerfile_name
        return f".dockerfile.{hashlib.sha256(self.dockerfile.read_bytes()).hexdigest()[:20]}"

    def entries(self) -> Iterator[tuple[str, Path]]:
        """What belongs to the context, in a fixed order: (relative path, path on disk)."""
        yield from self._entries_in("")

    def _entries_in(self, folder: str) -> Iterator[tuple[str, Path]]:
        for entry in sorted(
            os.scandir(self.root / folder), key=lambda entry: os.fsencode(entry.name)
        ):
            path = f"{folder}/{entry.name}" if folder else entry.name
            ignored = self.ignore.ignores(path)
            if not ignored:
                yield path, Path(entry.path)
            if entry.is_dir(follow_symlinks=False) and (not ignored or self.ignore.has_exceptions):
                yield from self._entries_in(path)

    def digest(self) -> str:
        """pulumi-docker's hash of a context: names, modes and contents; of links what they point to."""
        whole = hashlib.sha256()

        def add(name: str, mode: str, content: bytes) -> None:
            whole.update(name.encode() + mode.encode() + hashlib.sha256(content).digest() + b"\0")

        # The Dockerfile counts by its content, whatever its name and mode.
        add("Dockerfile", "----------", self.dockerfile.read_bytes())
        for name, path in self.entries():
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                add(name, "Lrwxrwxrwx", self._link_target(path).encode())
            elif stat.S_ISREG(mode):
                add(name, _go_mode(mode), path.read_bytes())
        return whole.hexdigest()

    def _link_target(self, path: Path) -> str:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise ResourceError(f"{path}: the link leads nowhere ({path.readlink()})") from error
        if Path(self.shown_root).is_absolute() or path.readlink().is_absolute():
            return target.as_posix()
        inside = os.path.relpath(target, self.root.resolve())
        return Path(os.path.normpath(Path(self.shown_root) / inside)).as_posix()

    def write(self, archive: IO[bytes]) -> None:
        """Writes the context as a tar archive that depends on nothing but names, modes and contents."""
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
            written = set()
            for name, path in self.entries():
                written.add(name)
                self._add(tar, name, path)
            # The daemon needs the Dockerfile even where an ignore file hides it.
            if self.name_in_archive not in written:
                self._add(tar, self.name_in_archive, self.dockerfile)

    @staticmethod
    def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
        info = tar.gettarinfo(path, arcname=name)
        if info is None:  # a socket, say
            return
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = _FILE_TIME
        if info.isreg():
            with path.open("rb") as content:
                tar.addfile(info, content)
        else:
            info.type = tarfile.REGTYPE if info.islnk() else info.type
            tar.addfile(info)


def _open_context(directory: Path, context: str, dockerfile: str) -> _Context:
    root, path = directory / context, directory / dockerfile
    if not root.is_dir():
        raise ResourceError(f"build.context: there is no directory {context!r}")
    if not path.is_file():
        inside = root / dockerfile
        hint = (
            f"; did you mean {os.path.normpath(f'{context}/{dockerfile}')!r}?"
            if inside.is_file()
            else ""
        )
        raise ResourceError(f"build.dockerfile: there is no file {dockerfile!r}{hint}")
    rules = DockerIgnore(())
    for candidate in (path.with_name(f"{path.name}.dockerignore"), root / ".dockerignore"):
        if candidate.is_file():
            rules = DockerIgnore(candidate.read_text().splitlines())
            break
    name = Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()
    return _Context(root, context, path, name, rules)


def _mask(inputs: Properties) -> Callable[[str], str]:
    """What takes passwords and secret build arguments out of a text: a build may print them."""
    login = reveal(inputs.get("registry")) or {}
    hidden = {str(login.get("password") or "")}
    for secret in parts(inputs):
        if isinstance(secret, Secret):
            hidden.update(text for text in parts(secret) if isinstance(text, str))
    # Something shorter cannot be told from ordinary text.
    pattern = "|".join(re.escape(text) for text in hidden if len(text) > 3)
    return lambda text: re.sub(pattern, "[secret]", text) if pattern else text


def _usual_hosts() -> list[str]:
    """Where a daemon may be: the active Docker context, then the sockets of Docker Desktop."""
    from docker.context import ContextAPI

    active = ContextAPI.get_current_context()
    first = str(active.Host) if active else "unix:///var/run/docker.sock"
    desktop = [Path.home() / ".docker" / name / "docker.sock" for name in ("run", "desktop")]
    return [first, *(f"unix://{path}" for path in desktop if path.exists())]


def _go_mode(mode: int) -> str:
    """File permissions as Go writes them: like `ls`, special bits in front."""
    special = "".join(
        letter
        for bit, letter in ((stat.S_ISUID, "u"), (stat.S_ISGID, "g"), (stat.S_ISVTX, "t"))
        if mode & bit
    )
    return (special or "-") + stat.filemode(mode & 0o777)[1:]


def _architecture() -> str:
    machine = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _host_of(image: str) -> str:
    """The registry in an image name, empty when it has none."""
    first, slash, _ = image.partition("/")
    return first if slash and (first == "localhost" or "." in first or ":" in first) else ""


def _split_tag(image: str) -> tuple[str, str]:
    repository, colon, tag = image.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (image, "latest")


def _login(registry: dict[str, Any], image: str) -> dict[str, str] | None:
    """Credentials from the program; None for those of the Docker configuration on this machine."""
    username, password = registry.get("username"), registry.get("password")
    if not username or not password:
        return None
    server = str(registry.get("server") or _host_of(image))
    server = re.sub(r"^https?://", "", server).partition("/")[0]
    if server in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        server = "https://index.docker.io/v1/"
    return {"username": str(username), "password": str(password), "serveraddress": server}


def _is_other_login(key: str, old: Value, new: Value) -> bool:
    return (
        key == "registry"
        and isinstance(old, dict)
        and isinstance(new, dict)
        and old.get("server") == new.get("server")
    )


def _can_build_in_preview(inputs: Properties) -> bool:
    build = reveal(inputs.get("build"))
    return bool(inputs.get("buildOnPreview")) and not has_unknown([inputs.get("imageName"), build])


def _without_nulls(value: Value) -> Any:
    if isinstance(value, Secret):
        return Secret(_without_nulls(value.value))
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value
