"""Names that the package writes and the Jobs of a deploy read, or the reverse."""

from __future__ import annotations

# Labels of all objects of a Deployment.
NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
AIRFLOW = "airflow"  # the value of `NAME_LABEL`, and the name of Airflow's container in each pod
MANAGER = "astro-pulumi"  # the value of `MANAGED_BY_LABEL`

# Labels and annotations of our own.
PREFIX = "astro-pulumi/"
QUEUE = PREFIX + "queue"
RELEASE_NUMBER = PREFIX + "release"
AIRFLOW_VERSION = PREFIX + "airflow-version"
FINDINGS = PREFIX + "findings"
COMMIT_URL = PREFIX + "commit-url"  # of the release Job: the page of the project's commit
SKIP_DAG_PARSE = PREFIX + "skip-dag-parse"  # `12`
MAX_REMOVED_DAGS = PREFIX + "max-removed-dags"  # `12:3`
# The value of `MAX_REMOVED_DAGS` in a rollback: all DAGs that were added since may go.
ANY = "any"

# The name of Airflow's own bundle of `dags/`. DAGs of a bundle with another name would become stale.
DAG_BUNDLE_NAME = "dags-folder"
# Mount path of the files of DAG deploys, which Airflow imports.
DAG_FILES_PATH = "/opt/astro-pulumi-dags"
# The archive of `dags/` that the release Job's init container leaves to it.
DAG_ARCHIVE = "/run/astro-pulumi-dags/archive"
# The file in `dags/` of an image without DAGs, which keeps the folder in its build context.
NO_DAGS = ".astro-pulumi"

# Environment variables of the Jobs. Users cannot set them.
ADMIN_PASSWORD = "ASTRO_ADMIN_PASSWORD"  # noqa: S105 the name of a variable
ADMIN_USERNAME = "ASTRO_ADMIN_USERNAME"
BACKUP_CLAIM = "ASTRO_BACKUP_CLAIM"
DAGS_KEY = "ASTRO_DAGS_KEY"  # of dag-processor and workers too
DAGS_SOURCE = "ASTRO_DAGS_SOURCE"  # of the dag-processor: "database"
DAG_BUNDLE = "ASTRO_DAG_BUNDLE"  # of every Airflow process: Airflow's setting with the bundle
DATABASE_DOWNGRADE = "ASTRO_DATABASE_DOWNGRADE"
DATABASE_NEEDS = "ASTRO_DATABASE_NEEDS"
DEPLOYMENT = "ASTRO_DEPLOYMENT"
DOWNGRADES_FOR = "ASTRO_DOWNGRADES_FOR"
HEADS = "ASTRO_HEADS"
IMAGE_HOME = (
    "ASTRO_IMAGE_HOME"  # AIRFLOW_HOME of the image, in a process that has adopted a version
)
HISTORY_LIMIT = "ASTRO_HISTORY_LIMIT"
IMAGE_NEEDS = "ASTRO_IMAGE_NEEDS"
JOB = "ASTRO_JOB"
LEASE_PATIENCE = "ASTRO_LEASE_PATIENCE"
JOB_DEADLINE = "ASTRO_JOB_DEADLINE"
RELEASE_CONTENT = "ASTRO_RELEASE_CONTENT"
ROLLOUT_TIMEOUT = "ASTRO_ROLLOUT_TIMEOUT"
TARGET_AIRFLOW = "ASTRO_TARGET_AIRFLOW"
WORKLOADS = "ASTRO_WORKLOADS"

# Components: values of `COMPONENT_LABEL`, and suffixes of the names of objects.
POSTGRESQL = "postgresql"
RELEASE = "release"  # the records; the object of this name says which one is current
RELEASE_JOB = "release-job"


def instance_labels(deployment: str) -> dict[str, str]:
    """Return the labels of all objects of a Deployment."""
    return {NAME_LABEL: AIRFLOW, INSTANCE_LABEL: deployment}
