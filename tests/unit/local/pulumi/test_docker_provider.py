"""The stand-in for pulumi-docker: build contexts, progress, and errors in the user's words."""

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import grpc
import pytest
from docker.errors import APIError, DockerException
from google.protobuf.empty_pb2 import Empty

from local.pulumi.docker_provider import DockerProvider
from local.pulumi.plugin import ResourceError
from local.pulumi.protocol import engine_pb2_grpc
from local.pulumi.provider import Request, handlers
from local.pulumi.values import UNKNOWN, Properties, Secret
from tests.unit.local.pulumi.client import PROVIDER, served
from tests.unit.local.pulumi.fake_docker import BUILT, FakeDaemon

IMAGE = "docker:index/image:Image"


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
        self.provider = DockerProvider(folder)
        build = {"context": "app", "platform": "linux/amd64", **inputs.pop("build", {})}
        news = {"imageName": "localhost:5000/app:1", "build": build, **inputs}
        self.inputs, self.refused = self.provider.check(Request(type=IMAGE, inputs=news))
        self.lines: list[str] = []

    def __call__(self, preview: bool = False) -> Properties:
        assert not self.refused
        asked = Request(type=IMAGE, inputs=self.inputs, preview=preview, log=self.lines.append)
        return dict(self.provider.create(asked)[1])


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


def test_a_push_without_a_digest_fails(folder: Path, daemon: FakeDaemon) -> None:
    daemon.push_events = []
    with pytest.raises(ResourceError, match="named no digest"):
        Run(folder)()


def test_skip_push_answers_with_the_image_id(folder: Path, daemon: FakeDaemon) -> None:
    assert Run(folder, skipPush=True)()["repoDigest"] == "sha256:built"
    assert daemon.pushed == []


def test_a_preview_builds_nothing(folder: Path, daemon: FakeDaemon) -> None:
    run = Run(folder)
    assert run(preview=True) == run.inputs
    assert daemon.build_options == {}


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


class Engine(engine_pb2_grpc.EngineServicer):
    """An engine that keeps what it is to show."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str, bool]] = []

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.shown.append((request.urn, request.message, request.ephemeral))
        return Empty()


def test_the_progress_is_shown_as_the_status_of_the_resource(
    folder: Path, daemon: FakeDaemon
) -> None:
    engine, inputs = Engine(), Run(folder).inputs
    server = grpc.server(ThreadPoolExecutor(1))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with served(PROVIDER, handlers(DockerProvider(folder), address)) as client:
        client("Create", type=IMAGE, urn="urn:image", properties=inputs)
    server.stop(None)
    assert ("urn:image", "Step 1/1 : FROM scratch", True) in engine.shown


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
        "building localhost:5000/app:1 failed: Step 2/2 : RUN pip install nothere",
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
    with pytest.raises(ResourceError, match="does not drive: install Pulumi"):
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
    assert "docker.io/app:1" in Run(folder, imageName="app:1").refused["imageName"]
    (folder / "app" / "broken").symlink_to("nowhere")
    with pytest.raises(ResourceError, match="the link leads nowhere"):
        Run(folder)


def test_inputs_that_are_not_implemented_are_refused_by_name(folder: Path) -> None:
    build = {"builderVersion": "BuilderBuildKit", "squash": True}
    run = Run(folder, build=build, buildOnPreview=True, pull=True)
    assert sorted(run.refused) == ["build.builderVersion", "build.squash", "buildOnPreview", "pull"]


def test_other_types_functions_and_options_are_refused_by_name() -> None:
    with served(PROVIDER, handlers(DockerProvider(), "127.0.0.1:1")) as client:
        with pytest.raises(grpc.RpcError, match="does not make docker:index/container:Container"):
            client("Check", type="docker:index/container:Container")
        with pytest.raises(grpc.RpcError, match="pulumi-docker does not implement Invoke"):
            client("Invoke", tok="docker:index/getNetwork:getNetwork")
        with pytest.raises(grpc.RpcError, match="pulumi-docker does not implement GetSchema"):
            client("GetSchema")
        with pytest.raises(grpc.RpcError, match="cannot import or read"):
            client("Read", type=IMAGE, id="localhost:5000/app:1")
        options = {"host": "unix:///x", "registryAuth": [], "__internal": {}}
        failures = client("CheckConfig", news=options)["failures"]
    assert [failure["property"] for failure in failures] == ["registryAuth"]


def test_check_with_unknowns() -> None:
    def check(build: Any) -> Properties:
        news = {"imageName": UNKNOWN, "build": build}
        return DockerProvider().check(Request(type=IMAGE, inputs=news))[0]

    assert "contextDigest" not in check({"context": UNKNOWN})["build"]
    assert check(UNKNOWN) == {"imageName": UNKNOWN, "build": UNKNOWN, "buildOnPreview": False}


def test_other_credentials_are_no_change_another_registry_is() -> None:
    def diff(old: Properties, new: Properties) -> dict[str, str]:
        outputs = {"__inputs": Secret({"registry": old})}
        asked = Request(type=IMAGE, old_outputs=outputs, inputs={"registry": new})
        return dict(DockerProvider().diff(asked))

    old = {"server": "a", "username": "u", "password": "p"}
    assert diff(old, {**old, "password": Secret("q")}) == {}
    assert diff(old, {**old, "server": "b"}) == {"registry": "UPDATE"}
