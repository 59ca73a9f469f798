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
    "files", frozenset({"airflow.cfg", "airflow_start.py", "astro_urls.py", "log_groomer.py"})
)
JOB_PROBE_FILES: Final = replace(PROCESS_FILES, name="files-job-probe").with_files(
    "job_probe.py", "astro_probe.py"
)
WORKER_FILES: Final = replace(PROCESS_FILES, name="files-worker").with_files(
    "worker_probe.py", "astro_probe.py"
)
RELEASE_JOB_FILES: Final = FileSet(
    "files-release-job",
    frozenset(
        {
            "airflow.cfg",
            "astro_admin.py",
            "astro_backup.py",
            "astro_cluster.py",
            "astro_connect.py",
            "astro_consents.py",
            "astro_database.py",
            "astro_downgrade.py",
            "astro_image.py",
            "astro_jobs.py",
            "astro_migrations.py",
            "astro_names.py",
            "astro_parse.py",
            "astro_pods.py",
            "astro_records.py",
            "astro_refusal.py",
            "astro_urls.py",
            "astro_workloads.py",
            "release_job.py",
        }
    ),
)
TESTS_FILES: Final = FileSet(
    "files-pytest", frozenset({"airflow.cfg", "astro_refusal.py", "pytest_job.py"})
)
ROLLOUT_FILES: Final = FileSet(
    "files-rollout",
    frozenset(
        {
            "astro_cluster.py",
            "astro_filter.py",
            "astro_names.py",
            "astro_pods.py",
            "astro_refusal.py",
            "astro_rollout.py",
            "astro_workloads.py",
            "rollout_job.py",
        }
    ),
)
