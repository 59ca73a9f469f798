"""The DAG bundle of DAG deploys: `dags/` as an archive, fetched by version.

The dag-processor reads the database, and follows the pointer of its key. A task asks the webserver for the
version that its DAG run began with: Airflow 3 gives tasks no access to the database.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import astro_dag_store
import astro_dags
import astro_shared_names
from airflow.dag_processing.bundles.base import BaseDagBundle

try:  # Airflow 3.3. Before it, a version is a string.
    from airflow.dag_processing.bundles.base import BundleVersion
except ImportError:
    BundleVersion = str  # type: ignore[misc, assignment, unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

CURRENT = "current"
# Seconds that a task waits for the webserver, which a deploy may just be replacing.
PATIENCE = 300.0
TIMEOUT = 60
# Number of changed files that are parsed before all others.
MOST_FIRST = 100
# Seconds after which files are parsed again although processes of an earlier parse seem to be alive.
LONGEST_PARSE = 60.0


class MissingVersionError(Exception):
    """A version is not stored any more."""


class ArchiveBundle(BaseDagBundle):  # type: ignore[misc, unused-ignore]
    """One version of `dags/`. Without a version, it is that of this pod's image and settings."""

    supports_versioning = True
    # Set by Airflow's class.
    name: str
    version: str | None
    base_dir: Path
    versions_dir: Path

    def __init__(self, **kwargs: Any) -> None:
        """Take the arguments of Airflow. Nothing is fetched."""
        super().__init__(**kwargs)
        self._follows = self.version is None and reads_database()
        self._followed: str | None = None
        self._parsing: set[int] = set()
        self._touches = False
        self._switched_at = 0.0

    @property
    def path(self) -> Path:
        """The folder `dags/` of the version.

        The path of the followed one never changes: Airflow may have queued files for which only the path is
        kept, and must not take old files for those of a new version.
        """
        folder: Path = self._home() / astro_dags.DAGS
        return folder

    def _home(self) -> Path:
        return self.versions_dir / self.version if self.version else self.base_dir / CURRENT

    def get_current_version(self) -> Any:
        """Return the version of the files in `path`."""
        version = self._followed if self._follows else self.version
        return None if version is None else BundleVersion(version)

    def view_url_template(self) -> str | None:
        """Return a page of the webserver, which leads to the commit of a version."""
        from airflow.configuration import conf

        base = conf.get("api", "base_url", fallback=None)
        path = astro_dags.PREFIX + astro_dags.VERSIONS
        return f"{base.rstrip('/')}{path}/{{version}}" if base else None

    def view_url(self, version: str | None = None) -> str | None:
        """Return the page of a version, for Airflow 3.0."""
        template = self.view_url_template()
        return template.format(version=version) if template and version else None

    def initialize(self) -> None:
        """Get the files, and let the process find them."""
        if self._follows:
            self.refresh()
        else:
            is_in_task = not reads_database()
            if self.version is None:  # the DAG run has none: it began without DAG deploys
                self.version = self._ask_pointer()
            self._fetch(self.version)
            if is_in_task:  # and not in the dag-processor, which runs callbacks of older versions
                astro_dags.adopt(self._home())
        super().initialize()

    def refresh(self) -> None:
        """Follow the pointer."""
        if not self._follows:
            return
        version = from_database(
            lambda cursor: astro_dag_store.pointer(cursor, os.environ[astro_shared_names.DAGS_KEY])
        )
        if version is None:
            raise MissingVersionError("The release Job has stored no DAGs for this image.")
        if version == self._followed:
            self._parse_again()
            return
        before = self._followed
        self._fetch(version, is_new=before is not None)
        with self.lock():
            link = self.base_dir / f".{CURRENT}-{os.getpid()}"
            with contextlib.suppress(FileNotFoundError):
                link.unlink()
            link.symlink_to(self.versions_dir / version, target_is_directory=True)
            link.replace(self.base_dir / CURRENT)
        self._followed, self._parsing, self._switched_at = version, children(), time.monotonic()
        astro_dags.adopt(self.base_dir / CURRENT)
        if before is not None:
            home = self.versions_dir / version
            changed = astro_dags.changed_files(self.versions_dir / before, home)
            astro_dags.touch(home, changed)  # Airflow sorts its queue by these times
            parse_first(self.name, self.path, changed)
        self._remove_others(version)

    def _parse_again(self) -> None:
        """Have files parsed again that were being parsed when the version changed.

        Airflow stores what such a process finds as the new version, and parses the file again only after
        `min_file_process_interval`.
        """
        if self._touches:
            self._touches = False
            astro_dags.touch(self.base_dir / CURRENT)
        if not self._parsing:
            return
        if self._parsing & children() and time.monotonic() < self._switched_at + LONGEST_PARSE:
            return
        # With the next refresh: Airflow may not have stored the last result yet.
        self._parsing, self._touches = set(), True

    def _remove_others(self, version: str) -> None:
        """Remove versions that callbacks have not used either: Airflow removes those itself."""
        from airflow.dag_processing.bundles.base import get_bundle_tracking_dir

        for home in self.versions_dir.iterdir():
            if (
                home.name != version
                and not (get_bundle_tracking_dir(self.name) / home.name).exists()
            ):
                shutil.rmtree(home, ignore_errors=True)

    def _fetch(self, version: str, is_new: bool = False) -> None:
        """Unpack a version unless that was done before.

        Args:
            version: The version.
            is_new: Whether the dag-processor goes over to it: its files count as new, even if they are there.
        """
        home = self.versions_dir / version
        # Before the lock, whose file a task that runs as another user may not open.
        if astro_dags.is_complete(home):
            if is_new:
                astro_dags.touch(home)
            return
        with self.lock():
            if not astro_dags.is_complete(home):
                content = self._read(version)
                astro_dags.unpack(content, home, astro_dags.airflow_home(), version)

    def _read(self, version: str) -> bytes:
        content: bytes | None
        if reads_database():
            content = from_database(lambda cursor: astro_dag_store.read(cursor, version))
        else:
            content = ask_webserver(f"{astro_dags.ARCHIVES}/{version}")
        if content is None:
            raise MissingVersionError(
                f"Version {version} of the DAGs is not stored any more: its release is older than the "
                "`history_limit` newest. Start a new DAG run, or clear the task with the latest version."
            )
        return content

    def _ask_pointer(self) -> str:
        version = ask_webserver(f"{astro_dags.POINTERS}/{os.environ[astro_shared_names.DAGS_KEY]}")
        if version is None:
            raise MissingVersionError("The release Job has stored no DAGs for this image.")
        return version.decode()


def reads_database() -> bool:
    """Return whether this is the dag-processor."""
    return os.environ.get(astro_shared_names.DAGS_SOURCE) == "database"


def from_database(work: Callable[[Any], Any]) -> Any:
    """Return what a function makes of a cursor, by one of Airflow's own connections."""
    from airflow import settings

    connection = settings.engine.raw_connection()
    try:
        return work(connection.cursor())
    finally:
        connection.close()  # back into the pool, which rolls back


def parse_first(bundle: str, path: Path, files: list[str]) -> None:
    """Have changed files parsed before all others, as the button in the UI does.

    Airflow goes through all files of a project again and again. In a large one that takes minutes, and
    meanwhile it does not look for changed files.
    """
    from airflow.configuration import conf
    from airflow.models.dagbag import DagPriorityParsingRequest
    from airflow.utils.file import list_py_file_paths
    from airflow.utils.session import create_session

    safe_mode = conf.getboolean("core", "dag_discovery_safe_mode")
    # Without those that `.airflowignore` names, and without modules that have no DAG.
    found = map(Path, list_py_file_paths(path, safe_mode))
    dag_files = {one.relative_to(path).as_posix() for one in found if one.is_relative_to(path)}
    for file in [file for file in files if file in dag_files][:MOST_FIRST]:
        # One may be there already.
        with contextlib.suppress(Exception), create_session() as session:
            session.add(DagPriorityParsingRequest(bundle_name=bundle, relative_fileloc=file))


def ask_webserver(path: str) -> bytes | None:
    """Return the answer of the webserver, or None if it knows no such thing. Waits for the webserver.

    Args:
        path: The path below `astro_dags.PREFIX`.
    """
    server = urlsplit(os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"])
    root = server.path.rstrip("/").rpartition("/")[0]
    deadline, pause = time.monotonic() + PATIENCE, 0.5
    while True:
        try:
            status, body = _get(server, root + astro_dags.PREFIX + path, path)
        except (OSError, http.client.HTTPException) as error:
            status, body = 0, str(error).encode()
        if status == http.client.OK:
            return body
        if status == http.client.NOT_FOUND and body == NOT_STORED:
            return None
        reason = f"{status or ''} {body[:200].decode(errors='replace')}".strip()
        if time.monotonic() > deadline:
            raise ConnectionError(f"The webserver does not give {path}: {reason}")
        log.info("Waiting for the webserver: %s", reason)
        time.sleep(pause)
        pause = min(2 * pause, 5.0)


# The body of the answer that something is not stored. Another 404 is of a webserver without DAG deploys.
NOT_STORED = b"not stored"


def _get(server: Any, full_path: str, path: str) -> tuple[int, bytes]:
    kind = http.client.HTTPSConnection if server.scheme == "https" else http.client.HTTPConnection
    connection = kind(server.netloc, timeout=TIMEOUT)
    try:
        signature = astro_dags.sign(path, os.environ["AIRFLOW__API__SECRET_KEY"])
        connection.request("GET", full_path, headers={astro_dags.SIGNATURE: signature})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def children() -> set[int]:
    """Return the ids of the child processes."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found.update(map(int, (task / "children").read_text().split()))
    return found
