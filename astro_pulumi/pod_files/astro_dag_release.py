"""The part of the release Job that deploys DAGs: unpack and check them, store them, switch to them.

In a DAG deploy the dag-processor runs already, with the image and the settings of this release. It must take
the new version, or the old one is restored. In an image deploy the pointer is for processes that the roll-out
starts, and nothing follows it yet.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import astro_dag_store as store
import astro_dags
import astro_shared_names
import astro_stop_database_clients as workloads
from astro_database_connection import PATIENCE, connect
from astro_termination_message import ReleaseRefusedError, leave_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from astro_kubernetes_client import Cluster, Say

# Where the Job unpacks the archive.
UNPACKED = Path("/tmp/astro-pulumi-dags")  # noqa: S108 an emptyDir of this pod
# Seconds that the Job waits for DAGs to be parsed once the dag-processor has the version. Of a large project
# the dag-processor parses changed files first, and the others for minutes.
PARSE_PATIENCE = 20.0
INTERVAL = 0.25
START_PATIENCE = 60.0
# Files that name the folder of the DAGs by its path in the image: they are read for such lines.
TEXTS = (".py", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini", ".sql", ".sh")
_MOST_LINES = 20
_MOST_BYTES = 1 << 20


class Dags(NamedTuple):
    """The DAGs of this release."""

    key: str
    digest: str
    content: bytes
    home: Path

    @property
    def folder(self) -> str:
        """The unpacked folder `dags/`."""
        return str(self.home / astro_dags.DAGS)


def unpack() -> Dags:
    """Unpack the DAGs of this release, and let this process find them as Airflow's will.

    Raises:
        ReleaseRefusedError: A file names the folder of the DAGs in the image.
    """
    content, image_home = (
        Path(astro_shared_names.DAG_ARCHIVE).read_bytes(),
        astro_dags.airflow_home(),
    )
    digest = astro_dags.digest_of(content)
    home = UNPACKED / digest
    if not astro_dags.is_complete(home):
        astro_dags.unpack(content, home, image_home)
    refuse_fixed_paths(home, image_home)
    astro_dags.adopt(home)
    return Dags(os.environ[astro_shared_names.DAGS_KEY], digest, content, home)


def refuse_fixed_paths(home: Path, image_home: Path) -> None:
    """Refuse files that name `dags/` by its path in the image: with DAG deploys nothing is there."""
    lines = [*fixed_paths(home / astro_dags.DAGS, "dags", str(image_home))]
    for name in ("include", "plugins", "config"):
        lines += fixed_paths(image_home / name, name, str(image_home))
    if not lines:
        return
    shown = lines[:_MOST_LINES]
    if len(lines) > len(shown):
        shown.append(f"  and {len(lines) - len(shown)} more")
    raise ReleaseRefusedError(
        "\n".join(
            [
                f"DAG deploys (dag_deploys) keep DAGs elsewhere than in {image_home}/dags, and these lines "
                "name it; no running workload was changed. Use os.environ['AIRFLOW_HOME'] + '/dags', or a "
                "path relative to __file__.",
                *shown,
            ]
        )
    )


def fixed_paths(folder: Path, name: str, image_home: str) -> Iterator[str]:
    """Yield the lines with the path of `dags/` in the image, as `  dags/sales.py:12: <line>`."""
    wanted = f"{image_home.rstrip('/')}/dags".encode()
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if one not in ("node_modules", "__pycache__"))
        for file in sorted(files):
            path = Path(parent, file)
            if path.suffix not in TEXTS or path.is_symlink() or path.stat().st_size > _MOST_BYTES:
                continue
            content = path.read_bytes()
            if wanted not in content:
                continue
            for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
                if names_path(line, wanted.decode()):
                    place = f"{name}/{path.relative_to(folder).as_posix()}"
                    yield f"  {place}:{number}: {line.strip()[:120]}"


def names_path(line: str, path: str) -> bool:
    """Return whether a line has a path or something below it, not only in a comment."""
    if line.lstrip().startswith(("#", "--", "//")):
        return False
    before, found, after = line.partition(path)
    return (
        bool(found)
        and not (after[:1].isalnum() or after[:1] in ("_", "-"))
        and not before.endswith("//")
    )


class Switched(NamedTuple):
    """The version that was deployed, and how."""

    version: str
    is_dag_deploy: bool  # False: an image deploy
    warnings: list[str]


def deploy(
    cluster: Cluster,
    deployment: str,
    dags: Dags,
    dag_ids: Iterable[str],
    release: int,
    url: str | None,
    say: Say,
) -> Switched:
    """Store the DAGs and switch to them.

    Args:
        cluster: The cluster.
        deployment: Name of the Deployment.
        dags: The DAGs of this release.
        dag_ids: Their ids, as far as known.
        release: Number of this release.
        url: Page of the project's commit.
        say: Prints a line of progress.

    Raises:
        ReleaseRefusedError: The dag-processor has not taken them. The old ones are restored.
    """
    is_dag_deploy = waits_for_dag_processor(cluster, deployment, dags.key)
    with contextlib.closing(Database()) as database:
        database.run(store.make_tables)
        before = database.run(lambda cursor: store.pointer(cursor, dags.key))

        def switch(cursor: Any) -> str:
            stored: str = store.store(cursor, release, dags.digest, dags.content, url)
            store.move_pointer(cursor, dags.key, stored)
            return stored

        version: str = database.run(switch)
        say(f"DAGs: version {version}, {len(dags.content) >> 10} KiB compressed")
        if not is_dag_deploy:
            return Switched(version, False, [])
        leave_message(
            f"The release Job was killed after the switch to version {version} of the DAGs, before the "
            "release was recorded. Deploy again."
        )
        patience = float(os.environ[astro_shared_names.ROLLOUT_TIMEOUT])
        try:
            wait_until(lambda: database.run(store.parsed_version) == version, patience)
        except BaseException as error:  # also if this Job is stopped
            restore(database, dags.key, before)
            if isinstance(error, TimeoutError):
                raise ReleaseRefusedError(
                    f"The dag-processor has not taken the new DAGs within {patience:.0f} s; the old ones "
                    "are restored. See `astro-pulumi logs dag-processor`."
                ) from error
            raise
        return Switched(version, True, parse_warnings(database, version, dag_ids, say))


def waits_for_dag_processor(cluster: Cluster, deployment: str, key: str) -> bool:
    """Return whether this is a DAG deploy: a dag-processor with this key runs, and has all that it needs.

    One that is starting again, because its pod was deleted or its node was drained, is waited for.
    """
    deadline = time.monotonic() + START_PATIENCE
    while True:
        state = dag_processor_state(workloads.find_workloads(cluster, deployment), key)
        if state != "starting" or time.monotonic() > deadline:
            return state == "ready"
        time.sleep(1)


def dag_processor_state(found: Iterable[dict[str, Any]], key: str) -> str:
    """Return "ready", "starting", or "other" if a pod of the dag-processor has another key, or none runs."""
    for workload in found:
        if workloads.component(workload) == "dag-processor" and dags_key(workload) == key:
            status = workload.get("status") or {}
            if not status.get("replicas") or status.get("updatedReplicas") != status["replicas"]:
                return "other"  # scaled to zero, or a roll-out that has not ended
            return "ready" if status.get("readyReplicas") else "starting"
    return "other"


def dags_key(workload: dict[str, Any]) -> str | None:
    """Return the key of the pointer that a workload's pods follow."""
    container = workloads.airflow_container(workload["spec"]["template"]["spec"])
    for variable in container.get("env", []):
        if variable["name"] == astro_shared_names.DAGS_KEY:
            return str(variable.get("value"))
    return None


class Database:
    """The metadata database. A connection that breaks, as in a failover, is replaced."""

    def __init__(self) -> None:
        """Connect with the first transaction."""
        self._connection: Any = None

    def run(self, work: Callable[[Any], Any]) -> Any:
        """Return what a function makes of a cursor in a transaction. Repeat it if the connection breaks.

        Args:
            work: The function. A transaction whose connection breaks at its end may be done already.

        Raises:
            ReleaseRefusedError: The database does not answer.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            connection = self._connection = self._connection or connected()
            try:
                with connection, connection.cursor() as cursor:
                    return work(cursor)
            except Exception:
                if not connection.closed:
                    raise
                self._connection = None
                if time.monotonic() > deadline:
                    raise

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()


def connected() -> Any:
    """Return a connection to the metadata database."""
    import psycopg2

    return connect(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], psycopg2.connect)


def wait_until(is_reached: Callable[[], bool], patience: float) -> None:
    """Return once something is reached.

    Raises:
        TimeoutError: It is not within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while not is_reached():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(INTERVAL)


def parse_warnings(database: Database, version: str, dag_ids: Iterable[str], say: Say) -> list[str]:
    """Wait for a while until every DAG is parsed in the new version. Return warnings about import errors."""
    started, waiting = time.monotonic(), set(dag_ids)

    def all_are_parsed() -> bool:
        waiting.difference_update(database.run(lambda cursor: store.parsed_dags(cursor, version)))
        return not waiting

    with contextlib.suppress(TimeoutError):
        wait_until(all_are_parsed, PARSE_PATIENCE)
    rest = f", {len(waiting)} DAGs follow" if waiting else ""
    say(f"the dag-processor parses version {version}: {time.monotonic() - started:.1f} s{rest}")
    errors: dict[str, str] = database.run(store.import_errors)
    return [
        f"dags/{name} cannot be imported by the dag-processor: {text.strip().splitlines()[-1]}"
        for name, text in sorted(errors.items())
    ]


def restore(database: Database, key: str, before: str | None) -> None:
    """Move the pointer back.

    Raises:
        ReleaseRefusedError: The database does not answer.
    """
    try:
        database.run(lambda cursor: store.move_pointer(cursor, key, before))
    except ReleaseRefusedError as error:
        raise ReleaseRefusedError(
            "The database does not answer since the switch to the new DAGs: the old ones are not restored. "
            f"When it answers, deploy again. {error.__cause__}"
        ) from error


def prune(
    cluster: Cluster, deployment: str, kept: Iterable[dict[str, Any]], version: str, say: Say
) -> None:
    """Delete archives that neither a kept release nor an unfinished DAG run needs."""
    keys = [key for one in workloads.find_workloads(cluster, deployment) if (key := dags_key(one))]
    versions = [version, *(record["dagVersion"] for record in kept if "dagVersion" in record)]
    keys.append(os.environ[astro_shared_names.DAGS_KEY])
    with contextlib.closing(Database()) as database:
        gone: list[str] = database.run(lambda cursor: store.prune(cursor, versions, keys))
    if gone:
        say(f"forgot DAGs of versions {', '.join(sorted(gone))}")
