"""The ledger as the release Job sees it: the number of the next release, and which records go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astro_cluster import Cluster
    from astro_migrations import Heads


RECORDS = "configmaps"


def record_labels(deployment: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/instance": deployment,
        "app.kubernetes.io/component": "release",
        "app.kubernetes.io/managed-by": "astro-pulumi",
    }


def read_records(cluster: Cluster, deployment: str) -> list[dict[str, Any]]:
    """Every record, the oldest first. One that was changed by hand so that it has no number is left out."""
    records = []
    for item in cluster.list(RECORDS, record_labels(deployment)):
        data = item.get("data") or {}
        if data.get("number", "").isdigit():
            records.append({**data, "name": item["metadata"]["name"]})
    return sorted(records, key=lambda record: int(record["number"]))


def next_number(records: list[dict[str, Any]], current: dict[str, Any] | None) -> int:
    """One more than ever was, also when the newest record was deleted by hand.

    :param current: the ConfigMap that names the current release, or None.
    """
    named = ((current or {}).get("metadata", {}).get("annotations") or {}).get(
        "astro-pulumi/release", ""
    )
    numbers = [int(record["number"]) for record in records]
    return max([*numbers, int(named) if named.isdigit() else 0]) + 1


def is_other_version(current: dict[str, Any] | None, version: str) -> bool:
    """Whether the current release runs another version of Airflow. Nothing runs without one."""
    annotations = (current or {}).get("metadata", {}).get("annotations") or {}
    running = annotations.get("astro-pulumi/airflow-version")
    return running is not None and running != version


def last_dags(records: list[dict[str, Any]]) -> list[str]:
    """The DAG ids of the newest release that has recorded them."""
    recorded = [record["dags"] for record in records if "dags" in record]
    return list(json.loads(recorded[-1])) if recorded else []


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """number -> digest, and what a rollback restored: enough to choose one without reading them all."""
    return {
        record["number"]: {
            "image": record.get("image", "").partition("@")[2],
            **({"restores": record["restores"]} if record.get("restores") else {}),
        }
        for record in records
    }


def records_to_delete(records: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The oldest ones, so that there are `limit` when this deploy adds its own."""
    surplus = len(records) - (limit - 1)
    return records[:surplus] if surplus > 0 else []


def newest_image(
    records: list[dict[str, Any]], running: list[str], heads: Heads, own_image: str
) -> tuple[str, str] | None:
    """(image, where it is from) that can downgrade the database, or None.

    A record with just these heads was made by the Airflow that migrated the database so far. Otherwise
    (a downgrade was interrupted half-way) the newest Airflow knows all the migrations of older ones.

    :param running: the images that the workloads run.
    """
    others = [record for record in records if record.get("image") != own_image]
    exact = [record for record in others if is_at(json.loads(record.get("heads", "{}")), heads)]
    if exact:
        return exact[-1]["image"], f"release {exact[-1]['number']}"
    newest = max(
        others, key=lambda record: version_key(record.get("airflowVersion", "")), default=None
    )
    unrecorded = [
        image for image in running if image not in [own_image, *(r.get("image") for r in records)]
    ]
    if unrecorded:  # of a deploy that did not get as far as its record
        return unrecorded[0], "the deploy that runs now"
    return (newest["image"], f"release {newest['number']}") if newest else None


def is_at(recorded: Heads, heads: Heads) -> bool:
    """Whether a record was made with the database at these heads. Images may know more tables or fewer."""
    common = recorded.keys() & heads.keys()
    return "core" in common and all(recorded[name] == heads[name] for name in common)


def version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
