"""The Docker provider: build contexts, progress, and errors in the user's words."""

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, DockerException

from astro_pulumi.embedded.provider import Request, Resource
from astro_pulumi.embedded.providers.docker import DockerProvider
from astro_pulumi.embedded.values import UNKNOWN, Properties, Secret
from astro_pulumi.errors import ResourceError

IMAGE = Resource(
    "urn:pulumi:dev::p::docker:index/image:Image::image", "docker:index/image:Image", "image"
)
BUILT = {"aux": {"ID": "sha256:built"}}


class FakeDaemon:
    """A Docker daemon that plays given events, and keeps what it was sent."""

    def __init__(self, digest: str = "sha256:pushed") -> None:
        self.build_events: list[dict[str, Any]] = [{"stream": "Step 1/1 : FROM scratch"}, BUILT]
        self.push_events: list[dict[str, Any]] = [{"aux": {"Tag": "1", "Digest": digest}}]
        self.archive: dict[str, tarfile.TarInfo] = {}
        self.archive_bytes = b""
        self.build_options: dict[str, Any] = {}
        self.pushed: list[str] = []
        self.login: dict[str, str] | None = None
        self.base_logins: dict[str, Any] = {}
        self._auth_configs = self

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(docker, "APIClient", lambda **_: self)

    def add_auth(self, server: str, login: dict[str, str]) -> None:
        self.base_logins[server] = login

    def build(self, fileobj: Any, **options: Any) -> Iterator[dict[str, Any]]:
        self.archive_bytes = fileobj.read()
        with tarfile.open(fileobj=io.BytesIO(self.archive_bytes)) as tar:
            self.archive = {info.name: info for info in tar.getmembers()}
        self.build_options = options
        return iter(self.build_events)

    def push(
        self, repository: str, tag: str, auth_config: dict[str, str] | None, **_: Any
    ) -> Iterator[dict[str, Any]]:
        self.pushed.append(f"{repository}:{tag}")
        self.login = auth_config
        return iter(self.push_events)

    def inspect_image(self, _name: str) -> dict[str, Any]:
        return {"RepoDigests": ["localhost:5000/app@sha256:inspected"]}


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    daemon = FakeDaemon()
    daemon.install(monkeypatch)
    return daemon


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    app = tmp_path / "app"
    (app / "dags" / "sub").mkdir(parents=True)
    (app / "Dockerfile").write_text("FROM scratch\n")
    (app / "dags" / "one.py").write_text("one")
    (app / "dags" / "sub" / "two.py").write_text("two")
    (app / "dags.txt").write_text("between")
    (app / ".env").write_text("PASSWORD=x")
    (app / ".dockerignore").write_text(".env\n")
    os.chmod(app / "dags" / "one.py", 0o755)  # noqa: PTH101, S103
    for path in app.rglob("*"):
        if path.is_file() and path.name != "one.py":
            path.chmod(0o644)
    return tmp_path


class Run:
    """One create, with what it said."""

    def __init__(self, folder: Path, **inputs: Any) -> None:
        self.provider = DockerProvider({}, folder)
        build = {"context": "app", "platform": "linux/amd64", **inputs.pop("build", {})}
        news = {"imageName": "localhost:5000/app:1", "build": build, **inputs}
        self.inputs: Properties = dict(
            self.provider.check(Request(resource=IMAGE, inputs=news)).inputs
        )
        self.lines: list[str] = []

    def __call__(self, preview: bool = False) -> Properties:
        outputs = self.provider.create(
            Request(
                resource=IMAGE,
                inputs=self.inputs,
                preview=preview,
                log=lambda _, text: self.lines.append(text),
            )
        )[1]
        return dict(outputs)


def _go_hash(entries: list[tuple[str, str, bytes]]) -> str:
    """pulumi-docker's hash, written out: name, mode, SHA-256 of the content, a zero byte."""
    whole = b"".join(
        name.encode() + mode.encode() + hashlib.sha256(content).digest() + b"\0"
        for name, mode, content in entries
    )
    return hashlib.sha256(whole).hexdigest()


def test_context_digest_is_made_as_pulumi_docker_makes_it(folder: Path) -> None:
    (folder / "app" / "link").symlink_to("dags/one.py")
    digest = Run(folder).inputs["build"]["contextDigest"]
    # In the order of Go's WalkDir: a directory's files come before what sorts after its name.
    assert digest == _go_hash(
        [
            ("Dockerfile", "----------", b"FROM scratch\n"),
            (".dockerignore", "-rw-r--r--", b".env\n"),
            ("Dockerfile", "-rw-r--r--", b"FROM scratch\n"),
            ("dags/one.py", "-rwxr-xr-x", b"one"),
            ("dags/sub/two.py", "-rw-r--r--", b"two"),
            ("dags.txt", "-rw-r--r--", b"between"),
            ("link", "Lrwxrwxrwx", b"app/dags/one.py"),
        ]
    )


def test_archive_has_what_is_not_ignored_and_depends_on_content_alone(
    folder: Path, daemon: FakeDaemon
) -> None:
    Run(folder)()
    first = daemon.archive_bytes
    assert ".env" not in daemon.archive
    assert {"Dockerfile", "dags", "dags/one.py", "dags/sub/two.py"} <= set(daemon.archive)
    assert daemon.archive["dags/one.py"].mode == 0o755
    assert {(info.uid, info.gid, info.uname) for info in daemon.archive.values()} == {(0, 0, "")}
    os.utime(folder / "app" / "dags.txt", (1, 1))
    Run(folder)()
    assert daemon.archive_bytes == first


def test_ignore_file_of_the_dockerfile_goes_first(folder: Path, daemon: FakeDaemon) -> None:
    (folder / "app" / "Dockerfile.dockerignore").write_text("*\n!dags.txt\n")
    Run(folder)()
    # The Dockerfile is sent although it is ignored: the daemon needs it.
    assert set(daemon.archive) == {"dags.txt", "Dockerfile"}


def test_dockerfile_outside_the_context(folder: Path, daemon: FakeDaemon) -> None:
    (folder / "other.Dockerfile").write_text("FROM scratch AS other\n")
    outputs = Run(folder, build={"dockerfile": "other.Dockerfile"})()
    assert outputs["dockerfile"] == "../other.Dockerfile"
    assert daemon.build_options["dockerfile"].startswith(".dockerfile.")
    assert daemon.build_options["dockerfile"] in daemon.archive


def test_build_options_reach_the_daemon(folder: Path, daemon: FakeDaemon) -> None:
    build = {
        "args": {"A": Secret("1")},
        "target": "final",
        "cacheFrom": {"images": ["localhost:5000/app:0"]},
    }
    run = Run(folder, build=build)
    assert run.inputs["build"]["args"] == {"A": Secret("1")}  # stays secret
    outputs = run()
    options = daemon.build_options
    assert options["buildargs"] == {"A": "1"}
    assert (options["target"], options["platform"]) == ("final", "linux/amd64")
    assert options["cache_from"] == ["localhost:5000/app:0"]
    assert isinstance(outputs["__inputs"], Secret)


def test_push_with_the_login_of_the_program(folder: Path, daemon: FakeDaemon) -> None:
    login = {"server": "localhost:5000", "username": "me", "password": Secret("hidden")}
    outputs = Run(folder, registry=login)()
    assert outputs["repoDigest"] == "localhost:5000/app@sha256:pushed"
    assert daemon.login == {
        "username": "me",
        "password": "hidden",
        "serveraddress": "localhost:5000",
    }
    assert daemon.base_logins == {"localhost:5000": daemon.login}


def test_digest_from_the_local_image_when_the_push_names_none(
    folder: Path, daemon: FakeDaemon
) -> None:
    daemon.push_events = []
    assert Run(folder)()["repoDigest"] == "localhost:5000/app@sha256:inspected"


def test_skip_push_answers_with_the_image_id(folder: Path, daemon: FakeDaemon) -> None:
    assert Run(folder, skipPush=True)()["repoDigest"] == "sha256:built"
    assert daemon.pushed == []


def test_preview_builds_only_on_demand(folder: Path, daemon: FakeDaemon) -> None:
    run = Run(folder)
    assert run(preview=True) == run.inputs
    assert daemon.build_options == {}
    assert Run(folder, buildOnPreview=True)(preview=True)["repoDigest"] == "sha256:built"
    assert daemon.pushed == []


def test_progress(folder: Path, daemon: FakeDaemon) -> None:
    layer = {"status": "Pushing", "id": "l1"}
    daemon.build_events = [
        {"stream": "Step 1/2 : FROM base\n"},
        {
            "status": "Downloading",
            "id": "l1",
            "progressDetail": {"current": 10_000_000, "total": 40_000_000},
        },
        {"stream": " ---> 123\n"},
        {"stream": "Step 2/2 : RUN pip install x\n"},
        {"stream": "\x1b[91mCollecting x\x1b[0m\n"},
        BUILT,
    ]
    daemon.push_events.insert(
        0, {**layer, "progressDetail": {"current": 5_000_000, "total": 20_000_000}}
    )
    run = Run(folder)
    run()
    assert run.lines == [
        "sending the build context",
        "Step 1/2 : FROM base",
        "Step 1/2 : FROM base: pulling 10/40 MB",
        "Step 2/2 : RUN pip install x",
        "Step 2/2: Collecting x",
        "pushing to localhost:5000",
        "pushing 5/20 MB",
    ]


def test_failing_step_is_named_with_its_last_words(folder: Path, daemon: FakeDaemon) -> None:
    daemon.build_events = [
        {"stream": "Step 1/2 : FROM base\n"},
        {"stream": "Step 2/2 : RUN pip install nothere\n"},
        {"stream": "ERROR: No matching distribution found for nothere\n"},
        {"error": "The command '/bin/sh -c pip install nothere' returned a non-zero code: 1"},
    ]
    with pytest.raises(ResourceError) as caught:
        Run(folder)()
    assert str(caught.value).splitlines() == [
        "building localhost:5000/app:1 failed at Step 2/2 : RUN pip install nothere",
        "    ERROR: No matching distribution found for nothere",
        "The command '/bin/sh -c pip install nothere' returned a non-zero code: 1",
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            "unauthorized: authentication required",
            "check the username and password for localhost:5000",
        ),
        ("denied: requested access to the resource is denied", "may push to this repository"),
        ("dial tcp 127.0.0.1:5000: connect: connection refused", "cannot be reached"),
        ("something else", "pushing localhost:5000/app:1 failed: something else"),
    ],
)
def test_push_errors(folder: Path, daemon: FakeDaemon, error: str, words: str) -> None:
    daemon.push_events = [{"error": error}]
    with pytest.raises(ResourceError, match=words) as caught:
        Run(folder, registry={"username": "me", "password": Secret("hidden")})()
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_dockerfile_that_needs_buildkit(folder: Path, daemon: FakeDaemon) -> None:
    daemon.build_events = [{"error": "the --mount option requires BuildKit. Refer to https://..."}]
    with pytest.raises(ResourceError, match="install the Pulumi CLI"):
        Run(folder)()


def test_what_is_secret_is_not_said(folder: Path, daemon: FakeDaemon) -> None:
    daemon.build_events = [
        {"stream": "Step 1/1 : RUN echo $TOKEN\n"},
        {"stream": "t0ken and hidden\n"},
        {"error": "t0ken is wrong"},
    ]
    build = {"args": {"TOKEN": Secret("t0ken")}}
    run = Run(folder, build=build, registry={"username": "me", "password": "hidden"})
    with pytest.raises(ResourceError, match=r"\[secret\] is wrong") as caught:
        run()
    said = "".join([str(caught.value), *run.lines])
    assert "[secret] and [secret]" in said
    assert "t0ken" not in said and "hidden" not in said


def test_error_of_the_daemon_in_its_own_words(
    folder: Path, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise APIError("400 Client Error", explanation="unknown instruction: FROMM")

    monkeypatch.setattr(daemon, "build", refuse)
    with pytest.raises(ResourceError, match=r"failed: unknown instruction: FROMM"):
        Run(folder)()


def test_no_daemon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise DockerException("Error while fetching server API version: refused")

    monkeypatch.setattr(docker, "APIClient", fail)
    with pytest.raises(ResourceError, match=r"no Docker daemon answers .* set DOCKER_HOST"):
        Run(folder)()


def test_a_silent_build_is_cancelled(folder: Path, daemon: FakeDaemon) -> None:
    run = Run(folder)
    told = threading.Event()

    def events() -> Iterator[dict[str, Any]]:
        yield {"stream": "Step 1/1 : RUN sleep 1000"}
        told.set()
        threading.Event().wait()

    daemon.build_events = events()  # type: ignore[assignment]

    def cancel() -> None:
        told.wait()
        run.provider.cancel()

    threading.Thread(target=cancel, daemon=True).start()
    with pytest.raises(ResourceError, match="cancelled"):
        run()


def test_check_refuses_what_cannot_work(folder: Path) -> None:
    with pytest.raises(ResourceError, match=r"did you mean 'app/Dockerfile'\?"):
        Run(folder, build={"dockerfile": "Dockerfile"})
    with pytest.raises(ResourceError, match=r"there is no directory 'nowhere'"):
        Run(folder, build={"context": "nowhere"})
    with pytest.raises(ResourceError, match=r'as in "docker\.io/app:1"'):
        Run(folder, imageName="app:1")
    (folder / "app" / "broken").symlink_to("nowhere")
    with pytest.raises(ResourceError, match="the link leads nowhere"):
        Run(folder)
    other = Resource("urn", "docker:index/container:Container", "c")
    with pytest.raises(ResourceError, match="Pulumi CLI"):
        DockerProvider({}).check(Request(resource=other))


def test_check_with_unknowns() -> None:
    provider = DockerProvider({})
    news = {"imageName": UNKNOWN, "build": {"context": UNKNOWN}}
    assert (
        "contextDigest" not in provider.check(Request(resource=IMAGE, inputs=news)).inputs["build"]
    )
    assert provider.check(
        Request(resource=IMAGE, inputs={"imageName": UNKNOWN, "build": UNKNOWN})
    ).inputs == {
        "imageName": UNKNOWN,
        "build": UNKNOWN,
        "buildOnPreview": False,
    }


def test_other_credentials_are_no_change_another_registry_is() -> None:
    def diff(old: Properties, new: Properties) -> dict[str, str]:
        outputs = {"__inputs": Secret({"registry": old})}
        result = DockerProvider({}).diff(
            Request(resource=IMAGE, old_outputs=outputs, inputs={"registry": new})
        )
        return dict(result.detailed)

    old = {"server": "a", "username": "u", "password": "p"}
    assert diff(old, {**old, "password": Secret("q")}) == {}
    assert diff(old, {**old, "server": "b"}) == {"registry": "UPDATE"}
