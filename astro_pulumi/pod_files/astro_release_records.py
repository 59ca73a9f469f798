"""The release records in the release Job: the number of the next release, and the records to delete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import astro_shared_names

if TYPE_CHECKING:
    from astro_kubernetes_client import Cluster
    from astro_migrate_or_downgrade import Heads


RECORDS = "configmaps"


def record_labels(deployment: str) -> dict[str, str]:
    """Return the labels of a Deployment's records."""
    return {
        astro_shared_names.INSTANCE_LABEL: deployment,
        astro_shared_names.COMPONENT_LABEL: astro_shared_names.RELEASE,
        astro_shared_names.MANAGED_BY_LABEL: astro_shared_names.MANAGER,
    }


def read_records(cluster: Cluster, deployment: str) -> list[dict[str, Any]]:
    """Return every record, the oldest first, without records whose number was removed by hand."""
    records = []
    for item in cluster.list(RECORDS, record_labels(deployment)):
        data = item.get("data") or {}
        if data.get("number", "").isdigit():
            records.append({**data, "name": item["metadata"]["name"]})
    return sorted(records, key=lambda record: int(record["number"]))


def next_number(records: list[dict[str, Any]], current: dict[str, Any] | None) -> int:
    """Return the highest number so far plus one, also if the newest record was deleted by hand.

    Args:
        records: The records.
        current: The ConfigMap with the number of the current release, or None.
    """
    named = ((current or {}).get("metadata", {}).get("annotations") or {}).get(
        astro_shared_names.RELEASE_NUMBER, ""
    )
    numbers = [int(record["number"]) for record in records]
    return max([*numbers, int(named) if named.isdigit() else 0]) + 1


def is_other_version(current: dict[str, Any] | None, version: str) -> bool:
    """Return whether the current release has another Airflow version. False without a release."""
    annotations = (current or {}).get("metadata", {}).get("annotations") or {}
    running = annotations.get(astro_shared_names.AIRFLOW_VERSION)
    return running is not None and running != version


def last_dags(records: list[dict[str, Any]]) -> list[str]:
    """Return the DAG ids of the newest release that recorded them."""
    recorded = [record["dags"] for record in records if "dags" in record]
    return list(json.loads(recorded[-1])) if recorded else []


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return digest and restored release of each release by number, enough to choose one."""
    return {
        record["number"]: {
            "image": record.get("image", "").partition("@")[2],
            **({"restores": record["restores"]} if record.get("restores") else {}),
        }
        for record in records
    }


def records_to_delete(records: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Return the oldest records, so that `limit` remain with the one that this deploy adds."""
    surplus = len(records) - (limit - 1)
    return records[:surplus] if surplus > 0 else []


def newest_image(
    records: list[dict[str, Any]], running: list[str], heads: Heads, own_image: str
) -> tuple[str, str] | None:
    """Return an image that can downgrade the database and its origin, or None.

    A record with exactly these heads belongs to the Airflow that last migrated the database. If there is
    none, because a downgrade was interrupted, the newest Airflow knows all migrations of older ones.

    Args:
        records: The records.
        running: Images of the workloads.
        heads: Heads of the database.
        own_image: The image of this Job, which cannot downgrade.
    """
    others = [record for record in records if own_image not in images(record)]
    exact = [record for record in others if is_at(json.loads(record.get("heads", "{}")), heads)]
    if exact:
        return exact[-1]["image"], f"release {exact[-1]['number']}"
    newest = max(
        others, key=lambda record: version_key(record.get("airflowVersion", "")), default=None
    )
    recorded = {own_image, *(image for record in records for image in images(record))}
    unrecorded = [image for image in running if image not in recorded]
    if unrecorded:  # a deploy was interrupted before it wrote its record
        return unrecorded[0], "the deploy that runs now"
    return (newest["image"], f"release {newest['number']}") if newest else None


def images(record: dict[str, Any]) -> tuple[Any, Any]:
    """Return the image of a release, and the image that its pods run: with DAG deploys it is another one."""
    return record.get("image"), record.get("podsImage")


def is_at(recorded: Heads, heads: Heads) -> bool:
    """Return whether a record has the same heads. Only tables that both images know are compared."""
    common = recorded.keys() & heads.keys()
    return "core" in common and all(recorded[name] == heads[name] for name in common)


def version_key(version: str) -> tuple[int, ...]:
    """Return a version as numbers, for comparison."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())
