"""URLs whose login is in an existing Secret: composed where a process starts, or by Airflow's own means."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import astro_pulumi
from tests.unit.release.pod_file import load

urls = load("astro_urls_with_login")
SCRIPT = Path(astro_pulumi.__file__).parent / "pod_files" / "astro_urls_with_login.py"
TEMPLATE = "postgresql+psycopg2://[fd00::1]:5432/airflow?sslmode=require&a='b'"
NAME = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
LOGIN = {"ASTRO_DATABASE_USERNAME": "us/er", "ASTRO_DATABASE_PASSWORD": "p:@/?#% $HOME'\"ü"}


def environment(login: dict[str, str]) -> dict[str, str]:
    command = shlex.join(["python", "-IS", str(SCRIPT), "DATABASE", TEMPLATE])
    return {f"{NAME}_CMD": command, "OTHER_CMD": "echo 1", **login}


def test_a_login_is_percent_encoded() -> None:
    composed = environment(LOGIN)
    urls.compose_urls(composed)
    parts = urlsplit(composed[NAME])
    assert unquote(parts.username or "") == LOGIN["ASTRO_DATABASE_USERNAME"]
    assert unquote(parts.password or "") == LOGIN["ASTRO_DATABASE_PASSWORD"]
    assert (parts.hostname, parts.port, parts.path) == ("fd00::1", 5432, "/airflow")
    assert parts.query == "sslmode=require&a='b'"
    # Airflow replaces variables in what it reads from the environment.
    assert os.path.expandvars(composed[NAME]) == composed[NAME]


def test_child_processes_see_no_more_than_of_a_url_that_was_given() -> None:
    composed = environment(LOGIN)
    urls.compose_urls(composed)
    assert set(composed) == {NAME, "OTHER_CMD"}
    again = dict(composed)
    urls.compose_urls(again)
    assert again == composed


@pytest.mark.parametrize(
    ("login", "authority"),
    [
        ({"ASTRO_BROKER_PASSWORD": "p\n"}, ":p@redis:6379"),
        ({"ASTRO_BROKER_USERNAME": "u", "ASTRO_BROKER_PASSWORD": "p"}, "u:p@redis:6379"),
        ({}, "redis:6379"),
    ],
)
def test_a_broker_may_have_no_user(login: dict[str, str], authority: str) -> None:
    composed = urls.compose("BROKER", "redis://redis:6379/0", login)
    assert composed == f"redis://{authority}/0"


def test_airflow_in_a_shell_gets_the_same_from_the_command() -> None:
    variables = environment(LOGIN)
    command = shlex.split(variables[f"{NAME}_CMD"])
    printed = subprocess.run(
        [sys.executable, *command[1:]],
        env={**os.environ, **LOGIN},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    urls.compose_urls(variables)
    assert printed == variables[NAME]


@pytest.mark.parametrize(
    "script", ["airflow_start", "heartbeat_probe", "worker_probe", "release_job"]
)
def test_everything_that_reads_a_url_composes_it_first(script: str) -> None:
    text = SCRIPT.with_name(f"{script}.py").read_text()
    assert "compose_urls(os.environ)" in text
    assert text.index("compose_urls(os.environ)") < text.find("os.environ[") % len(text)
