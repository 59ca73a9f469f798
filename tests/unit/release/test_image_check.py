"""The release Job compares the image with what the Deployment assumes of it."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from astro_pulumi.release.release_job import image_needs
from tests.specs import spec
from tests.unit.release.pod_file import load

image = load("astro_image_check")
POD_FILES = Path(image.__file__).parent

COMPLETE = {
    "apache-airflow-core": "3.3.2",
    "apache-airflow": "3.3.2",
    "apache-airflow-providers-celery": "3.26.0",
    "apache-airflow-providers-fab": "3.10.2",
    "asyncpg": "0.32.0",
    "psycopg2-binary": "2.9.13",
    "redis": "6.4.0",
}


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return what is said of an image with the given packages."""
    monkeypatch.setattr(image, "lost_signals", list)

    def run(
        packages: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> list[str]:
        def version(name: str) -> str:
            if name in packages:
                return packages[name]
            raise image.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(image.metadata, "version", version)
        lines: list[str] = image.mismatches(image_needs(spec(**arguments)), environment or {})
        return lines

    return run


def test_an_image_with_all_of_it_is_taken(check: Callable[..., list[str]]) -> None:
    assert check(COMPLETE) == []
    built = {**COMPLETE, "psycopg2": "2.9.13"}
    del built["psycopg2-binary"]
    assert check(built) == [], "the driver built from source is one as well"


def test_another_airflow_is_named_with_both_versions(check: Callable[..., list[str]]) -> None:
    installed = {**COMPLETE, "apache-airflow-core": "3.1.5", "apache-airflow": "3.1.5"}
    (line,) = check(installed, airflow_version="2.10.4")
    assert line == (
        "Airflow: the image has 3.1.5, and the Deployment is made for 2.10.4. "
        'Set airflow_version="3.1", or give an image with Airflow 2.10.'
    )


def test_another_patch_version_is_no_mismatch(check: Callable[..., list[str]]) -> None:
    assert check(COMPLETE, airflow_version="3.3.1") == []


def test_airflow_2_is_one_package(check: Callable[..., list[str]]) -> None:
    installed = {**COMPLETE, "apache-airflow": "2.11.2"}
    del installed["apache-airflow-core"]
    assert check(installed, airflow_version="2.11") == []


def test_an_image_without_airflow_is_one_line(check: Callable[..., list[str]]) -> None:
    (line,) = check({})
    assert "has no package apache-airflow" in line
    assert sys.executable in line


def test_every_missing_package_is_a_line(check: Callable[..., list[str]]) -> None:
    installed = {name: version for name, version in COMPLETE.items() if "airflow" in name}
    lines = check(
        installed, remote_logging={"folder": "s3://logs/a"}, metrics={"otel_host": "otel"}
    )
    assert lines == [
        "redis is missing, which Celery's broker needs. Add it to the image.",
        "psycopg2-binary is missing, which the database needs. Add it to the image.",
        "asyncpg is missing, which the api-server needs. Add it to the image.",
        "opentelemetry-exporter-otlp-proto-http is missing, which metrics.otel_host needs. Add it to the "
        "image.",
        "apache-airflow-providers-amazon is missing, which remote_logging.folder 's3://logs/a' needs. Add "
        "it to the image.",
    ]


def test_a_setting_that_names_a_class_of_a_provider_needs_it(
    check: Callable[..., list[str]],
) -> None:
    environment = {
        "AIRFLOW__SECRETS__BACKEND": (
            "airflow.providers.microsoft.azure.secrets.key_vault.AzureKeyVaultBackend"
        ),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": (
            '[{"name": "a", "classpath": "airflow.providers.git.bundles.git.GitDagBundle"}]'
        ),
        "SOMETHING": "airflow.providers.google.x.Y",
    }
    first, second = check(COMPLETE, environment)
    assert first == (
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST names airflow.providers.git.bundles.git."
        "GitDagBundle, which is not in the image. Add apache-airflow-providers-git to the image."
    )
    assert second.endswith("Add apache-airflow-providers-microsoft-azure to the image.")


def test_a_provider_of_ones_own_without_metadata_is_found(
    check: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "airflow" / "providers" / "acme"
    folder.mkdir(parents=True)
    (folder / "secrets.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    environment = {"AIRFLOW__SECRETS__BACKEND": "airflow.providers.acme.secrets.Backend"}
    assert check(COMPLETE, environment) == []


def test_a_user_without_a_name_is_told(
    check: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 50000")

    monkeypatch.setattr(image.getpass, "getuser", nobody)
    (line,) = check(COMPLETE)
    assert f"user {os.getuid()}, which has no name" in line
    assert 'environment={"USER": "airflow"}' in line


def test_files_that_the_user_cannot_read_are_named(
    check: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root can read everything, so that the answer for some files is made up."""
    dags = tmp_path / "dags"
    dags.mkdir()
    for name in ("a.py", "b.py", "c.py", "d.py", "e.py"):
        (dags / name).touch()
    (tmp_path / "include").mkdir()
    (dags / "nowhere").symlink_to("missing")
    closed = {str(dags / name) for name in ("a.py", "b.py", "c.py", "d.py")}
    closed.add(str(tmp_path / "include"))
    monkeypatch.setattr(image.os, "access", lambda path, mode: str(path) not in closed)
    (line,) = check(COMPLETE, {"AIRFLOW_HOME": str(tmp_path)})
    assert "and 2 more" in line
    assert str(tmp_path / "dags") in line
    assert f"chmod -R a+rX {tmp_path}" in line


# Programs that start another one, as an image's entry point does. Each is the first process.
PASSES_ON = """
import os, signal, subprocess, sys
child = subprocess.Popen(sys.argv[1:])
signal.signal(signal.SIGURG, lambda *_: {send})
signal.signal(signal.SIGTERM, lambda *_: child.terminate())
sys.exit(child.wait())
"""
ONE = (sys.executable, "-c", PASSES_ON.format(send="child.send_signal(signal.SIGURG)"))
# The group is led by the first process, which is signalled, too, and passes it on no more.
GROUP = (
    sys.executable,
    "-c",
    PASSES_ON.format(
        send="(signal.signal(signal.SIGURG, signal.SIG_IGN), os.killpg(0, signal.SIGURG))"
    ),
)
KEEPS = ("sh", "-c", '"$@"; exit $?', "sh")
TRAPS = ("sh", "-c", "trap 'kill -TERM $child' TERM; \"$@\" & child=$!; wait $child", "sh")
# As if there were nothing above the process that started this one.
ASK = f"""
import os, sys
sys.path.append({str(POD_FILES)!r})
import astro_image_check
astro_image_check.SIGNAL_PATIENCE = 0.5
top = int(os.environ["TOP"])
above = astro_image_check.processes_above
def up_to_top(pid):
    found = above(pid)
    return found[: found.index(top)]
astro_image_check.processes_above = up_to_top
print("\\n".join(astro_image_check.lost_signals()))
"""


def ask(entrypoint: tuple[str, ...]) -> str:
    """Return what is said in a process that `entrypoint` has started."""
    done = subprocess.run(
        [*entrypoint, sys.executable, "-c", ASK],
        env={**os.environ, "TOP": str(os.getpid())},
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        check=True,
        start_new_session=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("entrypoint", [ONE, TRAPS, ()], ids=["init", "trap", "none"])
def test_an_entry_point_that_passes_sigterm_on_is_taken(entrypoint: tuple[str, ...]) -> None:
    assert ask(entrypoint) == ""


def test_a_script_that_does_not_end_in_exec_is_told() -> None:
    said = ask(KEEPS)
    assert said.startswith("Entry point: sh does not forward SIGTERM")
    assert 'exec "$@"' in said


def test_an_init_whose_child_does_not_pass_it_on_is_told() -> None:
    assert "does not forward SIGTERM" in ask((*ONE, *KEEPS))


def test_an_init_that_signals_all_processes_is_told() -> None:
    said = ask(GROUP)
    assert "forwards signals to all processes" in said
    assert "tini --" in said
