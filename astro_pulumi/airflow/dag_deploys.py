"""Settings of Airflow with DAG deploys."""

import json
from typing import Final

from astro_pulumi.pod_files import astro_shared_names

# Of every process. Airflow removes unpacked versions that no task has begun with for ten minutes. A running
# task keeps its own. By default Airflow would keep ten of them, and all of the last six hours.
SETTINGS: Final = {
    astro_shared_names.DAG_BUNDLE: json.dumps(
        [
            {
                "name": astro_shared_names.DAG_BUNDLE_NAME,
                "classpath": "astro_dag_bundle.ArchiveBundle",
                # Each dag-processor asks whenever it may: BUNDLE_REFRESH_CHECK_INTERVAL. Otherwise one of
                # several would not while another one does, since Airflow keeps one time for all of them.
                "kwargs": {"refresh_interval": 0},
            }
        ]
    ),
    "AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_INTERVAL": "120",
    "AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_AGE_THRESHOLD": "600",
    "AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_MIN_VERSIONS": "2",
}
DAG_PROCESSOR_SETTINGS: Final = {
    astro_shared_names.DAGS_SOURCE: "database",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    # Otherwise a DAG that changes twice in half a minute would keep its first change, and a run would combine
    # it with the files of the second.
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
}
