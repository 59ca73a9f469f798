"""The ledger: one immutable record for each successful deploy, kept in the cluster for good."""

import json
from typing import Any, Final

from astro_pulumi.kubernetes.metadata import Manifest, labels
from astro_pulumi.spec import DeploymentSpec

COMPONENT: Final = "release"


def release_record(spec: DeploymentSpec, image: Any, settings: Any) -> Manifest:
    """The record of the release that `spec` describes. It holds no secrets and no time.

    :param image: the digest reference that every Airflow pod runs; may be an Output.
    :param settings: the name of the ConfigMap with the settings; may be an Output.
    """
    source = spec.source
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"labels": labels(spec.name, COMPONENT)},
        "immutable": True,
        "data": {
            "airflowVersion": str(spec.airflow_version),
            "image": image,
            "settings": settings,
            "workerQueues": json.dumps([queue.name for queue in spec.worker_queues]),
            **({"projectHash": source.project.content_hash} if source else {}),
            **({"description": spec.description} if spec.description else {}),
        },
    }
