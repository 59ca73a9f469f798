"""Takes the database back to an older Airflow: only the newer Airflow knows how.

Two Jobs share the work. The release Job, in the older image, finds an image that knows the database's
migrations and starts a second Job in it. That one makes sure that there is a way back before it touches
anything, stops the database's clients, and downgrades. Every step may be repeated: the next release Job
finds the database wherever a killed one has left it, and goes on from there.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import astro_migrations as migrations
import astro_records as ledger
import astro_workloads as workloads
from astro_refusal import ReleaseRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_cluster import Cluster, Say
    from astro_migrations import Heads

JOBS = "batch/jobs"
PULL_PROBLEMS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
PULL_PATIENCE = 30  # a registry may be away for a moment


def have_it_done(
    cluster: Cluster, deployment: str, job: str, records: list[dict[str, Any]], say: Say
) -> None:
    """In the older image: runs the Job that downgrades, and waits for it."""
    own_job = cluster.request("GET", JOBS, job)
    heads = migrations.current_heads()
    running = [
        workloads.image(workload) for workload in workloads.find_workloads(cluster, deployment)
    ]
    found = ledger.newest_image(records, running, heads, workloads.image(own_job))
    if found is None:
        raise ReleaseRefusedError(
            f"The database is at {migrations.described(heads)}, which is newer than this image's Airflow, "
            "and no release's image is known that could take it back; nothing was changed. Deploy the "
            "newer version of Airflow again."
        )
    image, origin = found
    say(f"the database is newer than this image: downgrading it in {image} ({origin})")
    manifest = downgrade_job(deployment, own_job, image, migrations.image_heads())
    made = cluster.request("POST", JOBS, body=manifest)["metadata"]["name"]
    wait(cluster, made, image, origin)


def downgrade_job(
    deployment: str, own_job: dict[str, Any], image: str, target_heads: Heads
) -> dict[str, Any]:
    """The release Job's own manifest with another image. It goes when that one goes."""
    template = own_job["spec"]["template"]
    pod = template["spec"]
    container = dict(pod["containers"][0], image=image)
    replaced = ("ASTRO_DOWNGRADES_FOR", "ASTRO_HEADS")
    container["env"] = [
        *(variable for variable in container["env"] if variable["name"] not in replaced),
        {"name": "ASTRO_DOWNGRADES_FOR", "value": own_job["metadata"]["name"]},
        {"name": "ASTRO_HEADS", "value": json.dumps(target_heads)},
    ]
    own = ("app.kubernetes.io/", "astro-pulumi/")
    labels = {k: v for k, v in template["metadata"]["labels"].items() if k.startswith(own)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": f"{deployment}-downgrade-",
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": own_job["metadata"]["name"],
                    "uid": own_job["metadata"]["uid"],
                }
            ],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": own_job["spec"]["activeDeadlineSeconds"],
            "template": {
                "metadata": {"labels": labels},
                "spec": dict(pod, containers=[container]),
            },
        },
    }


def wait(cluster: Cluster, job: str, image: str, origin: str) -> None:
    """Returns when the Job is done; refuses the release when it failed."""
    pulls_since = None
    while True:
        status = cluster.request("GET", JOBS, job).get("status", {})
        ended = {c["type"] for c in status.get("conditions", []) if c["status"] == "True"}
        if "Complete" in ended:
            return
        statuses = [
            container
            for pod in cluster.list("pods", {"job-name": job})
            for container in pod["status"].get("containerStatuses", [])
        ]
        if "Failed" in ended:
            messages = [s["state"].get("terminated", {}).get("message", "") for s in statuses]
            raise ReleaseRefusedError("\n".join(filter(None, messages)) or f"Job {job} failed.")
        waiting = [s["state"].get("waiting", {}) for s in statuses]
        problems = [w for w in waiting if w.get("reason") in PULL_PROBLEMS]
        pulls_since = (pulls_since or time.monotonic()) if problems else None
        if pulls_since and time.monotonic() - pulls_since > PULL_PATIENCE:
            cluster.request("DELETE", JOBS, job, propagationPolicy="Background")
            raise ReleaseRefusedError(
                f"The database has to be downgraded in {image} ({origin}), which cannot be pulled: "
                f"{problems[0].get('message', problems[0]['reason'])}. Nothing was changed."
            )
        time.sleep(0.5)


def carry_out(cluster: Cluster, deployment: str, target_heads: Heads, say: Say) -> None:
    """In the newer image: stops the database's clients and downgrades."""
    import airflow.settings  # noqa: F401
    from airflow import __version__

    current, own = migrations.current_heads(), migrations.image_heads()
    steps = way_back(current, target_heads, own, migrations.knows, __version__)
    say(f"database: {migrations.described(current)} -> {migrations.described(target_heads)}")
    try:
        workloads.stop_all(cluster, deployment, say)
        for name, revision in steps:
            start = time.monotonic()
            downgrade(name, revision)
            say(f"downgraded {name} to {revision} {time.monotonic() - start:.2f} s")
    except BaseException:
        # Each migration is one transaction, so this image can read on from wherever it stopped.
        if migrations.direction() == "migrate":
            migrations.run_airflow("db", "migrate")
        workloads.start_again(cluster, deployment, lambda _: True)
        raise


def way_back(
    current: Heads, target: Heads, own: Heads, knows: Callable[[str, str], bool], version: str
) -> list[tuple[str, str]]:
    """The downgrades to make, in order: [("fab", revision), ("core", revision)].

    :raises ReleaseRefusedError: when this image cannot make them; nothing was touched then.
    """
    unknown = [
        f"{name} {revision}"
        for heads in (current, target)
        for name, revision in heads.items()
        if revision and name in own and not knows(name, revision)
    ]
    if unknown:
        raise ReleaseRefusedError(
            f"The database cannot be downgraded: Airflow {version}, the newest that is known here, has "
            f"no migration {' and no '.join(unknown)}. Nothing was changed."
        )
    providers = [
        (name, revision)
        for name, revision in target.items()
        if name != migrations.CORE and current.get(name) and revision != current[name]
    ]
    core = target[migrations.CORE]
    return [*providers, *([(migrations.CORE, core)] if core != current[migrations.CORE] else [])]


def downgrade(name: str, revision: str) -> None:
    if name == migrations.CORE:
        migrations.run_airflow("db", "downgrade", "--to-revision", revision, "--yes")
        return
    from airflow.settings import Session

    with Session() as session:
        migrations.managers()[name](session).downgrade(to_revision=revision)
