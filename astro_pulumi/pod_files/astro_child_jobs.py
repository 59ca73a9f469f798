"""Jobs that the release Job runs and waits for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import astro_pod_problems
from astro_termination_message import ReleaseRefusedError

if TYPE_CHECKING:
    from astro_kubernetes_client import Cluster

JOBS = "batch/jobs"
PULL_PROBLEMS = (*astro_pod_problems.PULL_PROBLEMS, "InvalidImageName")
OF_ONE_JOB = ("controller-uid", "job-name")
PULL_PATIENCE = 30  # seconds; a registry may be unavailable for a moment


def manifest(name: str, pod: dict[str, Any], owner: dict[str, Any]) -> dict[str, Any]:
    """Build a Job that runs once, with deadline, labels and annotations of the Job `owner`, and owned by it.

    Args:
        name: Prefix of its name.
        pod: The pod's spec.
        owner: Manifest of the owning Job.
    """
    template = owner["spec"]["template"]["metadata"]
    # Without the labels that Kubernetes added to the pod.
    labels = {
        key: value
        for key, value in template["labels"].items()
        if key not in OF_ONE_JOB and not key.startswith("batch.kubernetes.io/")
    }
    metadata = {"labels": labels, "annotations": template.get("annotations", {})}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": name,
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                }
            ],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": owner["spec"]["activeDeadlineSeconds"],
            "template": {"metadata": metadata, "spec": pod},
        },
    }


def run(cluster: Cluster, manifest: dict[str, Any], purpose: str) -> str:
    """Run a Job to its end, and return its name.

    Args:
        cluster: The cluster.
        manifest: The Job.
        purpose: Beginning of the error message if its image cannot be pulled.

    Raises:
        ReleaseRefusedError: The Job failed; with its termination message.
    """
    job: str = cluster.request("POST", JOBS, body=manifest)["metadata"]["name"]
    pulls_since = None
    while True:
        status = cluster.request("GET", JOBS, job).get("status", {})
        ended = {c["type"] for c in status.get("conditions", []) if c["status"] == "True"}
        if "Complete" in ended:
            return job
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
            reason = problems[0].get("message", problems[0]["reason"])
            raise ReleaseRefusedError(
                f"{purpose} cannot be pulled: {reason}. The database was not changed."
            )
        time.sleep(0.5)
