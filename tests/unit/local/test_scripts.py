"""The images' scripts, run with stand-ins for the programs that they call."""

import os
import subprocess
from pathlib import Path

import pytest

from local.paths import SOURCE

BUILD = SOURCE / "runtime" / "astro-build"
REDIS = SOURCE / "images" / "redis" / "docker-entrypoint.sh"
POSTGRES = SOURCE / "images" / "postgres" / "docker-entrypoint.sh"


class Sandbox:
    """A directory to run a script in, where some programs only write down how they were called."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls = directory / "calls"
        self.programs = directory / "bin"
        self.programs.mkdir()

    def stand_in(self, *names: str, code: str = "") -> None:
        for name in names:
            program = self.programs / name
            program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{code}\n')
            program.chmod(0o755)

    def run(self, *command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.programs}:{os.environ['PATH']}"
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.directory,
            env={"PATH": path, **env},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


class TestPackages:
    @pytest.fixture(autouse=True)
    def programs(self, sandbox: Sandbox) -> None:
        sandbox.stand_in("apt-get", "rm")

    def test_are_installed_whatever_the_line_ends(self, sandbox: Sandbox) -> None:
        (sandbox.directory / "packages.txt").write_text("# tools\n\njq  curl # two\r\ngit")
        assert sandbox.run(BUILD, "packages").returncode == 0
        assert "apt-get install -y --no-install-recommends jq curl git" in sandbox.called

    @pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n  # more\r\n"])
    def test_of_an_empty_file_cost_nothing(self, sandbox: Sandbox, text: str) -> None:
        (sandbox.directory / "packages.txt").write_text(text)
        assert sandbox.run(BUILD, "packages").returncode == 0
        assert sandbox.called == []

    def test_that_cannot_be_installed_fail_the_build(self, sandbox: Sandbox) -> None:
        sandbox.stand_in("apt-get", code="exit 100")
        (sandbox.directory / "packages.txt").write_text("no-such-package\n")
        assert sandbox.run(BUILD, "packages").returncode != 0


class TestRequirements:
    @pytest.fixture(autouse=True)
    def programs(self, sandbox: Sandbox) -> None:
        sandbox.stand_in("uv")

    def run(self, sandbox: Sandbox, text: str) -> subprocess.CompletedProcess[str]:
        (sandbox.directory / "requirements.txt").write_text(text)
        return sandbox.run(BUILD, "requirements", AIRFLOW_VERSION="3.3.2")

    def test_are_installed_together_with_airflow(self, sandbox: Sandbox) -> None:
        assert self.run(sandbox, "pandas\n").returncode == 0
        (call,) = sandbox.called
        assert "--constraint /usr/local/venv/constraints.txt" in call
        assert "--requirement /usr/local/venv/airflow.txt --requirement requirements.txt" in call
        assert "--compile-bytecode" in call

    @pytest.mark.parametrize("text", ["", "# none\n", "  \r\n# a\r\n"])
    def test_of_an_empty_file_cost_nothing(self, sandbox: Sandbox, text: str) -> None:
        assert self.run(sandbox, text).returncode == 0
        assert sandbox.called == []

    @pytest.mark.parametrize(
        "line",
        [
            "apache-airflow",
            "apache-airflow==3.0.0",
            "Apache_Airflow >= 3",
            "apache-airflow[celery]~=3.0 # x",
            "  apache.airflow ; python_version > '3'",
        ],
    )
    def test_airflow_itself_is_refused(self, sandbox: Sandbox, line: str) -> None:
        done = self.run(sandbox, f"pandas\n{line}\n")
        assert done.returncode == 1
        assert "requirements.txt:2:" in done.stderr
        assert "change the FROM line" in done.stderr
        assert sandbox.called == []

    @pytest.mark.parametrize("line", ["apache-airflow-providers-http", "apache-airflow-client==3"])
    def test_providers_are_welcome(self, sandbox: Sandbox, line: str) -> None:
        assert self.run(sandbox, f"{line}\n").returncode == 0
        assert len(sandbox.called) == 1


class TestProject:
    def test_is_compiled_by_hash_of_its_source(self, sandbox: Sandbox) -> None:
        for name in ("dags", "include"):
            (sandbox.directory / name).mkdir()
        (sandbox.directory / "dags" / "good.py").write_text("x = 1\n")
        (sandbox.directory / "dags" / "bad.py").write_text("def (:\n")
        assert sandbox.run(BUILD, "project").returncode == 0
        (compiled,) = (sandbox.directory / "dags").glob("__pycache__/*.pyc")
        assert compiled.name.startswith("good.")
        # PEP 552: the second word of a .pyc has bit 0 for "by hash" and bit 1 for "checked".
        assert compiled.read_bytes()[4:8] == b"\x03\0\0\0"

    def test_stale_bytecode_does_not_survive(self, sandbox: Sandbox) -> None:
        dags = sandbox.directory / "dags"
        dags.mkdir()
        source = dags / "a.py"
        source.write_text("x = 1\n")
        os.utime(source, (0, 0))
        sandbox.run(BUILD, "project")
        (compiled,) = dags.glob("__pycache__/*.pyc")
        before = compiled.read_bytes()
        source.write_text("x = 2\n")
        os.utime(source, (0, 0))
        sandbox.run(BUILD, "project")
        assert compiled.read_bytes() != before

    def test_without_directories_is_nothing_to_do(self, sandbox: Sandbox) -> None:
        assert sandbox.run(BUILD, "project").returncode == 0


def test_an_unknown_step_is_an_error(sandbox: Sandbox) -> None:
    assert sandbox.run(BUILD, "everything").returncode == 2


class TestRedis:
    @pytest.fixture(autouse=True)
    def programs(self, sandbox: Sandbox) -> None:
        sandbox.stand_in("redis-server", "redis-cli")
        sandbox.stand_in("id", code="echo 999")

    @pytest.mark.parametrize(
        ("arguments", "call"),
        [
            (["redis-server"], "redis-server --protected-mode no"),
            (["--port", "1"], "redis-server --port 1 --protected-mode no"),
            (["/etc/redis.conf"], "redis-server /etc/redis.conf --protected-mode no"),
            (["--protected-mode", "yes"], "redis-server --protected-mode yes"),
            (["redis-cli", "ping"], "redis-cli ping"),
        ],
    )
    def test_arguments(self, sandbox: Sandbox, arguments: list[str], call: str) -> None:
        assert sandbox.run(REDIS, *arguments).returncode == 0
        assert sandbox.called[-1] == call


class TestPostgres:
    @pytest.fixture(autouse=True)
    def programs(self, sandbox: Sandbox) -> None:
        version = 'mkdir -p "$PGDATA"; echo 15 > "$PGDATA/PG_VERSION"'
        sandbox.stand_in("initdb", code=version)
        sandbox.stand_in("postgres", "pg_ctl", "psql")
        sandbox.stand_in("id", code="echo 999")

    def run(self, sandbox: Sandbox, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return sandbox.run(POSTGRES, *command, PGDATA=str(sandbox.directory / "data"), **env)

    def test_initializes_in_utf8_with_password_authentication(self, sandbox: Sandbox) -> None:
        done = self.run(
            sandbox, "postgres", POSTGRES_PASSWORD="p", POSTGRES_USER="u", POSTGRES_INITDB_ARGS="-k"
        )
        assert done.returncode == 0, done.stderr
        (initdb,) = [call for call in sandbox.called if call.startswith("initdb")]
        assert "--username=u" in initdb
        assert "-E UTF8 --locale=C.UTF-8 -k" in initdb
        rules = (sandbox.directory / "data" / "pg_hba.conf").read_text()
        assert "host all all all scram-sha-256" in rules
        assert sandbox.called[-1] == "postgres "

    def test_initializes_once(self, sandbox: Sandbox) -> None:
        self.run(sandbox, "postgres", POSTGRES_PASSWORD="p")
        self.run(sandbox, "postgres")
        assert len([call for call in sandbox.called if call.startswith("initdb")]) == 1

    def test_options_alone_mean_postgres(self, sandbox: Sandbox) -> None:
        self.run(sandbox, "-c", "max_connections=9", POSTGRES_PASSWORD="p")
        assert sandbox.called[-1] == "postgres -c max_connections=9"

    def test_needs_a_password(self, sandbox: Sandbox) -> None:
        done = self.run(sandbox, "postgres")
        assert done.returncode == 1
        assert "POSTGRES_PASSWORD" in done.stderr

    def test_password_may_come_from_a_file(self, sandbox: Sandbox) -> None:
        secret = sandbox.directory / "secret"
        secret.write_text("p")
        assert self.run(sandbox, "postgres", POSTGRES_PASSWORD_FILE=str(secret)).returncode == 0

    def test_both_ways_at_once_are_refused(self, sandbox: Sandbox) -> None:
        done = self.run(
            sandbox, "postgres", POSTGRES_PASSWORD="p", POSTGRES_PASSWORD_FILE="/nowhere"
        )
        assert done.returncode == 1
        assert "both" in done.stderr

    def test_its_version_needs_no_database(self, sandbox: Sandbox) -> None:
        assert self.run(sandbox, "postgres", "--version").returncode == 0
        assert sandbox.called == ["postgres --version"]

    def test_another_command_is_run_as_it_is(self, sandbox: Sandbox) -> None:
        self.run(sandbox, "psql", "-l")
        assert sandbox.called == ["psql -l"]
