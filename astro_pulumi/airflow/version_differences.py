"""Differences between Airflow versions, as data in one table.

No other module decides by Airflow version.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from astro_pulumi.airflow import dag_deploys
from astro_pulumi.airflow.mounted_pod_files import (
    FILES,
    HEARTBEAT_PROBE_FILES,
    PROCESS_FILES,
    PYTEST_FILES,
    RELEASE_JOB_FILES,
    WEBSERVER_CONFIG,
    WORKER_FILES,
    FileSet,
)
from astro_pulumi.airflow.ports import WEBSERVER_PORT
from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.naming import PYTEST, RELEASE_JOB

LOGS: Final = "/var/log/airflow"
# Mount path of the certificates of the user's authorities.
CERTIFICATES: Final = "/run/secrets/astro-pulumi"
SIMPLE_AUTH_PASSWORDS: Final = "/tmp/simple_auth_manager_passwords.json"  # noqa: S108


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """A probe that succeeds if `GET path` returns 200."""

    path: str
    port: int
    under_base_url: bool = False  # the path is below the path of the base URL


@dataclass(frozen=True, slots=True)
class ScriptProbe:
    """A probe that succeeds if a script in `pod_files/` exits with 0. `{queue}` is the worker's queue."""

    script: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Process:
    """An Airflow process that runs as a workload of its own."""

    component: str  # the label `app.kubernetes.io/component`, the same for every Airflow version
    arguments: tuple[str, ...]  # `{queues}` and `{concurrency}` are filled in for workers
    probe: HttpProbe | ScriptProbe | None  # None for Jobs
    reads: tuple[str, ...]  # groups of secrets: see `secret_settings`
    files: FileSet
    ports: dict[str, int] = field(default_factory=dict)
    drain_seconds: int = 0  # it keeps serving for so long after it left the Service's endpoints
    # Runs only when its argument is given; the scheduler does its work else.
    on_request: bool = False
    runs_dag_code: bool = False  # and so may call anything, anywhere
    calls_webserver: bool = False
    # Settings that no other process reads; values as in `AirflowFacts.settings`.
    settings: dict[str, str] = field(default_factory=dict)
    # Engines of SQLAlchemy in one replica, each with a pool of connections to the database: one for each
    # process that goes on, and one more for asyncpg.
    database_pools: int = 1
    # Connections of each task that runs, which are not of a pool.
    connections_of_task: int = 0
    follows_dags: bool = False  # with DAG deploys, it asks for the newest version of the DAGs
    # Further settings with DAG deploys.
    dag_deploy_settings: dict[str, str] = field(default_factory=dict)
    # Settings of versions before the given one.
    settings_before: tuple[tuple[AirflowVersion, dict[str, str]], ...] = ()

    def settings_of(self, version: AirflowVersion) -> dict[str, str]:
        """Return the settings that this process reads in `version`."""
        found = dict(self.settings)
        for end, settings in self.settings_before:
            if version.with_patch() < end:
                found |= settings
        return found


@dataclass(frozen=True, slots=True)
class Exposure:
    """Settings of the webserver's URL and of the proxies in front of it."""

    base_url: str  # the setting that carries the URL
    instance_name: str  # the setting that carries the title of the UI
    # Setting -> value behind a proxy, or when people come by HTTPS, and otherwise: Airflow's default.
    proxy_settings: dict[str, tuple[str, str]]
    https_settings: dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class AirflowFacts:
    """Facts about one major version of Airflow."""

    oldest_minor: int
    processes: tuple[Process, ...]
    worker: Process
    # Settings of every process, by environment variable. Values may use `{webserver}` (the Service's
    # name), `{base_path}` (the path of the base URL), `{default_queue}`, `{standalone_dag_processor}` and
    # the values that `environment` derives.
    settings: dict[str, str]
    # Group -> environment variable -> name of its value. A variable without a value is not set. One more
    # group, "connections", has the user's own Connections and Variables.
    secret_settings: dict[str, dict[str, str]]
    release_job: Process
    pytest_job: Process
    exposure: Exposure
    auth_managers: dict[str, dict[str, str]]  # settings of each
    results_in_database: bool  # Celery's; otherwise they are in Redis
    # Further names of the default queue in tasks.
    default_queue_aliases: tuple[str, ...]
    # Minor version -> oldest supported PostgreSQL, from Airflow's README. Without entry: as the one before.
    oldest_postgresql: dict[int, int]
    # Settings of every process with DAG deploys; empty without versions of DAGs.
    dag_deploy_settings: dict[str, str]
    # Distributions that every image needs, with their purposes. Of names separated by "|", one is enough.
    packages: dict[str, str]


# The command `airflow`, with a shorter start-up.
_AIRFLOW: Final = ("python", f"{FILES}/airflow_start.py")
_TRIGGERER: Final = Process(
    component="triggerer",
    arguments=(*_AIRFLOW, "triggerer"),
    probe=ScriptProbe("heartbeat_probe.py", ("TriggererJob",)),
    reads=("metadata", "api", "connections"),
    files=HEARTBEAT_PROBE_FILES,
    ports={"logs": 8794},
    runs_dag_code=True,
)
_DAG_PROCESSOR: Final = Process(
    component="dag-processor",
    arguments=(*_AIRFLOW, "dag-processor"),
    probe=ScriptProbe("heartbeat_probe.py", ("DagProcessorJob",)),
    reads=("metadata", "connections"),
    files=HEARTBEAT_PROBE_FILES,
    runs_dag_code=True,
)
# Settings that must be the same for a worker and the scheduler.
_BROKER_SETTINGS: Final = {
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "{visibility_timeout}",
}
_WORKER: Final = Process(
    component="worker",
    arguments=(
        *(*_AIRFLOW, "celery", "worker", "--queues", "{queues}", "--concurrency", "{concurrency}"),
        # Celery's own default, set explicitly: the probe asks for the worker by this name. Without it,
        # Airflow 2 passes None to Celery, which ends the worker if click is 8.3 or newer.
        *("--celery-hostname", "celery@%h"),
        # Workers need no knowledge of each other, and asking for it costs a second of every deploy.
        *("--without-mingle", "--without-gossip"),
    ),
    probe=ScriptProbe("worker_probe.py", ("{queue}",)),
    reads=("broker", "api", "connections"),
    files=WORKER_FILES,
    settings=_BROKER_SETTINGS,
    ports={"logs": 8793},
    runs_dag_code=True,
    database_pools=0,
)
_RELEASE_JOB: Final = Process(
    component=RELEASE_JOB,
    arguments=("python", f"{FILES}/release_job.py"),
    probe=None,
    reads=("metadata", "migration", "admin", "connections"),
    files=RELEASE_JOB_FILES,
    runs_dag_code=True,
)
_PYTEST_JOB: Final = Process(
    component=PYTEST,
    arguments=("python", f"{FILES}/pytest_job.py"),
    probe=None,
    reads=(),
    files=PYTEST_FILES,
)

_SETTINGS_OF_EVERY_VERSION: Final = {
    "AIRFLOW_CONFIG": f"{FILES}/airflow.cfg",
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    # The UI reads logs by this name, and names of pods of Deployments do not resolve.
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow.utils.net.get_host_ip_address",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": LOGS,
    "AIRFLOW__OPERATORS__DEFAULT_QUEUE": "{default_queue}",
    # apache/airflow images: SIGTERM must reach only Celery's main process.
    "DUMB_INIT_SETSID": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_SCHEDULER_SETTINGS: Final = {
    # A task that waits for a free slot while workers are replaced must not fail.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "{task_queued_timeout}",
    # Airflow's default of 32 would leave workers idle, and KEDA would never start them.
    "AIRFLOW__CORE__PARALLELISM": "{parallelism}",
    **_BROKER_SETTINGS,
}
_SECRETS_OF_EVERY_VERSION: Final = {
    "metadata": {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "database_url",
        "AIRFLOW__CORE__FERNET_KEY": "fernet_key",
    },
    # Not through PgBouncer: a migration holds a lock of its session, and PgBouncer pools by transaction.
    "migration": {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "direct_database_url"},
}
_PACKAGES_OF_EVERY_VERSION: Final = {
    "apache-airflow-providers-celery": "the Celery executor",
    "redis": "Celery's broker",
    "psycopg2-binary|psycopg2": "the database",
}

# Airflow 2.7 to 2.11: the webserver's configuration, the Celery commands and the triggerer's log server are
# the same in these versions (config.yml of 2.11 has the first version of each setting).
_AIRFLOW_2: Final = AirflowFacts(
    oldest_minor=7,
    processes=(
        Process(
            component="webserver",
            # By default the pid file is in AIRFLOW_HOME, which is read-only.
            arguments=(*_AIRFLOW, "webserver", "--pid", "/tmp/airflow-webserver.pid"),  # noqa: S108
            probe=HttpProbe("/health", WEBSERVER_PORT, under_base_url=True),
            reads=("metadata", "api", "connections"),
            files=PROCESS_FILES.with_files(WEBSERVER_CONFIG),
            database_pools=2,
            ports={"http": WEBSERVER_PORT},
            drain_seconds=5,
        ),
        Process(
            component="scheduler",
            arguments=(*_AIRFLOW, "scheduler"),
            # Not the health server: it is forked from the scheduler with a database connection that both
            # processes then use. One reads the other's answer, and the scheduler waits for ever. Since
            # Airflow 3 a fork drops its connections (`clean_in_fork` in airflow/settings.py).
            probe=ScriptProbe("heartbeat_probe.py", ("SchedulerJob",)),
            reads=("metadata", "broker", "connections"),
            files=HEARTBEAT_PROBE_FILES.with_files(WEBSERVER_CONFIG),
            settings=_SCHEDULER_SETTINGS,
            runs_dag_code=True,
        ),
        replace(_TRIGGERER, files=HEARTBEAT_PROBE_FILES.with_files(WEBSERVER_CONFIG)),
        replace(
            _DAG_PROCESSOR,
            files=HEARTBEAT_PROBE_FILES.with_files(WEBSERVER_CONFIG),
            on_request=True,
        ),
    ),
    # An Airflow 2 task writes to the database itself.
    worker=replace(
        _WORKER,
        reads=("metadata", *_WORKER.reads),
        files=WORKER_FILES.with_files(WEBSERVER_CONFIG),
        # A task and its supervisor each have a connection outside of the pools.
        connections_of_task=2,
    ),
    settings={
        **_SETTINGS_OF_EVERY_VERSION,
        "AIRFLOW__LOGGING__DAG_PROCESSOR_MANAGER_LOG_LOCATION": f"{LOGS}/dag_processor_manager.log",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "AIRFLOW__SCHEDULER__CHILD_PROCESS_LOG_DIRECTORY": f"{LOGS}/dag_processor",
        "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "{standalone_dag_processor}",
        # Airflow writes a missing file at every start, but AIRFLOW_HOME is read-only.
        "AIRFLOW__WEBSERVER__CONFIG_FILE": f"{FILES}/{WEBSERVER_CONFIG}",
        # Each of the default four loads all of Airflow, which costs seconds of every deploy.
        "AIRFLOW__WEBSERVER__WORKERS": "2",
    },
    secret_settings={
        **_SECRETS_OF_EVERY_VERSION,
        "broker": {
            "AIRFLOW__CELERY__BROKER_URL": "broker_url",
            "AIRFLOW__CELERY__RESULT_BACKEND": "result_backend",
        },
        "api": {"AIRFLOW__WEBSERVER__SECRET_KEY": "api_secret_key"},
    },
    release_job=replace(_RELEASE_JOB, files=RELEASE_JOB_FILES.with_files(WEBSERVER_CONFIG)),
    pytest_job=replace(_PYTEST_JOB, files=PYTEST_FILES.with_files(WEBSERVER_CONFIG)),
    exposure=Exposure(
        base_url="AIRFLOW__WEBSERVER__BASE_URL",
        instance_name="AIRFLOW__WEBSERVER__INSTANCE_NAME",
        proxy_settings={"AIRFLOW__WEBSERVER__ENABLE_PROXY_FIX": ("True", "False")},
        https_settings={"AIRFLOW__WEBSERVER__COOKIE_SECURE": ("True", "False")},
    ),
    auth_managers={"fab": {}},
    results_in_database=True,
    default_queue_aliases=("default", "celery"),
    oldest_postgresql={7: 11, 8: 12},
    dag_deploy_settings={},
    packages=_PACKAGES_OF_EVERY_VERSION,
)

_AIRFLOW_3: Final = AirflowFacts(
    oldest_minor=0,
    processes=(
        Process(
            component="webserver",
            # The headers count if they come from FORWARDED_ALLOW_IPS.
            arguments=(*_AIRFLOW, "api-server", "--proxy-headers"),
            # The status is 200 even if the scheduler does not run, as a probe of the webserver needs.
            probe=HttpProbe("/api/v2/monitor/health", WEBSERVER_PORT),
            reads=("metadata", "metadata-async", "jwt", "api", "connections"),
            files=PROCESS_FILES,
            database_pools=2,
            ports={"http": WEBSERVER_PORT},
            # Every running task calls the api-server, so the endpoints must change before it ends.
            drain_seconds=5,
        ),
        Process(
            component="scheduler",
            arguments=(*_AIRFLOW, "scheduler"),
            probe=HttpProbe("/health", 8974),
            reads=("metadata", "jwt", "broker"),
            files=PROCESS_FILES,
            settings=_SCHEDULER_SETTINGS,
            # Later versions make the token of a queued task valid for as long as the task may wait.
            settings_before=(
                (
                    AirflowVersion(3, 2, 2),
                    {"AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "{token_lifetime}"},
                ),
            ),
            ports={"health": 8974},
        ),
        _TRIGGERER,
        replace(
            _DAG_PROCESSOR,
            follows_dags=True,
            dag_deploy_settings=dag_deploys.DAG_PROCESSOR_SETTINGS,
        ),
    ),
    # Without "metadata": an Airflow 3 task talks to the api-server, never to the database.
    worker=replace(_WORKER, calls_webserver=True, follows_dags=True),
    settings={
        **_SETTINGS_OF_EVERY_VERSION,
        "AIRFLOW__API__PORT": str(WEBSERVER_PORT),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://{webserver}:8080{base_path}/execution/",
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": f"{LOGS}/dag_processor",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "True",
        # A task survives about a minute without the api-server.
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "20",
    },
    secret_settings={
        **_SECRETS_OF_EVERY_VERSION,
        # Results in Redis: results in the database would give every task a login to all its data.
        "broker": {
            "AIRFLOW__CELERY__BROKER_URL": "broker_url",
            "AIRFLOW__CELERY__RESULT_BACKEND": "broker_url",
        },
        # The api-server makes some queries through asyncpg. Airflow would derive its URL from the other one,
        # but asyncpg has no `sslmode`, and its prepared statements do not work with PgBouncer's pool.
        "metadata-async": {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "async_database_url",
            "PGSSLROOTCERT": "database_certificate_file",
        },
        # Only for processes that sign or verify task tokens: a changed secret kills every running task.
        "jwt": {"AIRFLOW__API_AUTH__JWT_SECRET": "jwt_secret"},
        "api": {"AIRFLOW__API__SECRET_KEY": "api_secret_key"},
    },
    release_job=_RELEASE_JOB,
    pytest_job=_PYTEST_JOB,
    exposure=Exposure(
        base_url="AIRFLOW__API__BASE_URL",
        instance_name="AIRFLOW__API__INSTANCE_NAME",
        # Every client may send the proxy's headers. NetworkPolicies and the Service limit the clients.
        # Without a proxy, the value is uvicorn's default.
        proxy_settings={
            "FORWARDED_ALLOW_IPS": ("*", "127.0.0.1"),
            "AIRFLOW__FAB__ENABLE_PROXY_FIX": ("True", "False"),
        },
        https_settings={"AIRFLOW__FAB__COOKIE_SECURE": ("True", "False")},
    ),
    auth_managers={
        "fab": {
            "AIRFLOW__CORE__AUTH_MANAGER": (
                "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
            ),
        },
        "simple": {
            "AIRFLOW__CORE__AUTH_MANAGER": (
                "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": SIMPLE_AUTH_PASSWORDS,
        },
    },
    results_in_database=False,
    default_queue_aliases=("default",),
    oldest_postgresql={0: 13, 2: 14},
    dag_deploy_settings=dag_deploys.SETTINGS,
    packages={**_PACKAGES_OF_EVERY_VERSION, "asyncpg": "the api-server"},
)

# Class paths of the auth managers with a short name. Derived classes manage their own users.
AUTH_MANAGER_CLASSES: Final = {
    "airflow.auth.managers.fab.fab_auth_manager.FabAuthManager": "fab",  # before Airflow 2.9
    "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager": "fab",
    "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager": "simple",
}
AIRFLOW: Final[dict[int, AirflowFacts]] = {2: _AIRFLOW_2, 3: _AIRFLOW_3}
