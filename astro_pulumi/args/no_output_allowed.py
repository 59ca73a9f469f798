"""Arguments that must be known when the program runs, with the reasons. All others may be Outputs.

A test compares this list with the schema.
"""

from collections.abc import Mapping
from typing import Final

_OBJECTS: Final = "decides which objects exist"

_MERGED: Final = "is merged into the pod template by its keys; the values in it may be Outputs"

NO_OUTPUT_ALLOWED: Final[Mapping[str, str]] = {
    "project": "is read when the program runs: its content decides the image and what is previewed",
    "platform": "is in the hash of the image's content",
    "dag_deploys": _OBJECTS + ": a second image, and the files of the DAG bundle",
    "airflow_version": "decides which processes there are, and their settings",
    "rollback_to": "decides which release's arguments are taken",
    "worker_queues[].name": "names objects",
    "worker_queues[].min_count": _OBJECTS + ": an autoscaler, if it is below `max_count`",
    "worker_queues[].max_count": _OBJECTS + ": an autoscaler, if it is above `min_count`",
    "autoscaling.type": _OBJECTS + ": HorizontalPodAutoscalers or ScaledObjects",
    "service.type": _OBJECTS + ": a cloud's load balancer, whose address the deploy waits for",
    "auth.manager": _OBJECTS + ": Secrets, and the user that the release Job makes",
    "network_policies.enabled": _OBJECTS,
    "metrics.service_monitor": _OBJECTS,
    "database.backup_before_downgrade": _OBJECTS + ": a PersistentVolumeClaim",
    "log_retention_days": "decides which containers pods have: 0 leaves one out",
    "fixed_user_ids": "decides which fields every pod has",
    "pod_template{}": _MERGED,
    "webserver.pod_template{}": _MERGED,
    "scheduler.pod_template{}": _MERGED,
    "triggerer.pod_template{}": _MERGED,
    "dag_processor.pod_template{}": _MERGED,
    "worker_queues[].pod_template{}": _MERGED,
}
