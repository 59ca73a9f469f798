"""The release Job: runs in the new image before any running workload is touched.

Parses every DAG, brings the database to this image's migration heads, whichever way that is, makes the
admin user, and tells the engine what the release's record has to say. One process and one import of
Airflow, since every deploy waits for it. Fails with exit code 1 and the reason in the termination
message, which Kubernetes cuts at 4096 bytes: the most useful lines come first.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astro_downgrade as downgrade
import astro_jobs as jobs
import astro_migrations as migrations
import astro_records as ledger
import astro_workloads as workloads
from astro_cluster import Cluster, Lease, LeaseTimeoutError
from astro_migrations import run_airflow
from astro_refusal import ReleaseRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

# As in the scheduler: DAGs that read Variables while they are parsed find those in the database.
os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
TERMINATION_MESSAGE = Path("/dev/termination-log")
TERMINATION_BYTES = 4096
# Annotations are 256 KiB at most; the record is for people, who do not read ten thousand DAG ids.
MOST_DAG_IDS_BYTES = 100_000


def say(text: str) -> None:
    print(f"release job: {text}", flush=True)


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Prints how long it took: the log of every deploy says where its seconds went."""
    start = time.monotonic()
    yield
    say(f"{name} {time.monotonic() - start:.2f} s")


def main() -> None:
    cluster = Cluster.of_this_pod()
    deployment, job = os.environ["ASTRO_DEPLOYMENT"], os.environ["ASTRO_JOB"]
    # The Job that downgrades for another one goes on under that one's lease.
    holder = os.environ.get("ASTRO_DOWNGRADES_FOR", job)
    patience = float(os.environ["ASTRO_LEASE_PATIENCE"])
    labels = {
        **workloads.instance_labels(deployment),
        "app.kubernetes.io/managed-by": "astro-pulumi",
    }
    lease = Lease(cluster, f"{deployment}-release-job", holder, labels, patience, say)
    with lease:
        if "ASTRO_DOWNGRADES_FOR" in os.environ:
            downgrade.carry_out(cluster, deployment, json.loads(os.environ["ASTRO_HEADS"]), say)
        else:
            release(cluster, deployment, job)


def release(cluster: Cluster, deployment: str, job: str) -> None:
    with phase("ledger"):
        records = ledger.read_records(cluster, deployment)
    with phase("import"):
        import airflow.settings
        import airflow.utils.db  # noqa: F401
    with phase("check database"):
        direction = migrations.direction()
    if direction == "create":  # nothing runs yet, and parsing may read Variables
        with phase("create database"):
            run_airflow("db", "migrate")
    if direction == "downgrade" and os.environ["ASTRO_DATABASE_DOWNGRADE"] == "refuse":
        raise ReleaseRefusedError(
            f"The database is at {migrations.described(migrations.current_heads())}, which is newer "
            'than this image\'s Airflow, and database_downgrade is "refuse"; nothing was changed.'
        )
    dags = None
    if os.environ.get("ASTRO_SKIP_DAG_PARSE") != "true":
        with phase("parse DAGs"):
            dags = parse_dags()
    if direction == "downgrade":
        with phase("downgrade database"):
            downgrade.have_it_done(cluster, deployment, job, records, say)
        direction = migrations.direction()
        if direction == "downgrade":
            raise RuntimeError("The database is still newer than this image's Airflow.")
    if direction == "migrate":
        with phase("migrate database"):
            run_airflow("db", "migrate")
    with phase("admin user"):
        ensure_admin()
    with phase("report"):
        report(cluster, deployment, job, records, dags)


def report(
    cluster: Cluster,
    deployment: str,
    job: str,
    records: list[dict[str, Any]],
    dags: list[str] | None,
) -> None:
    """Annotates this Job with what only it knows. The engine reads it there and writes the record."""
    import airflow

    own_image = workloads.image(cluster.request("GET", jobs.JOBS, job))
    started = workloads.start_again(cluster, deployment, lambda w: workloads.image(w) == own_image)
    if started:
        say(f"started again what an interrupted downgrade had stopped: {', '.join(started)}")
    current = cluster.find(ledger.RECORDS, f"{deployment}-release")
    findings = {
        "number": str(ledger.next_number(records, current)),
        "airflow": airflow.__version__,
        "airflowChanged": ledger.is_other_version(current, airflow.__version__),
        "heads": migrations.current_heads(),
        "releases": ledger.summary(records),
    }
    if dags is not None and len(json.dumps(dags)) <= MOST_DAG_IDS_BYTES:
        findings["dags"] = dags
    text = json.dumps(findings, sort_keys=True)
    cluster.patch(jobs.JOBS, job, {"metadata": {"annotations": {"astro-pulumi/findings": text}}})
    for record in ledger.records_to_delete(records, int(os.environ["ASTRO_HISTORY_LIMIT"])):
        cluster.request("DELETE", ledger.RECORDS, record["name"])
        say(f"forgot release {record['number']}: history_limit")


def parse_dags() -> list[str]:
    """-> the ids of all DAGs; refuses the release when a file cannot be imported."""
    from airflow.serialization import serialized_objects
    from airflow.settings import DAGS_FOLDER

    # Airflow 3.2 gave it another name.
    serialization = getattr(serialized_objects, "DagSerialization", None)
    serialization = serialization or serialized_objects.SerializedDAG
    if DAGS_FOLDER not in sys.path:  # as the dag-processor has it
        sys.path.append(DAGS_FOLDER)
    bag = dag_bag(DAGS_FOLDER)
    errors = {str(Path(path)): text for path, text in bag.import_errors.items()}
    for dag_id, dag in bag.dags.items():
        try:
            serialization.to_dict(dag)
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
    say(f"{len(bag.dags)} DAGs: {', '.join(sorted(bag.dags))}")
    return sorted(bag.dags)


def dag_bag(folder: str) -> Any:
    """Airflow 3.2 moved the class, and bundles came with Airflow 3."""
    import inspect

    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    given = {"bundle_path": Path(folder), "bundle_name": "dags-folder", "include_examples": False}
    known = inspect.signature(DagBag).parameters
    return DagBag(folder, **{name: value for name, value in given.items() if name in known})


def explain_import_errors(errors: dict[str, str], folder: str) -> str:
    """Every file with its last line first, then the ends of the tracebacks as far as there is room."""
    count = f"{len(errors)} DAG file{'s' if len(errors) > 1 else ''} cannot be imported"
    lines = [f"{count} by the new image; nothing that runs was changed."]
    # Airflow 3 names files relative to the folder, Airflow 2 with their whole path.
    named = {
        os.path.relpath(Path(folder) / path, Path(folder).parent): text.strip().splitlines()
        for path, text in sorted(errors.items())
    }
    lines += [f"  {name}: {text[-1] if text else 'unknown error'}" for name, text in named.items()]
    for name, text in named.items():
        tail = "\n    ".join(text[-6:])
        lines.append(f"{name}:\n    {tail}")
    return "\n".join(lines)


def ensure_admin() -> None:
    if "ASTRO_ADMIN_USERNAME" not in os.environ:
        return  # the simple auth manager has its users in a file
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


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:
        is_for_the_user = isinstance(error, (ReleaseRefusedError, LeaseTimeoutError))
        if not is_for_the_user:
            traceback.print_exc()
        last_lines = "".join(
            traceback.format_exception(type(error), error, error.__traceback__)[-4:]
        )
        message = str(error) if is_for_the_user else f"{error}\n{last_lines}"
        print(message, file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            TERMINATION_MESSAGE.write_bytes(message.encode()[:TERMINATION_BYTES])
        sys.exit(1)
