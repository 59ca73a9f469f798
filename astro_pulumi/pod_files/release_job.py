"""The release Job: runs in the new image before any running workload is touched.

Parses every DAG, brings the database to this image's migration heads, makes the admin user. One process
and one import of Airflow, since every deploy waits for it. Fails with exit code 1 and the reason in the
termination message, which Kubernetes cuts at 4096 bytes: the most useful lines come first.
"""

import contextlib
import os
import pkgutil
import sys
import time
import traceback
from pathlib import Path

# As in the scheduler: DAGs that read Variables while they are parsed find those in the database.
os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
TERMINATION_MESSAGE = Path("/dev/termination-log")
TERMINATION_BYTES = 4096


class ReleaseRefusedError(Exception):
    """This release must not go on. The message is for the user."""


@contextlib.contextmanager
def phase(name):
    """Prints how long it took: the log of every deploy says where its seconds went."""
    start = time.monotonic()
    yield
    print(f"release job: {name} {time.monotonic() - start:.2f} s", flush=True)


def main():
    with phase("import"):
        import airflow.settings
        import airflow.utils.db  # noqa: F401
    # Alembic adds the working directory to it: a DAG that imports from there would pass here and
    # fail in the dag-processor.
    search_path = list(sys.path)
    with phase("check database"):
        direction = migration_direction()
    if direction == "create":  # nothing runs yet, and parsing may read Variables
        with phase("create database"):
            run_airflow("db", "migrate")
    if os.environ.get("ASTRO_SKIP_DAG_PARSE") != "true":
        sys.path[:] = search_path
        with phase("parse DAGs"):
            parse_dags()
    if direction == "migrate":
        with phase("migrate database"):
            run_airflow("db", "migrate")
    with phase("admin user"):
        ensure_admin()


def migration_direction():
    """ "create", "migrate" or "none"; refuses a database that a newer Airflow has migrated."""
    from airflow.settings import Session
    from airflow.utils import db
    from alembic.util import CommandError

    with Session() as session:
        current = db._get_current_revision(session)
        if current is None:
            return "create"
        scripts = db._get_script_object()
        if current not in scripts.get_heads():
            try:
                scripts.get_revision(current)
            except CommandError:
                raise ReleaseRefusedError(
                    f"The database is at migration {current}, which this image's Airflow does not "
                    "know: a newer Airflow has migrated it. Deploy that version of Airflow again."
                ) from None
            return "migrate"
        return "none" if providers_are_migrated(session) else "migrate"


def providers_are_migrated(session):
    """Whether the tables of providers (FAB's users and roles) are at this image's heads as well.

    Airflow's `RunDBManager` answers the same and makes an auth manager for it, which costs 0.4 s.
    """
    from airflow.configuration import conf
    from airflow.providers_manager import ProvidersManager

    configured = conf.get("database", "external_db_managers", fallback=None) or ""
    paths = {*ProvidersManager().db_managers, *filter(None, map(str.strip, configured.split(",")))}
    return all(pkgutil.resolve_name(path)(session).check_migration() for path in paths)


def parse_dags():
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.settings import DAGS_FOLDER

    bag = BundleDagBag(DAGS_FOLDER, bundle_path=Path(DAGS_FOLDER), bundle_name="dags-folder")
    errors = {str(Path(path)): text for path, text in bag.import_errors.items()}
    for dag_id, dag in bag.dags.items():
        try:
            DagSerialization.to_dict(dag)
        except Exception:
            errors[dag.fileloc] = f"DAG {dag_id} cannot be serialized\n{traceback.format_exc()}"
    if errors:
        for path, text in errors.items():
            print(f"{path}:\n{text}", file=sys.stderr)
        raise ReleaseRefusedError(explain_import_errors(errors, DAGS_FOLDER))
    if not bag.dags:
        raise ReleaseRefusedError(
            f"There is no DAG in {DAGS_FOLDER}. To deploy all the same, skip_dag_parse."
        )
    print(f"release job: {len(bag.dags)} DAGs: {', '.join(sorted(bag.dags))}")


def explain_import_errors(errors, folder):
    """Every file with its last line first, then the ends of the tracebacks as far as there is room."""
    count = f"{len(errors)} DAG file{'s' if len(errors) > 1 else ''} cannot be imported"
    lines = [f"{count} by the new image; nothing that runs was changed."]
    for path, text in sorted(errors.items()):
        last = text.strip().splitlines()[-1] if text.strip() else "unknown error"
        name = os.path.relpath(path, Path(folder).parent)
        lines.append(f"  {name}: {last}")
    for path, text in sorted(errors.items()):
        tail = "\n    ".join(text.strip().splitlines()[-6:])
        lines.append(f"{os.path.relpath(path, Path(folder).parent)}:\n    {tail}")
    return "\n".join(lines)


def ensure_admin():
    from airflow.settings import Session
    from sqlalchemy import text

    username = os.environ["ASTRO_ADMIN_USERNAME"]
    with Session() as session:
        known = session.execute(
            text("SELECT 1 FROM ab_user WHERE username = :username"), {"username": username}
        ).first()
    if not known:
        # The password never leaves this process: no command line carries it.
        run_airflow(
            *("users", "create", "--role", "Admin", "--username", username),
            *("--firstname", "Admin", "--lastname", "User", "--email", f"{username}@localhost"),
            *("--password", os.environ["ASTRO_ADMIN_PASSWORD"]),
        )


def run_airflow(*arguments):
    """Runs a command of Airflow's own command line in this process."""
    from airflow.cli import cli_parser

    parsed = cli_parser.get_parser().parse_args(arguments)
    parsed.func(parsed)


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:
        if not isinstance(error, ReleaseRefusedError):
            traceback.print_exc()
        last_lines = "".join(traceback.format_exception(error)[-4:])
        message = str(error) if isinstance(error, ReleaseRefusedError) else f"{error}\n{last_lines}"
        print(message, file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            TERMINATION_MESSAGE.write_bytes(message.encode()[:TERMINATION_BYTES])
        sys.exit(1)
