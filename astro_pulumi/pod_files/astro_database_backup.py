"""Dump the embedded PostgreSQL before a downgrade, with `pg_dump` of PostgreSQL's own image."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import astro_child_jobs as jobs
import astro_release_records
import astro_shared_names
from astro_termination_message import ReleaseRefusedError

if TYPE_CHECKING:
    from astro_kubernetes_client import Cluster, Say

FOLDER = "/backups"
# A partial dump has another name. The password is in a file, as in the server's own pod.
COMMAND = """
set -eu
export PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")"
pg_dump --format=custom --host="$0" --username="$POSTGRES_USER" --file="$1.part" "$POSTGRES_DB"
mv "$1.part" "$1"
"""


def dump(cluster: Cluster, deployment: str, claim: str, say: Say) -> None:
    """Write a dump to the volume `claim`, named after the current release and the time.

    Raises:
        ReleaseRefusedError: The dump failed. The database was not changed.
    """
    current = cluster.find(
        astro_release_records.RECORDS, f"{deployment}-{astro_shared_names.RELEASE}"
    ) or {"metadata": {}}
    number = (current["metadata"].get("annotations") or {}).get(
        astro_shared_names.RELEASE_NUMBER, "unknown"
    )
    now = datetime.now(timezone.utc)  # noqa: UP017 Python 3.8 as well
    file = f"{FOLDER}/release-{number}-{now:%Y%m%dT%H%M%SZ}.dump"
    server = cluster.request(
        "GET", "apps/statefulsets", f"{deployment}-{astro_shared_names.POSTGRESQL}"
    )
    own_job = cluster.request("GET", jobs.JOBS, os.environ[astro_shared_names.JOB])
    say(f"writing {file} to the volume {claim}")
    try:
        job = jobs.run(
            cluster,
            backup_job(deployment, server, own_job, claim, file),
            "The database has to be dumped before it is downgraded, but PostgreSQL's image",
        )
        # Even a completed pod keeps its claim from being deleted.
        cluster.request("DELETE", jobs.JOBS, job, propagationPolicy="Background")
    except ReleaseRefusedError as error:
        raise ReleaseRefusedError(
            f"The database could not be dumped to the volume {claim}, so it was not downgraded: {error}"
        ) from error


def backup_job(
    deployment: str, server: dict[str, Any], own_job: dict[str, Any], claim: str, file: str
) -> dict[str, Any]:
    """Build the Job of the dump.

    Its pod is PostgreSQL's own with another command, and with the backup volume instead of the data.
    """
    template = server["spec"]["template"]["spec"]
    container = {
        key: value for key, value in template["containers"][0].items() if not key.endswith("Probe")
    }
    container["args"] = ["sh", "-c", COMMAND, f"{deployment}-{astro_shared_names.POSTGRESQL}", file]
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    container["volumeMounts"] = [
        *(mount for mount in container["volumeMounts"] if mount["name"] != "data"),
        {"name": "backups", "mountPath": FOLDER},
    ]
    container.pop("ports", None)
    volumes = [
        *template["volumes"],
        {"name": "backups", "persistentVolumeClaim": {"claimName": claim}},
    ]
    pod = dict(template, containers=[container], volumes=volumes, restartPolicy="Never")
    # NetworkPolicies let pods with the labels of a release Job connect to PostgreSQL.
    made: dict[str, Any] = jobs.manifest(f"{deployment}-backup-", pod, own_job)
    made["spec"]["ttlSecondsAfterFinished"] = (
        3600  # if the release Job ended before it could delete it
    )
    return made
