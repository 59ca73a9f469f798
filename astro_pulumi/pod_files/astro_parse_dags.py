"""Parse every DAG as this image's Airflow does, in a process of its own.

DAG files are arbitrary code: they may end the process, exhaust its memory or never return. So a child is
forked, which has imported Airflow already and reports its progress file by file. A file that ends the child
is an error like any other, and another child continues with the next file.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Report = Callable[..., None]

# Number of files that may end the process. After that, the remaining files are not parsed.
MOST_ENDS = 20
FRAME = re.compile(r'^\s*File "(?P<file>.+)", line (?P<line>\d+)')


class Parsed(NamedTuple):
    """The ids of the DAGs, and the errors by file, relative to the project."""

    dag_ids: list[str]
    errors: dict[str, str]


def parse(folder: str, note: Callable[[str], None]) -> Parsed:
    """Parse all DAG files and plugins of `folder`.

    Args:
        folder: The folder of the DAGs.
        note: Called with the name of each file before it is imported.
    """
    import airflow.settings
    from airflow.configuration import conf

    # Connections to the database must not be shared with a child.
    airflow.settings.engine.dispose()
    patience = 2 * max(conf.getfloat("core", "dagbag_import_timeout", fallback=30.0), 30.0)
    done: set[str] = set()
    errors: dict[str, str] = {}
    for _ in range(MOST_ENDS):
        child = Child.fork(lambda report: parse_here(folder, done, report))
        for message in child.messages(patience):
            if "file" in message:
                note(name_of(message["file"], folder))
            for path, text in message.get("errors", {}).items():
                errors[name_of(path, folder)] = text
            done.update(message.get("done", ()))
            if "dag_ids" in message:
                child.wait()
                return Parsed(message["dag_ids"], errors)
        if child.at is None:
            raise RuntimeError(f"The process that parses the DAGs {child.end}.")
        errors[name_of(child.at, folder)] = child.end
        if child.at in done:
            break  # serializing its DAG ended the process, and would do so again
        done.add(child.at)
    return Parsed([], errors)


class Child:
    """A forked process that reports its progress, one JSON object per line."""

    def __init__(self, pid: int, pipe: int) -> None:
        """Take the process id and the reading end of the pipe."""
        self._pid, self._pipe = pid, pipe
        self.at: str | None = None  # the file in the last message
        self.end = ""  # how the process ended

    @classmethod
    def fork(cls, work: Callable[[Report], None]) -> Child:
        """Fork a process that calls `work` with a function that sends messages."""
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            # The child has neither the thread that renews the lease nor a lock of that thread.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid:
            os.close(writing)
            return cls(pid, reading)
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(reading)

            def report(**message: Any) -> None:
                rest = json.dumps(message).encode() + b"\n"
                while rest:
                    rest = rest[os.write(writing, rest) :]

            work(report)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            os._exit(code)

    def messages(self, patience: float) -> Iterator[dict[str, Any]]:
        """Yield all messages of the process. A process without messages for `patience` seconds is killed."""
        pending = b""
        while True:
            ready, _, _ = select.select([self._pipe], [], [], patience)
            if not ready:
                os.kill(self._pid, signal.SIGKILL)
                self.wait()
                self.end = f"it has not finished after {patience:.0f} s, and cannot be interrupted"
                return
            data = os.read(self._pipe, 1 << 16)
            if not data:
                self.wait()
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                self.at = message.get("file", self.at)
                yield message

    def wait(self) -> None:
        """Wait until the process has ended, and describe its end in `end`."""
        os.close(self._pipe)
        _, status = os.waitpid(self._pid, 0)
        if os.WIFEXITED(status):
            code = os.WEXITSTATUS(status)
            self.end = f"it ends the process with exit code {code}, by os._exit() or the like"
        elif os.WTERMSIG(status) == signal.SIGKILL:
            self.end = (
                f"it was killed, most likely because it exceeded the memory limit{memory_limit()}"
            )
        else:
            self.end = f"it crashes the process ({signal.Signals(os.WTERMSIG(status)).name})"


def parse_here(folder: str, skipped: set[str], report: Report) -> None:
    """Parse all files but those in `skipped`, in the child."""
    from airflow.settings import PLUGINS_FOLDER

    report(file=str(PLUGINS_FOLDER))
    report(errors=plugin_errors())
    bag = make_bag(folder, skipped, report)
    for dag_id, dag in bag.dags.items():
        report(file=dag.fileloc)
        try:
            serialize(dag)
        except BaseException:
            text = f"the DAG {dag_id} cannot be serialized\n{traceback.format_exc()}"
            report(errors={dag.fileloc: text})
    report(dag_ids=sorted(bag.dags))


def plugin_errors() -> dict[str, str]:
    """Return the import errors of the project's plugins: Airflow itself continues without such plugins."""
    from airflow import plugins_manager
    from airflow.settings import PLUGINS_FOLDER

    plugins_manager.ensure_plugins_loaded()
    if hasattr(plugins_manager, "get_import_errors"):  # Airflow 3.2
        errors = plugins_manager.get_import_errors()
    else:
        errors = plugins_manager.import_errors
    return {path: text for path, text in errors.items() if path.startswith(str(PLUGINS_FOLDER))}


def make_bag(folder: str, skipped: set[str], report: Report) -> Any:
    """Return Airflow's own collection of DAGs. It moved with Airflow 3.2; bundles came with Airflow 3."""
    import inspect

    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag

    class Bag(DagBag):  # type: ignore[misc, valid-type, unused-ignore]
        """A DagBag that reports each file."""

        def process_file(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
            """Report a file and its errors, and skip files that an earlier child imported."""
            path = str(filepath)
            if path in skipped:
                return []
            report(file=path)
            before = set(self.import_errors)
            try:
                found = super().process_file(filepath, *args, **kwargs)
            except BaseException:  # sys.exit()
                report(errors={path: traceback.format_exc()}, done=[path])
                return []
            new = {str(p): text for p, text in self.import_errors.items() if p not in before}
            report(errors=new, done=[path])
            return found

    given = {"bundle_path": Path(folder), "bundle_name": "dags-folder", "include_examples": False}
    known = inspect.signature(DagBag).parameters
    return Bag(folder, **{name: value for name, value in given.items() if name in known})


def serialize(dag: Any) -> None:
    """Serialize a DAG as the dag-processor does. Airflow 3.2 renamed the class."""
    from airflow.serialization import serialized_objects

    serialization = getattr(serialized_objects, "DagSerialization", None)
    (serialization or serialized_objects.SerializedDAG).to_dict(dag)


def name_of(path: str, folder: str) -> str:
    """Return a file relative to the project: `dags/sales.py`.

    Airflow 3 names files relative to the folder, Airflow 2 by their absolute path.
    """
    return os.path.relpath(Path(folder) / path, Path(folder).parent)


def memory_limit() -> str:
    """Return the memory limit of this container, for a message; empty if there is none."""
    for file in (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ):
        with contextlib.suppress(OSError, ValueError):
            limit = int(Path(file).read_text())
            return f" ({limit >> 20} MiB)" if limit < 1 << 50 else ""
    return ""


def explain(errors: dict[str, str], *homes: str) -> str:
    """Return the place and error of every file, and then the ends of the tracebacks.

    Args:
        errors: The errors by file.
        homes: The folders with the files of the project.
    """
    plugins = sum(name.startswith("plugins/") for name in errors)
    dags = len(errors) - plugins
    counts = [
        f"{count} {what}{'s' if count > 1 else ''}"
        for count, what in ((dags, "DAG file"), (plugins, "plugin"))
        if count
    ]
    lines = [
        f"{' and '.join(counts)} cannot be imported by the new image; no running workload was changed."
    ]
    texts = {name: text.strip().splitlines() for name, text in sorted(errors.items())}
    lines += [f"  {place(name, text, homes)}: {essence(text)}" for name, text in texts.items()]
    for name, text in texts.items():
        if len(text) > 1:
            tail = "\n    ".join(text[-6:])
            lines.append(f"{name}:\n    {tail}")
    return "\n".join(lines)


def place(name: str, text: list[str], homes: tuple[str, ...]) -> str:
    """Return the place of an error: `dags/sales.py:12`, or `dags/sales.py (include/sql.py:3)`."""
    for line in reversed(text):
        match = FRAME.match(line)
        home = match and home_of(match["file"], homes)
        if match and home:
            where = f"{os.path.relpath(match['file'], home)}:{match['line']}"
            return where if where.startswith(f"{name}:") else f"{name} ({where})"
    return name


def home_of(file: str, homes: tuple[str, ...]) -> str | None:
    """Return the folder of the project that a file belongs to; None for a file of another package."""
    if "site-packages" in file:
        return None
    return next((home for home in homes if file.startswith(f"{home}/")), None)


def essence(text: list[str]) -> str:
    """Return the error's own line: the first one below the traceback's last frame."""
    frames = [number for number, line in enumerate(text) if FRAME.match(line)]
    if not frames:
        return text[0] if text else "unknown error"
    below = [line for line in text[frames[-1] + 1 :] if line and not line[0].isspace()]
    error = below[0] if below else text[-1]
    return error if text[0].startswith(("Traceback", "  File")) else f"{text[0]}: {error}"
