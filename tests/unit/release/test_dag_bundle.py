"""The DAG bundle: which version it has, where it gets it from, and what Airflow parses again."""

import contextlib
import http.client
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.release.pod_file import load

dags = load("astro_dags")


class BaseDagBundle:
    """As much of Airflow's class as ours uses."""

    def __init__(self, name: str, version: str | None = None, **_: Any) -> None:
        self.name, self.version, self.is_initialized = name, version, False
        self.base_dir = Path(os.environ["STORAGE"], name)
        self.versions_dir = self.base_dir / "versions"

    def initialize(self) -> None:
        self.is_initialized = True

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        yield


class Server:
    """The archives, and the pointer of the only key."""

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}
        self.pointer: str | None = None
        self.asked: list[str] = []
        self.first: list[list[str]] = []

    def add(self, folder: Path, text: str) -> str:
        folder.mkdir(exist_ok=True)
        (folder / "sales.py").write_text(text)
        digest, content = dags.pack(folder)
        version: str = dags.version_name(len(self.archives) + 1, digest)
        self.archives[version] = content
        self.pointer = version
        return version

    def read(self, path: str) -> bytes | None:
        self.asked.append(path)
        kind, _, name = path.strip("/").partition("/")
        if kind == "archives":
            return self.archives.get(name)
        return self.pointer.encode() if self.pointer else None


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`astro_dag_bundle`, with a stand-in for Airflow."""
    base = types.ModuleType("airflow.dag_processing.bundles.base")
    vars(base).update(
        BaseDagBundle=BaseDagBundle,
        get_bundle_tracking_dir=lambda name: tmp_path / "storage" / "_tracking" / name,
    )
    for name in ("airflow", "airflow.dag_processing", "airflow.dag_processing.bundles"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, base.__name__, base)
    monkeypatch.delitem(sys.modules, "astro_dag_bundle", raising=False)
    (tmp_path / "image" / "include").mkdir(parents=True)
    for name, value in {
        "STORAGE": str(tmp_path / "storage"),
        "AIRFLOW_HOME": str(tmp_path / "image"),
        "ASTRO_DAGS_KEY": "k1",
        "AIRFLOW__API__SECRET_KEY": "s" * 48,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://web:8080/team/execution/",
        "AIRFLOW__CORE__DAGS_FOLDER": "",  # restored after the test
        "ASTRO_IMAGE_HOME": "",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    found = load("astro_dag_bundle")
    yield found
    sys.modules.pop("astro_dag_bundle")


@pytest.fixture
def server(module: Any, monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    store = types.SimpleNamespace(
        pointer=lambda cursor, key: made.pointer,
        read=lambda cursor, version: made.archives.get(version),
    )
    monkeypatch.setattr(module, "astro_dag_store", store)
    monkeypatch.setattr(module, "from_database", lambda work: work(None))
    monkeypatch.setattr(module, "ask_webserver", made.read)
    monkeypatch.setattr(module, "parse_first", lambda *given: made.first.append(given[-1]))
    return made


@pytest.fixture
def is_dag_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTRO_DAGS_SOURCE", "database")


def text(bundle: Any) -> str:
    return str((bundle.path / "sales.py").read_text())


def track(tmp_path: Path, version: str) -> None:
    """Do what Airflow does when a callback uses a version."""
    tracked = tmp_path / "storage" / "_tracking" / "dags-folder" / version
    tracked.parent.mkdir(parents=True)
    tracked.touch()


def test_a_task_gets_the_version_of_its_run_once(
    module: Any, server: Server, tmp_path: Path
) -> None:
    old = server.add(tmp_path / "dags", "1")
    server.add(tmp_path / "dags", "2")
    for _ in range(2):
        bundle = module.ArchiveBundle(name="dags-folder", version=old)
        bundle.initialize()
        assert (text(bundle), bundle.get_current_version()) == ("1", old)
    assert server.asked == [f"/archives/{old}"]
    assert os.environ["AIRFLOW_HOME"] == str(bundle.path.parent)


def test_a_task_of_a_run_without_version_gets_the_one_of_its_image(
    module: Any, server: Server, tmp_path: Path
) -> None:
    newest = server.add(tmp_path / "dags", "1")
    bundle = module.ArchiveBundle(name="dags-folder")
    bundle.initialize()
    assert (text(bundle), bundle.version) == ("1", newest)
    assert server.asked == ["/pointers/k1", f"/archives/{newest}"]


def test_a_version_that_is_gone_is_explained(module: Any, server: Server) -> None:
    with pytest.raises(module.MissingVersionError, match="history_limit"):
        module.ArchiveBundle(name="dags-folder", version="1-abc").initialize()


@pytest.mark.usefixtures("is_dag_processor")
def test_the_dag_processor_follows_the_pointer_under_one_path(
    module: Any, server: Server, tmp_path: Path
) -> None:
    first = server.add(tmp_path / "dags", "1")
    bundle = module.ArchiveBundle(name="dags-folder")
    bundle.initialize()
    path = bundle.path
    assert (text(bundle), bundle.get_current_version()) == ("1", first)
    second = server.add(tmp_path / "dags", "2")
    bundle.refresh()
    assert (text(bundle), bundle.get_current_version()) == ("2", second)
    assert bundle.path == path
    assert Path(os.environ["AIRFLOW_HOME"]) == path.parent
    assert [one.name for one in bundle.versions_dir.iterdir()] == [second]
    assert server.asked == []


@pytest.mark.usefixtures("is_dag_processor")
def test_changed_files_are_parsed_first(module: Any, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    server.add(folder, "1")
    (folder / "same.py").write_text("same")
    server.add(folder, "1")
    bundle = module.ArchiveBundle(name="dags-folder")
    bundle.initialize()
    assert server.first == [], "the first version is new as a whole"
    (folder / "sub").mkdir()
    for name in ("sub/new.py", "query.sql"):
        (folder / name).write_text("new")
    server.add(folder, "2")
    bundle.refresh()
    assert server.first == [["sales.py", "sub/new.py"]]
    times = {file: (bundle.path / file).stat().st_mtime_ns for file in ("sales.py", "same.py")}
    assert times["sales.py"] > times["same.py"]


@pytest.mark.usefixtures("is_dag_processor")
def test_a_version_that_callbacks_use_stays(module: Any, server: Server, tmp_path: Path) -> None:
    old = server.add(tmp_path / "dags", "1")
    follower = module.ArchiveBundle(name="dags-folder")
    follower.initialize()
    track(tmp_path, old)
    server.add(tmp_path / "dags", "2")
    follower.refresh()
    home = os.environ["AIRFLOW_HOME"]
    module.ArchiveBundle(name="dags-folder", version=old).initialize()
    assert (follower.versions_dir / old).is_dir()
    assert os.environ["AIRFLOW_HOME"] == home, "what it parses is of the newest version"


@pytest.mark.usefixtures("is_dag_processor")
def test_files_of_a_version_from_before_are_new_again(
    module: Any, server: Server, tmp_path: Path
) -> None:
    first = server.add(tmp_path / "dags", "1")
    bundle = module.ArchiveBundle(name="dags-folder")
    bundle.initialize()
    track(tmp_path, first)
    os.utime(bundle.path / "sales.py", (0, 0))
    server.add(tmp_path / "dags", "2")
    bundle.refresh()
    server.pointer = first
    bundle.refresh()
    assert (text(bundle), (bundle.path / "sales.py").stat().st_mtime > 0) == ("1", True)


@pytest.mark.usefixtures("is_dag_processor")
@pytest.mark.parametrize("were_parsing", [True, False])
def test_files_that_were_being_parsed_are_parsed_again(
    module: Any,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    were_parsing: bool,
) -> None:
    alive = {4711} if were_parsing else set()
    monkeypatch.setattr(module, "children", lambda: set(alive))
    server.add(tmp_path / "dags", "1")
    bundle = module.ArchiveBundle(name="dags-folder")
    bundle.initialize()
    os.utime(bundle.path / "sales.py", (0, 0))

    def is_new() -> bool:
        return bool((bundle.path / "sales.py").stat().st_mtime > 0)

    bundle.refresh()
    assert not is_new(), "the process that parses it still runs"
    alive.clear()
    bundle.refresh()
    assert not is_new(), "Airflow may not have stored its result yet"
    bundle.refresh()
    assert is_new() == were_parsing


def test_a_task_waits_for_the_webserver(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Iterator[OSError | tuple[int, bytes]] = iter(
        [
            OSError("connection refused"),
            (http.client.NOT_FOUND, b"a webserver without DAG deploys"),
            (http.client.OK, b"archive"),
        ]
    )
    asked = []

    def get(server: Any, full_path: str, path: str) -> tuple[int, bytes]:
        asked.append((server.netloc, full_path, path))
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(module, "_get", get)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    assert module.ask_webserver("/archives/1-a") == b"archive"
    assert set(asked) == {("web:8080", "/team/astro-pulumi/archives/1-a", "/archives/1-a")}
    assert len(asked) == 3


def test_a_task_does_not_wait_for_ever(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_get", lambda *_: (http.client.FORBIDDEN, b"not signed"))
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    with pytest.raises(ConnectionError, match="403 not signed"):
        module.ask_webserver("/archives/1-a")


def test_what_is_not_stored_is_not_waited_for(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_get", lambda *_: (http.client.NOT_FOUND, module.NOT_STORED))
    assert module.ask_webserver("/archives/1-a") is None
