"""The release Job's part in DAG deploys: what it refuses, when it waits, and when it goes back."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.release.pod_file import load

release = load("astro_dag_release")
dags = load("astro_dags")
refusal = load("astro_termination_message")
KEY = "k1"


def workload(
    component: str, key: str | None, ready: int = 1, pods: int = 1, updated: int = 1
) -> dict[str, Any]:
    env = [] if key is None else [{"name": "ASTRO_DAGS_KEY", "value": key}]
    pod = {"containers": [{"name": "sidecar"}, {"name": "airflow", "env": env}]}
    return {
        "metadata": {"name": component, "labels": {"app.kubernetes.io/component": component}},
        "spec": {"template": {"spec": pod}},
        # Kubernetes leaves out what is zero.
        "status": {
            name: count
            for name, count in {
                "replicas": pods,
                "updatedReplicas": updated,
                "readyReplicas": ready,
            }.items()
            if count
        },
    }


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([workload("dag-processor", KEY)], "ready"),
        ([workload("dag-processor", KEY, ready=1, pods=2, updated=2)], "ready"),
        ([workload("dag-processor", "another")], "other"),
        ([workload("dag-processor", None)], "other"),
        ([workload("dag-processor", KEY, ready=0)], "starting"),
        ([workload("dag-processor", KEY, ready=0, pods=0, updated=0)], "other"),
        # A roll-out that has failed: the pod that is ready has another key.
        ([workload("dag-processor", KEY, ready=1, pods=2, updated=1)], "other"),
        ([workload("worker", KEY)], "other"),
        ([], "other"),
    ],
)
def test_it_is_a_dag_deploy_if_every_dag_processor_has_this_key(
    found: list[dict[str, Any]], expected: str
) -> None:
    assert release.dag_processor_state(found, KEY) == expected


def test_a_dag_processor_that_starts_again_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([0, 0, 1])
    monkeypatch.setattr(release.time, "sleep", lambda _: None)
    monkeypatch.setattr(
        release.workloads,
        "find_workloads",
        lambda *_: [workload("dag-processor", KEY, ready=next(states))],
    )
    assert release.waits_for_dag_processor(None, "analytics", KEY)


def test_a_dag_processor_that_never_starts_is_left_to_the_roll_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(release, "START_PATIENCE", -1.0)
    monkeypatch.setattr(
        release.workloads, "find_workloads", lambda *_: [workload("dag-processor", KEY, ready=0)]
    )
    assert not release.waits_for_dag_processor(None, "analytics", KEY)


class Store:
    """The database, as the Job sees it: versions by digest, pointers, and a dag-processor."""

    def __init__(self, follows: bool) -> None:
        self.versions: dict[str, str] = {}
        self.pointers: dict[str, str | None] = {KEY: "6-old"}
        self.follows = follows
        self.committed = 0
        self.unparsed: list[str] = []
        self.errors: dict[str, str] = {}
        self.closed = 0
        self.messages: list[str] = []

    # The connection, its cursor, and both as context managers.
    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        self.committed += error[0] is None

    def cursor(self) -> "Store":
        return self

    def close(self) -> None:
        pass

    # `astro_dag_store`
    def make_tables(self, cursor: Any) -> None:
        pass

    def store(self, cursor: Any, number: int, digest: str, content: bytes, url: Any) -> str:
        return self.versions.setdefault(digest, dags.version_name(number, digest))

    def pointer(self, cursor: Any, key: str) -> str | None:
        return self.pointers.get(key)

    def move_pointer(self, cursor: Any, key: str, version: str | None) -> None:
        self.pointers[key] = version

    def parsed_version(self, cursor: Any) -> str | None:
        return self.pointers[KEY] if self.follows else "6-old"

    def parsed_dags(self, cursor: Any, version: str) -> set[str]:
        return {"daily", "weekly"} - set(self.unparsed)

    def import_errors(self, cursor: Any) -> dict[str, str]:
        return self.errors


BUNDLE = release.Dags(KEY, "d" * 64, b"archive", Path("/nowhere"))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    made = Store(follows=True)
    monkeypatch.setattr(release, "store", made)
    monkeypatch.setattr(release, "connected", lambda: made)
    monkeypatch.setattr(release, "leave_message", made.messages.append)
    monkeypatch.setattr(release, "INTERVAL", 0.01)
    monkeypatch.setattr(release, "PARSE_PATIENCE", 0.05)
    monkeypatch.setenv("ASTRO_ROLLOUT_TIMEOUT", "0.05")
    yield made


def deploy(
    monkeypatch: pytest.MonkeyPatch,
    running: str = KEY,
    dag_ids: tuple[str, ...] = ("daily", "weekly"),
) -> Any:
    found = [workload("dag-processor", running)]
    monkeypatch.setattr(release.workloads, "find_workloads", lambda *_: found)
    return release.deploy(None, "analytics", BUNDLE, dag_ids, 7, None, lambda _: None)


def test_a_dag_deploy_switches_and_is_confirmed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = deploy(monkeypatch)
    assert done == ("7-dddddddddddd", True, [])
    assert store.pointers[KEY] == done.version
    # What Pulumi shows if the Job is killed while it waits.
    (message,) = store.messages
    assert "after the switch to version 7-dddddddddddd" in message


def test_the_same_dags_have_the_version_of_their_first_release(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.versions[BUNDLE.digest] = "3-dddddddddddd"
    assert deploy(monkeypatch).version == "3-dddddddddddd"


def test_an_image_deploy_does_not_wait(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.follows = False
    done = deploy(monkeypatch, running="of another image")
    assert done == ("7-dddddddddddd", False, [])
    assert store.pointers[KEY] == done.version


def test_dags_that_the_dag_processor_does_not_take_are_taken_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.follows = False
    with pytest.raises(refusal.ReleaseRefusedError, match="the old ones are restored"):
        deploy(monkeypatch)
    assert store.pointers[KEY] == "6-old"
    assert store.committed >= 2


def test_a_job_that_is_stopped_takes_its_dags_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        raise refusal.StoppedError("deleted")

    monkeypatch.setattr(store, "parsed_version", stopped)
    with pytest.raises(refusal.StoppedError):
        deploy(monkeypatch)
    assert store.pointers[KEY] == "6-old"


def test_a_database_that_restarts_meanwhile_is_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Store(follows=False)

    def cut(*_: Any) -> None:
        broken.closed = 2
        raise ConnectionError("server closed the connection unexpectedly")

    monkeypatch.setattr(broken, "cursor", cut)
    connections = iter([broken, store])
    monkeypatch.setattr(release, "connected", lambda: next(connections))
    assert deploy(monkeypatch).version == store.pointers[KEY] == "7-dddddddddddd"


def test_a_database_that_stays_away_after_the_switch_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any) -> None:
        store.closed = 2
        raise ConnectionError("server closed the connection unexpectedly")

    def connected() -> Store:
        if store.closed:
            raise refusal.ReleaseRefusedError("Nothing was changed.") from OSError("refused")
        return store

    monkeypatch.setattr(release, "connected", connected)
    monkeypatch.setattr(store, "parsed_version", cut)
    with pytest.raises(refusal.ReleaseRefusedError, match=r"deploy again\. refused$") as raised:
        deploy(monkeypatch)
    assert "Nothing was changed" not in str(raised.value)


def test_dags_that_are_not_parsed_yet_are_not_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.unparsed = ["weekly"]
    assert deploy(monkeypatch) == ("7-dddddddddddd", True, [])


def test_an_import_error_of_the_dag_processor_is_a_warning(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.unparsed = ["weekly"]
    store.errors = {"weekly.py": "Traceback ...\nKeyError: 'TOKEN'\n"}
    assert deploy(monkeypatch).warnings == [
        "dags/weekly.py cannot be imported by the dag-processor: KeyError: 'TOKEN'"
    ]


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Path, Path]:
    """The unpacked DAGs and AIRFLOW_HOME of the image."""
    for folder in ("home/dags", "image/include"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path / "home", tmp_path / "image"


@pytest.mark.parametrize(
    ("file", "text", "is_refused"),
    [
        ("home/dags/a.py", "PATH = '{image}/dags/query.sql'", True),
        ("home/dags/a.py", "FOLDER = '{image}/dags'", True),
        ("home/dags/sub/config.yaml", "path: {image}/dags/", True),
        ("image/include/paths.py", "DBT = Path('{image}/dags/dbt')", True),
        ("home/dags/a.py", "# {image}/dags is where they are", False),
        ("home/dags/a.py", "OTHER = '{image}/dags_of_others/x'", False),
        ("home/dags/a.py", "INCLUDE = '{image}/include/x.sql'", False),
        ("home/dags/a.md", "{image}/dags/", False),
    ],
)
def test_lines_with_the_path_of_dags_in_the_image_are_refused(
    homes: tuple[Path, Path], tmp_path: Path, file: str, text: str, is_refused: bool
) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("import os\n" + text.format(image=homes[1]) + "\n")
    context = (
        pytest.raises(refusal.ReleaseRefusedError, match=rf"\n  \w+/.*{path.name}:2: ")
        if is_refused
        else contextlib.nullcontext()
    )
    with context:
        release.refuse_fixed_paths(*homes)
