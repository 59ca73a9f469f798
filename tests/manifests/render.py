"""Renders Deployments to Kubernetes manifests, without a cluster and without an engine.

Usage: python -m tests.manifests.render FOLDER   writes one file of YAML for each Deployment below.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.mock_engine import deploy
from tests.specs import arguments, everything

# The least of a Deployment, as in the quickstart, and one that uses every feature; of both major
# versions of Airflow.
DEPLOYMENTS = {
    "quickstart": arguments(),
    "everything": everything(),
    "airflow-2": arguments(airflow_version="2.11"),
    "external-services": arguments(
        database={"host": "db.acme.com", "username": "airflow", "password": "p"},
        broker={"host": "redis.acme.com", "password": "p", "tls": True},
        pgbouncer={"image": "ghcr.io/acme/pgbouncer@sha256:" + "1" * 64},
        worker_queues=[{"name": "default", "max_count": 5}],
        http_route={"gateway": "public", "host": "airflow.acme.com"},
    ),
}


def manifests(name: str) -> list[dict[str, Any]]:
    """Every Kubernetes object of one of `DEPLOYMENTS`, named as in a cluster, in the same order each time."""
    found = []
    for resource in deploy(DEPLOYMENTS[name]):
        if resource.type.startswith("kubernetes:"):
            manifest = json.loads(json.dumps(resource.inputs))
            manifest["metadata"]["name"] = resource.object_name
            found.append(manifest)
    return sorted(found, key=lambda one: (one["kind"], one["metadata"]["name"]))


def write(folder: Path) -> None:
    """One file of YAML for each of `DEPLOYMENTS`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in DEPLOYMENTS:
        with (folder / f"{name}.yaml").open("w") as file:
            yaml.safe_dump_all(manifests(name), file)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
