"""The release Job: runs in the new image before any running workload changes.

Parses every DAG, migrates or downgrades the database to this image's migration heads, creates the admin user,
and reports the data of the release's record to Pulumi. Airflow is imported once, since every deploy waits for
it. On failure, the exit code is 1 and the termination message has the reason. Kubernetes cuts that message at
4096 bytes, so the most useful lines come first. Until the end, the message names the current phase, in case
the Job is killed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astro_admin_user
import astro_child_jobs as jobs
import astro_dag_release as dag_release
import astro_dags
import astro_database_check
import astro_image_check
import astro_migrate_or_downgrade as migrations
import astro_parse_dags
import astro_release_records
import astro_removed_dags
import astro_shared_names
import astro_stop_database_clients as workloads
from astro_kubernetes_client import Cluster, Lease
from astro_migrate_or_downgrade import run_airflow
from astro_termination_message import (
    ReleaseRefusedError,
    StoppedError,
    failure_message,
    leave_message,
    raise_when_stopped,
)
from astro_urls_with_login import compose_urls

if TYPE_CHECKING:
    from collections.abc import Iterator

compose_urls(os.environ)
# As in the scheduler, so that DAGs can read Variables in the database while they are parsed.
os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
# Airflow keeps two lines of a traceback, often of a library. The line of the user's code is needed.
os.environ.setdefault("AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH", "20")
# Annotations are limited to 256 KiB, and nobody reads a list of ten thousand DAG ids.
MOST_DAG_IDS_BYTES = 100_000
STARTED = time.monotonic()


current_phase = "start"


def describe_stop() -> str:
    """Return the termination message after SIGTERM."""
    return (
        f"The release Job was stopped after {time.monotonic() - STARTED:.0f} s, at: {current_phase}. "
        "It was deleted, or took longer than timeouts.release_job allows."
    )


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"release job: {text}", flush=True)


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Print the duration of a phase, and name the phase in the termination message."""
    global current_phase
    start, current_phase = time.monotonic(), name
    leave_message(f"The release Job was killed at: {name}.")
    yield
    say(f"{name} {time.monotonic() - start:.2f} s")


def main() -> None:
    """Run the release Job, or a downgrade for another release Job."""
    raise_when_stopped(describe_stop)
    with phase("check image"):  # before there are threads, which a fork would lose
        check_image()
    cluster = Cluster.of_this_pod()
    deployment, job = os.environ[astro_shared_names.DEPLOYMENT], os.environ[astro_shared_names.JOB]
    # A Job that downgrades for another Job uses the other Job's lease.
    holder = os.environ.get(astro_shared_names.DOWNGRADES_FOR, job)
    patience = float(os.environ[astro_shared_names.LEASE_PATIENCE])
    labels = {
        **astro_shared_names.instance_labels(deployment),
        astro_shared_names.MANAGED_BY_LABEL: astro_shared_names.MANAGER,
    }
    # Until now the Job had a short deadline, for an image that cannot be pulled or a pod without a node.
    deadline = {"activeDeadlineSeconds": int(os.environ[astro_shared_names.JOB_DEADLINE])}
    own_job = cluster.patch(jobs.JOBS, job, {"spec": deadline})
    lease = Lease(
        cluster,
        f"{deployment}-{astro_shared_names.RELEASE_JOB}",
        holder,
        labels,
        owners(own_job),
        patience,
        say,
    )
    with contextlib.ExitStack() as held:
        with phase("lease"):
            held.enter_context(lease)
        if astro_shared_names.DOWNGRADES_FOR in os.environ:
            migrations.downgrade_database(
                cluster, deployment, json.loads(os.environ[astro_shared_names.HEADS]), say
            )
        else:
            release(cluster, deployment, own_job)


def check_image() -> None:
    """Refuse an image that does not meet the assumptions of the Deployment's pods."""
    if astro_shared_names.DOWNGRADES_FOR in os.environ:
        return  # the image of another release, used for the downgrade only
    needs = json.loads(os.environ[astro_shared_names.IMAGE_NEEDS])
    lines = astro_image_check.mismatches(needs, os.environ)
    if lines:
        raise ReleaseRefusedError(
            "\n".join(["The image does not fit the Deployment; nothing was changed.", *lines])
        )


def owners(own_job: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the owner of the Deployment's objects. A Job that downgrades is owned by another Job as well."""
    references: list[dict[str, Any]] = own_job["metadata"].get("ownerReferences", [])
    return [one for one in references if one["kind"] == "ConfigMap"]


def release(cluster: Cluster, deployment: str, own_job: dict[str, Any]) -> None:
    """Prepare the release, phase by phase."""
    job = own_job["metadata"]["name"]
    with phase("release records"):
        records = astro_release_records.read_records(cluster, deployment)
        # The confirmations may have changed while this Job waited for the lease.
        own_job = cluster.request("GET", jobs.JOBS, job)
        number = astro_release_records.next_number(
            records,
            cluster.find(
                astro_release_records.RECORDS, f"{deployment}-{astro_shared_names.RELEASE}"
            ),
        )
        given = astro_removed_dags.Confirmations.read(own_job, number)
        for text in given.void:
            say(text)
    with phase("check database"):
        database, warnings = astro_database_check.check(
            os.environ, json.loads(os.environ[astro_shared_names.DATABASE_NEEDS])
        )
    with phase("import"):
        gc.disable()  # an import creates no garbage, and collections take a seventh of the time
        import airflow.settings
        import airflow.utils.db  # noqa: F401

        gc.freeze()
        gc.enable()
    with phase("check migrations"):
        change = migrations.needed_change()
        astro_database_check.check_change(database, change, image_airflow())
    if change == "create":  # nothing runs yet, and parsing may read Variables
        with phase("create database"):
            run_airflow("db", "migrate")
    if change == "downgrade" and os.environ[astro_shared_names.DATABASE_DOWNGRADE] == "refuse":
        raise ReleaseRefusedError(
            f"The database is at {migrations.described(migrations.current_heads())}, which is newer "
            'than this image\'s Airflow, and database_downgrade is "refuse"; nothing was changed.'
        )
    dags = bundle = None
    if astro_shared_names.DAGS_KEY in os.environ:
        with phase("unpack DAGs"):
            bundle = dag_release.unpack()
    if not given.skip_dag_parse:
        with phase("parse DAGs"):
            dags = parse_dags()
        if not dags:
            astro_removed_dags.refuse_without_dags(dags_folder(), given, deployment, number)
        astro_removed_dags.refuse_removed_dags(records, dags, given, deployment, number)
    change_database(cluster, deployment, job, records, change)
    with phase("admin user"):
        warnings += ensure_admin()
    switched = None
    if bundle is not None:
        with phase("switch DAGs"):
            url = (own_job["metadata"].get("annotations") or {}).get(astro_shared_names.COMMIT_URL)
            switched = dag_release.deploy(cluster, deployment, bundle, dags or (), number, url, say)
        warnings += switched.warnings
    for text in warnings:
        say(text)
    with phase("report"):
        report(cluster, deployment, own_job, records, dags, switched, warnings)


def change_database(
    cluster: Cluster, deployment: str, job: str, records: list[dict[str, Any]], change: str
) -> None:
    """Downgrade or migrate the database, as `change` says."""
    if change == "downgrade":
        with phase("downgrade database"):
            migrations.run_downgrade_job(cluster, deployment, job, records, say)
        change = migrations.needed_change()
        if change == "downgrade":
            raise RuntimeError("The database is still newer than this image's Airflow.")
    if change == "migrate":
        with phase("migrate database"):
            run_airflow("db", "migrate")


def report(
    cluster: Cluster,
    deployment: str,
    own_job: dict[str, Any],
    records: list[dict[str, Any]],
    dags: list[str] | None,
    switched: dag_release.Switched | None,
    warnings: list[str],
) -> None:
    """Annotate this Job with its findings. Pulumi reads them there and writes the record."""
    import airflow

    own_image = workloads.image(own_job)
    started = workloads.start_again(cluster, deployment, lambda w: workloads.image(w) == own_image)
    if started:
        say(f"restarted workloads that an interrupted downgrade had stopped: {', '.join(started)}")
    current = cluster.find(
        astro_release_records.RECORDS, f"{deployment}-{astro_shared_names.RELEASE}"
    )
    findings = {
        "number": str(astro_release_records.next_number(records, current)),
        "airflow": airflow.__version__,
        "airflowChanged": astro_release_records.is_other_version(current, airflow.__version__),
        "heads": migrations.current_heads(),
        "releases": astro_release_records.summary(records),
        "warnings": warnings,
    }
    if dags is not None and len(json.dumps(dags)) <= MOST_DAG_IDS_BYTES:
        findings["dags"] = dags
    if switched is not None:
        findings["dagVersion"] = switched.version
        findings["deploy"] = "dags" if switched.is_dag_deploy else "image"
    text = json.dumps(findings, sort_keys=True)
    cluster.patch(
        jobs.JOBS,
        own_job["metadata"]["name"],
        {"metadata": {"annotations": {astro_shared_names.FINDINGS: text}}},
    )
    surplus = astro_release_records.records_to_delete(
        records, int(os.environ[astro_shared_names.HISTORY_LIMIT])
    )
    for record in surplus:
        cluster.request("DELETE", astro_release_records.RECORDS, record["name"])
        say(f"forgot release {record['number']}: history_limit")
    if switched is not None:
        kept = [record for record in records if record not in surplus]
        dag_release.prune(cluster, deployment, kept, switched.version, say)


def parse_dags() -> list[str]:
    """Return the ids of all DAGs.

    Raises:
        ReleaseRefusedError: A file cannot be imported.
    """
    folder = dags_folder()
    if folder not in sys.path:  # as in the dag-processor
        sys.path.append(folder)
    parsed: astro_parse_dags.Parsed = astro_parse_dags.parse(
        folder,
        lambda name: leave_message(
            f"The release Job was killed while it imported {name}; no running workload was changed."
        ),
    )
    if parsed.errors:
        for name, text in parsed.errors.items():
            print(f"{name}:\n{text}", file=sys.stderr)
        homes = (str(Path(folder).parent), str(astro_dags.airflow_home()))
        raise ReleaseRefusedError(astro_parse_dags.explain(parsed.errors, *homes))
    dag_ids = list(parsed.dag_ids)
    say(f"{len(dag_ids)} DAGs: {', '.join(dag_ids)}")
    return dag_ids


def dags_folder() -> str:
    """Return the folder of the DAGs."""
    from airflow.settings import DAGS_FOLDER

    return str(DAGS_FOLDER)


def ensure_admin() -> list[str]:
    """Create the admin user if there is none, and return warnings about an existing one."""
    if astro_shared_names.ADMIN_USERNAME not in os.environ:
        return []  # the simple auth manager keeps its users in a file
    username, password = (
        os.environ[astro_shared_names.ADMIN_USERNAME],
        os.environ[astro_shared_names.ADMIN_PASSWORD],
    )
    is_given = json.loads(os.environ[astro_shared_names.DATABASE_NEEDS])["admin_password_is_given"]

    def create() -> None:
        # The password is not in a command line, which other processes could read.
        run_airflow(
            *("users", "create", "--role", "Admin", "--username", username),
            *("--firstname", "Admin", "--lastname", "User"),
            *("--email", astro_admin_user.own_email(username), "--password", password),
        )

    said: list[str] = astro_admin_user.ensure_admin(username, password, is_given, create)
    return said


def image_airflow() -> str:
    """Return the Airflow version of this image."""
    from airflow import __version__

    return str(__version__)


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:
        if not isinstance(error, (ReleaseRefusedError, StoppedError)):
            traceback.print_exc()
        message = failure_message(error, current_phase)
        print(message, file=sys.stderr, flush=True)
        leave_message(message)
        sys.exit(1)
    leave_message("")
    say(f"{time.monotonic() - STARTED:.2f} s in all")
    sys.stderr.flush()
    os._exit(0)  # a normal exit would take a third of the time of Airflow's import
