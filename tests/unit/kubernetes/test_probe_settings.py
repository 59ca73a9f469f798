"""The probes ask as the process that they judge is set up: each setting that they depend on."""

import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.release.pod_file import load

OPTION = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__"
CELERY = "AIRFLOW__CELERY__"


class Application:
    """Stands for Celery's."""

    def __init__(self, broker: str) -> None:
        self.broker, self.conf = broker, dict[str, Any]()


@pytest.fixture(autouse=True)
def _images_packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the probes import is in Airflow's image, and not here."""
    celery, psycopg2 = ModuleType("celery"), ModuleType("psycopg2")
    celery.Celery = Application  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "celery", celery)
    monkeypatch.setitem(sys.modules, "psycopg2", psycopg2)
    yield
    for name in ("worker_probe", "heartbeat_probe"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"broker_transport_options": {}}),
        (
            {
                f"{OPTION}GLOBAL_KEYPREFIX": "team_",
                f"{OPTION}VISIBILITY_TIMEOUT": "86400",
                f"{OPTION}SOCKET_TIMEOUT": "1.5",
                f"{OPTION}FANOUT_PREFIX": "False",
                f"{OPTION}SENTINEL_KWARGS": '{"password": "p"}',
            },
            {
                "broker_transport_options": {
                    "global_keyprefix": "team_",
                    "visibility_timeout": 86400,
                    "socket_timeout": 1.5,
                    "fanout_prefix": False,
                    "sentinel_kwargs": {"password": "p"},
                }
            },
        ),
        (
            {f"{CELERY}EXTRA_CELERY_CONFIG": '{"control_exchange": "team"}'},
            {"broker_transport_options": {}, "control_exchange": "team"},
        ),
        (
            {
                f"{CELERY}SSL_ACTIVE": "True",
                f"{CELERY}SSL_KEY": "/k",
                f"{CELERY}SSL_CERT": "/c",
                f"{CELERY}SSL_CACERT": "/ca",
            },
            {
                "broker_transport_options": {},
                "broker_use_ssl": {
                    "ssl_cert_reqs": ssl.CERT_REQUIRED,
                    "ssl_ca_certs": "/ca",
                    "ssl_keyfile": "/k",
                    "ssl_certfile": "/c",
                },
            },
        ),
        (
            {f"{CELERY}SSL_ACTIVE": "true", f"{CELERY}SSL_MUTUAL_TLS": "False"},
            {
                "broker_transport_options": {},
                "broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED},
            },
        ),
    ],
)
def test_the_worker_is_asked_as_it_listens(given: dict[str, str], expected: dict[str, Any]) -> None:
    application = load("worker_probe").application({f"{CELERY}BROKER_URL": "redis://h", **given})
    assert application.broker == "redis://h"
    assert application.conf == expected


def test_a_configuration_in_python_is_the_workers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "airflow.providers.celery.executors.celery_executor_utils"
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:length]), ModuleType("airflow"))
    sys.modules[name].app = "Airflow's application"  # type: ignore[attr-defined]
    given = {f"{CELERY}CELERY_CONFIG_OPTIONS": "my.CONFIG"}
    assert load("worker_probe").application(given) == "Airflow's application"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 60),
        ({"AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "5"}, 60),
        ({"AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "60"}, 180),
        ({"AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "100"}, 300),
        ({"AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "90.5"}, 271.5),
    ],
)
def test_a_heartbeat_counts_for_three_intervals(given: dict[str, str], seconds: float) -> None:
    assert load("heartbeat_probe").patience(given) == seconds


def test_the_database_is_asked_with_the_users_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "own_settings.py").write_text("ARGS = {'sslcert': '/c'}\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    given = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "own_settings.ARGS",
    }
    probe = load("heartbeat_probe")
    assert probe.connect_arguments(given) == {"sslcert": "/c"}
    assert probe.connect_arguments({}) == {}


def test_the_question_goes_to_the_database_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = load("heartbeat_probe")
    asked: list[Any] = []

    class Connection:
        autocommit = False

        def cursor(self) -> Any:
            return self

        def close(self) -> None:
            pass

        def execute(self, _: str, values: Any) -> None:
            asked.append(values)

        def fetchone(self) -> tuple[int]:
            return (1,)

    def connect(dsn: str, **arguments: Any) -> Connection:
        asked.append((dsn, arguments))
        return Connection()

    monkeypatch.setattr(probe, "driver", SimpleNamespace(connect=connect))
    monkeypatch.setattr(probe.socket, "gethostbyname", lambda _: "10.0.0.1")
    url = "postgresql+psycopg2://u:p@h/d?sslmode=require"
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
    monkeypatch.setenv("AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC", "40")
    with pytest.raises(SystemExit) as ended:
        probe.main("TriggererJob", 0)
    assert ended.value.code == 0
    assert asked == [
        ("postgresql://u:p@h/d?sslmode=require", {"connect_timeout": 5}),
        ("TriggererJob", "10.0.0.1", 120.0),
    ]
