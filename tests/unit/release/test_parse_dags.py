"""The release Job parses DAGs, whatever their code does. Airflow itself is made up here."""

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import astro_pulumi
from tests.unit.release.pod_file import load

parse = load("astro_parse_dags")
release_job = load("release_job")
POD_FILES = Path(astro_pulumi.__file__).parent / "pod_files"

# As much of Airflow as the parse touches: a bag that runs every file, with the errors that Airflow keeps.
AIRFLOW = {
    "airflow/__init__.py": "",
    "airflow/settings.py": """
        import os
        HOME = os.environ["AIRFLOW_HOME"]
        DAGS_FOLDER, PLUGINS_FOLDER = HOME + "/dags", HOME + "/plugins"
        class engine:
            dispose = staticmethod(lambda: None)
        """,
    "airflow/configuration.py": """
        class conf:
            getfloat = staticmethod(lambda *_, **__: 30.0)
        """,
    "airflow/plugins_manager.py": """
        import os
        from airflow.settings import PLUGINS_FOLDER
        import_errors = {"some_package": "not ours"}
        def ensure_plugins_loaded():
            for name in os.listdir(PLUGINS_FOLDER):
                path = PLUGINS_FOLDER + "/" + name
                try:
                    exec(compile(open(path).read(), path, "exec"), {})
                except Exception as error:
                    import_errors[path] = str(error)
        """,
    "airflow/models/__init__.py": "",
    "airflow/models/dagbag.py": """
        import os, traceback
        class Dag:
            def __init__(self, dag_id, fileloc):
                self.dag_id, self.fileloc = dag_id, fileloc
        class DagBag:
            def __init__(self, dag_folder, include_examples=True):
                assert not include_examples
                self.dags, self.import_errors = {}, {}
                for name in sorted(os.listdir(dag_folder)):
                    self.process_file(dag_folder + "/" + name)
            def process_file(self, filepath, only_if_updated=True):
                try:
                    module = {}
                    exec(compile(open(filepath).read(), filepath, "exec"), module)
                except Exception:
                    self.import_errors[filepath] = traceback.format_exc()
                else:
                    for dag_id in module.get("DAGS", []):
                        self.dags[dag_id] = Dag(dag_id, filepath)
        """,
    "airflow/serialization/__init__.py": "",
    "airflow/serialization/serialized_objects.py": """
        import os
        class SerializedDAG:
            @staticmethod
            def to_dict(dag):
                if "unserializable" in dag.dag_id:
                    raise TypeError("a lock cannot be serialized")
                if "deadly" in dag.dag_id:
                    os._exit(3)
        """,
}


def run(folder: Path, files: dict[str, str]) -> tuple[Any, list[str]]:
    """What the parse of `files` finds, and what it has noted on the way."""
    home = folder / "home"
    script = f"""
import json, sys
sys.path[:0] = [{str(folder / "site-packages")!r}, {str(POD_FILES)!r}]
import astro_parse_dags
noted = []
parsed = astro_parse_dags.parse({str(home / "dags")!r}, noted.append)
print("RESULT" + json.dumps([parsed, noted]))
"""
    for name, text in AIRFLOW.items():
        path = folder / "site-packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    for name in ("dags", "plugins"):
        (home / name).mkdir(parents=True)
    for name, text in files.items():
        (home / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"AIRFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    parsed, noted = json.loads(done.stdout.rpartition("RESULT")[2])
    return parse.Parsed(*parsed), noted


def test_healthy_dags(tmp_path: Path) -> None:
    parsed, noted = run(tmp_path, {"dags/b.py": "DAGS = ['b', 'a']", "dags/c.py": "DAGS = ['c']"})
    assert parsed == (["a", "b", "c"], {})
    assert noted[:3] == ["plugins", "dags/b.py", "dags/c.py"]


def test_each_file_that_fails_is_told_whatever_it_does_to_the_process(tmp_path: Path) -> None:
    parsed, _ = run(
        tmp_path,
        {
            "dags/a_fails.py": "import nothing_of_this_name",
            "dags/b_exits.py": "import sys\nsys.exit(0)",
            "dags/c_ends.py": "import os\nos._exit(0)",
            "dags/d_killed.py": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
            "dags/e_crashes.py": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
            "dags/f_serial.py": "DAGS = ['unserializable']",
            "dags/g_good.py": "DAGS = ['good']",
            "plugins/p.py": "1 / 0",
        },
    )
    explained = parse.explain(parsed.errors, str(tmp_path / "home")).splitlines()
    assert explained[:8] == [
        "6 DAG files and 1 plugin cannot be imported by the new image; no running workload was changed.",
        "  dags/a_fails.py:1: ModuleNotFoundError: No module named 'nothing_of_this_name'",
        "  dags/b_exits.py:2: SystemExit: 0",
        "  dags/c_ends.py: it ends the process with exit code 0, by os._exit() or the like",
        explained[4],
        "  dags/e_crashes.py: it crashes the process (SIGSEGV)",
        "  dags/f_serial.py: the DAG unserializable cannot be serialized: TypeError: a lock cannot be "
        "serialized",
        "  plugins/p.py: division by zero",
    ]
    assert explained[4].startswith(
        "  dags/d_killed.py: it was killed, most likely because it exceeded the memory limit"
    )


def test_a_dag_that_kills_the_process_when_it_is_serialized(tmp_path: Path) -> None:
    parsed, _ = run(tmp_path, {"dags/a.py": "DAGS = ['deadly']"})
    assert list(parsed.errors) == ["dags/a.py"]
    assert "exit code 3" in parsed.errors["dags/a.py"]


def test_a_plugin_that_kills_the_process(tmp_path: Path) -> None:
    parsed, _ = run(
        tmp_path, {"plugins/p.py": "import os\nos._exit(1)", "dags/a.py": "DAGS = ['a']"}
    )
    assert "exit code 1" in parsed.errors["plugins"]


def test_a_file_that_cannot_be_interrupted_is_killed() -> None:
    def work(report: Any) -> None:
        report(file="/dags/a.py")
        time.sleep(60)

    child = parse.Child.fork(work)
    assert [message["file"] for message in child.messages(0.5)] == ["/dags/a.py"]
    assert child.end == "it has not finished after 0 s, and cannot be interrupted"


TRACEBACK = """\
Traceback (most recent call last):
  File "/usr/local/lib/python3.12/site-packages/airflow/models/dagbag.py", line 7, in parse
    loader.exec_module(module)
  File "/usr/local/airflow/dags/sales.py", line 12, in <module>
    from include.sql import load
  File "/usr/local/airflow/include/sql.py", line 3, in <module>
    Settings()
  File "/usr/local/lib/python3.12/site-packages/pydantic/main.py", line 250, in __init__
    validated_self = ...
pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings
host
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.11/v/missing
"""


def test_the_project_s_own_line_is_named_not_that_of_a_library() -> None:
    explained = parse.explain({"dags/sales.py": TRACEBACK}, "/usr/local/airflow").splitlines()
    assert explained[0] == (
        "1 DAG file cannot be imported by the new image; no running workload was changed."
    )
    assert explained[1] == (
        "  dags/sales.py (include/sql.py:3): "
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings"
    )


def test_a_long_message_is_cut_with_the_way_to_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load("astro_termination_message"), "TERMINATION_MESSAGE", tmp_path / "log")
    monkeypatch.setenv("HOSTNAME", "analytics-release-job-x1")
    release_job.leave_message("ü" * 3000)
    data = (tmp_path / "log").read_bytes()
    assert len(data) <= 4096
    assert data.decode().endswith("ü\n... full text: kubectl logs analytics-release-job-x1")
