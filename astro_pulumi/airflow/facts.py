"""What a Deployment must know of each Airflow version, in one table.

Differences between Airflow versions are data here, never an `if` elsewhere.
"""

from dataclasses import dataclass, field
from typing import Final

# Where the files of `pod_files/` are mounted in every Airflow container.
FILES: Final = "/opt/astro-pulumi"
LOGS: Final = "/var/log/airflow"


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Ready when `GET path` answers 200."""

    path: str
    port: int


@dataclass(frozen=True, slots=True)
class ScriptProbe:
    """Ready when the script in `pod_files/` exits with 0. `{queue}` stands for the worker's queue."""

    script: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Process:
    """One Airflow process that runs as a workload of its own."""

    component: str  # the label `app.kubernetes.io/component`, in every Airflow version the same
    arguments: tuple[str, ...]  # `{queue}` and `{concurrency}` are filled in for workers
    probe: HttpProbe | ScriptProbe
    reads: tuple[str, ...]  # groups of secrets: see `secret_settings`
    ports: dict[str, int] = field(default_factory=dict)
    drain_seconds: int = 0  # keeps serving after it left the Service's endpoints


@dataclass(frozen=True, slots=True)
class AirflowFacts:
    """One major version of Airflow."""

    processes: tuple[Process, ...]
    worker: Process
    # Settings that every process gets, by environment variable. Values may use `{webserver}` (the
    # Service's name), `{default_queue}` and `{task_queued_timeout}`.
    settings: dict[str, str]
    # group -> environment variables, each with the name of the value it carries.
    secret_settings: dict[str, dict[str, str]]
    release_job_reads: tuple[str, ...]


_SCHEDULER_HEALTH: Final = HttpProbe("/health", 8974)

_AIRFLOW_3: Final = AirflowFacts(
    processes=(
        Process(
            component="webserver",
            arguments=("airflow", "api-server"),
            # 200 even when the scheduler is dead: right for a probe, useless as a proof.
            probe=HttpProbe("/api/v2/monitor/health", 8080),
            reads=("metadata", "jwt", "api"),
            ports={"http": 8080},
            # The api-server is in the path of every running task: let the endpoints change first.
            drain_seconds=5,
        ),
        Process(
            component="scheduler",
            arguments=("airflow", "scheduler"),
            probe=_SCHEDULER_HEALTH,
            reads=("metadata", "jwt", "broker"),
            ports={"health": 8974},
        ),
        Process(
            component="triggerer",
            arguments=("airflow", "triggerer"),
            probe=ScriptProbe("job_probe.py", ("TriggererJob",)),
            reads=("metadata", "api"),
            ports={"logs": 8794},
        ),
        Process(
            component="dag-processor",
            arguments=("airflow", "dag-processor"),
            probe=ScriptProbe("job_probe.py", ("DagProcessorJob",)),
            reads=("metadata",),
        ),
    ),
    worker=Process(
        component="worker",
        arguments=(
            *("airflow", "celery", "worker", "--queues", "{queue}"),
            *("--concurrency", "{concurrency}"),
            # Workers need not know of each other; asking at the start costs a second of every deploy.
            *("--without-mingle", "--without-gossip"),
        ),
        probe=ScriptProbe("worker_probe.py", ("{queue}",)),
        # No metadata: an Airflow 3 task talks to the api-server, never to the database.
        reads=("broker", "api"),
        ports={"logs": 8793},
    ),
    settings={
        "AIRFLOW_CONFIG": f"{FILES}/airflow.cfg",
        "AIRFLOW__API__PORT": "8080",
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
        ),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://{webserver}:8080/execution/",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        # Pods are no StatefulSet: their names do not resolve, and the UI reads logs by this name.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow.utils.net.get_host_ip_address",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": LOGS,
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": f"{LOGS}/dag_processor",
        "AIRFLOW__OPERATORS__DEFAULT_QUEUE": "{default_queue}",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "True",
        # A task that waits for a worker's place while workers are replaced must not be failed.
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "{task_queued_timeout}",
        # A task outlives an api-server that is away for about a minute.
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "20",
        # apache/airflow images: SIGTERM must reach only Celery's main process.
        "DUMB_INIT_SETSID": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    },
    secret_settings={
        "metadata": {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "database_url",
            "AIRFLOW__CORE__FERNET_KEY": "fernet_key",
        },
        # Only who signs and who checks task tokens: a new one kills every running task.
        "jwt": {"AIRFLOW__API_AUTH__JWT_SECRET": "jwt_secret"},
        "api": {"AIRFLOW__API__SECRET_KEY": "api_secret_key"},
        "broker": {
            "AIRFLOW__CELERY__BROKER_URL": "broker_url",
            "AIRFLOW__CELERY__RESULT_BACKEND": "result_backend",
        },
    },
    release_job_reads=("metadata", "admin"),
)

AIRFLOW: Final[dict[int, AirflowFacts]] = {3: _AIRFLOW_3}
