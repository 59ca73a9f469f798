"""The files of `pod_files/` that each pod mounts.

A pod restarts when one of its files changes, so it mounts only the files that it reads.
"""

from dataclasses import dataclass, replace
from typing import Final

# Mount path of the files in every Airflow container.
FILES: Final = "/opt/astro-pulumi"
# Airflow 2's web configuration, which each of its processes looks for at the start.
WEBSERVER_CONFIG: Final = "webserver_config.py"


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files of `pod_files/` that one ConfigMap holds."""

    name: str  # suffix of the ConfigMap's name
    files: frozenset[str]

    def with_files(self, *more: str) -> "FileSet":
        """Return the set with more files."""
        return replace(self, files=self.files.union(more))


PROCESS_FILES: Final = FileSet(
    "files",
    frozenset(
        {
            "airflow.cfg",
            "airflow_start.py",
            "astro_shared_names.py",
            "astro_urls_with_login.py",
            "log_groomer.py",
        }
    ),
)
HEARTBEAT_PROBE_FILES: Final = replace(PROCESS_FILES, name="files-job-probe").with_files(
    "heartbeat_probe.py", "astro_probe_retry.py"
)
WORKER_FILES: Final = replace(PROCESS_FILES, name="files-worker").with_files(
    "worker_probe.py", "astro_probe_retry.py"
)
RELEASE_JOB_FILES: Final = FileSet(
    "files-release-job",
    frozenset(
        {
            "airflow.cfg",
            "astro_admin_user.py",
            "astro_child_jobs.py",
            "astro_dag_release.py",
            "astro_dag_store.py",
            "astro_dags.py",
            "astro_database_backup.py",
            "astro_database_check.py",
            "astro_database_connection.py",
            "astro_image_check.py",
            "astro_kubernetes_client.py",
            "astro_migrate_or_downgrade.py",
            "astro_parse_dags.py",
            "astro_pod_problems.py",
            "astro_release_records.py",
            "astro_removed_dags.py",
            "astro_shared_names.py",
            "astro_stop_database_clients.py",
            "astro_termination_message.py",
            "astro_urls_with_login.py",
            "release_job.py",
        }
    ),
)
# What pods mount with DAG deploys, beside the files of their process. Importlib finds the entry point of the
# plugin in the folder of a distribution.
DAG_FILES: Final = FileSet(
    "files-dags",
    frozenset(
        {
            "astro_dag_bundle.py",
            "astro_dag_server.py",
            "astro_dag_store.py",
            "astro_dags.py",
            "astro_shared_names.py",
            "astro_urls_with_login.py",
            "dag_pack.py",
            "dag_plugin.entry_points",
            "dag_plugin.metadata",
            "dag_status.py",
        }
    ),
)
DAG_FILE_PATHS: Final = {
    "dag_plugin.entry_points": "astro_pulumi_dags-1.dist-info/entry_points.txt",
    "dag_plugin.metadata": "astro_pulumi_dags-1.dist-info/METADATA",
}
PYTEST_FILES: Final = FileSet(
    "files-pytest", frozenset({"airflow.cfg", "astro_termination_message.py", "pytest_job.py"})
)
ROLLOUT_FILES: Final = FileSet(
    "files-rollout",
    frozenset(
        {
            "astro_kubernetes_client.py",
            "astro_pod_problems.py",
            "astro_rollout_failure_message.py",
            "astro_rollout_outcome.py",
            "astro_secret_filter.py",
            "astro_shared_names.py",
            "astro_termination_message.py",
            "rollout_job.py",
        }
    ),
)
