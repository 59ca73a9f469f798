"""What Airflow reads from its environment: the settings of a Deployment, and which names are its own."""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import pulumi

from astro_pulumi.airflow.endpoints import STATSD_PORT
from astro_pulumi.airflow.facts import Process
from astro_pulumi.errors import ArgumentError
from astro_pulumi.inputs import computed, formatted
from astro_pulumi.naming import STATSD, WEBSERVER, object_name
from astro_pulumi.spec import Connection, DeploymentSpec, Metrics, RemoteLogging

_NAME = re.compile(r"^[A-Z_][A-Z0-9_]*$")
# These have always been lower-case, and most programs read them so only.
_LOWER_CASE_NAMES: Final = frozenset({"http_proxy", "https_proxy", "no_proxy", "all_proxy"})

_MADE: Final = "is made by the Deployment and kept for good; there is nothing to set"
_FIXED: Final = "is what the Deployment's pods are built around; it cannot be set"
_USE: Final = "is set by the Deployment: use "
_REFUSED: Final = {
    "AIRFLOW__API_AUTH__JWT_SECRET": _MADE,
    "AIRFLOW__API__SECRET_KEY": _MADE,
    "AIRFLOW__CORE__FERNET_KEY": _USE + "`fernet_key` or `fernet_key_from`",
    "AIRFLOW__WEBSERVER__SECRET_KEY": _MADE,
    "AIRFLOW__CORE__SQL_ALCHEMY_CONN": _USE + "`database`",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _USE + "`database`",
    "AIRFLOW__CELERY__RESULT_BACKEND": _USE + "`database`",
    "AIRFLOW__CELERY__BROKER_URL": _USE + "`broker`",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": _USE + "`concurrency` in `worker_queues`",
    "AIRFLOW__OPERATORS__DEFAULT_QUEUE": _USE + "the first of `worker_queues`",
    "AIRFLOW__CORE__EXECUTOR": _USE + "`executor`",
    "AIRFLOW__CORE__AUTH_MANAGER": _USE + "`manager` in `auth`",
    "AIRFLOW__API__BASE_URL": _USE + "`service.base_url`, `ingress` or `http_route`",
    "AIRFLOW__WEBSERVER__BASE_URL": _USE + "`service.base_url`, `ingress` or `http_route`",
    "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": _USE + "`dag_processor`",
    # What the Jobs of a deploy read.
    "ASTRO_ADMIN_PASSWORD": _USE + "`admin_password` in `auth`",
    "ASTRO_BACKUP_CLAIM": _USE + "`backup_before_downgrade` in `database`",
    "ASTRO_DATABASE_DOWNGRADE": _USE + "`database_downgrade`",
    "ASTRO_HISTORY_LIMIT": _USE + "`history_limit`",
    "ASTRO_LEASE_PATIENCE": _USE + "`timeouts.release_job`",
    "ASTRO_ROLLOUT_TIMEOUT": _USE + "`timeouts.rollout`",
    **dict.fromkeys(
        (
            "ASTRO_ADMIN_USERNAME",
            "ASTRO_BROKER_PASSWORD",
            "ASTRO_BROKER_USERNAME",
            "ASTRO_DATABASE_NEEDS",
            "ASTRO_DATABASE_PASSWORD",
            "ASTRO_DATABASE_USERNAME",
            "ASTRO_DEPLOYMENT",
            "ASTRO_DOWNGRADES_FOR",
            "ASTRO_HEADS",
            "ASTRO_IMAGE_NEEDS",
            "ASTRO_JOB",
            "ASTRO_RELEASE_CONTENT",
            "ASTRO_TARGET_AIRFLOW",
            "ASTRO_WORKLOADS",
        ),
        _FIXED,
    ),
    "AIRFLOW_CONFIG": _FIXED,
    "AIRFLOW_HOME": _FIXED,
    "AIRFLOW__API__PORT": _FIXED,
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": _FIXED,
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": _FIXED,
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": _FIXED,
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": _FIXED,
    "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": _FIXED,
    "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": _FIXED,
    "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": _FIXED,
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": _FIXED,
    "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": _FIXED,
    "DUMB_INIT_SETSID": _FIXED,
}


def check_environment_name(name: Any, path: str) -> None:
    """Refuses what is no name, and names whose value would break the Deployment.

    :raises ArgumentError: with the argument to use instead.
    """
    if not isinstance(name, str) or not (_NAME.match(name) or name in _LOWER_CASE_NAMES):
        raise ArgumentError(
            path,
            "is not a name for an environment variable: upper-case letters, digits and _ only",
        )
    # Airflow takes the value of X from the output of X_CMD or from the secrets backend of X_SECRET too.
    setting = re.sub(r"_(CMD|SECRET)$", "", name)
    if problem := _REFUSED.get(name) or _REFUSED.get(setting):
        raise ArgumentError(path, problem)


def check_open_name(name: Any, path: str) -> None:
    """As `check_environment_name`, for what everyone may see who sees ConfigMaps."""
    check_environment_name(name, path)
    if name.startswith("AIRFLOW_CONN_"):
        raise ArgumentError(path, "may hold a password: use `connections`, or `secret_environment`")


def settings(spec: DeploymentSpec) -> dict[str, Any]:
    """The environment variables of every Airflow process; the user's own win."""
    exposure, facts = spec.exposure, spec.facts
    return {
        **_filled(spec, facts.settings),
        **facts.auth_managers.get(
            spec.auth.manager, {"AIRFLOW__CORE__AUTH_MANAGER": spec.auth.manager}
        ),
        **({} if exposure.base_url is None else {facts.exposure.base_url: exposure.base_url}),
        **_switched(facts.exposure.proxy_settings, exposure.behind_proxy),
        **_switched(facts.exposure.https_settings, exposure.over_https),
        **(_remote_logging(spec.remote_logging) if spec.remote_logging else {}),
        **_metrics(spec.name, spec.metrics),
        **spec.environment,
    }


def _switched(values: Mapping[str, tuple[str, str]], on: pulumi.Input[bool]) -> dict[str, Any]:
    """Return each setting with its first value if `on`, otherwise with its second."""

    def choose(pair: tuple[str, str], is_on: bool) -> str:
        return pair[0] if is_on else pair[1]

    return {name: computed(partial(choose, pair), on) for name, pair in values.items()}


def process_settings(spec: DeploymentSpec, process: Process) -> dict[str, Any]:
    """The environment variables of one process alone; the user's own win."""
    return _filled(spec, process.settings)


def _filled(spec: DeploymentSpec, templates: Mapping[str, str]) -> dict[str, Any]:
    grace_periods = (queue.termination_grace_period_seconds for queue in spec.worker_queues)
    values = {
        "webserver": object_name(spec.name, WEBSERVER),
        "base_path": spec.exposure.base_path,
        "default_queue": spec.default_queue.name,
        # A queued task waits for draining workers at the longest, then for new ones to start.
        "task_queued_timeout": computed(
            lambda *periods: max(600, 300 + max(periods)), *grace_periods
        ),
        "standalone_dag_processor": str("dag-processor" in spec.workloads),
    }
    return {key: formatted(value, **values) for key, value in templates.items()}


def secret_settings(spec: DeploymentSpec) -> dict[str, Any]:
    """The environment variables of every Airflow process that are kept in a Secret."""
    logging = spec.remote_logging
    return {
        **(
            {"AIRFLOW__ELASTICSEARCH__HOST": logging.elasticsearch_host}
            if logging and logging.elasticsearch_host is not None
            else {}
        ),
        **spec.secret_environment,
    }


def connections_and_variables(spec: DeploymentSpec) -> dict[str, Any]:
    """The user's Connections and Variables, as the environment variables that Airflow looks them up in."""
    return {
        **{
            f"AIRFLOW_CONN_{key.upper()}": _connection(connection)
            for key, connection in spec.connections.items()
            if connection.value_from is None
        },
        **{f"AIRFLOW_VAR_{key.upper()}": value for key, value in spec.variables.items()},
    }


def _connection(connection: Connection) -> pulumi.Input[str]:
    """Airflow's JSON form, where nothing need be quoted as in a URI."""
    if connection.uri is not None:
        return connection.uri
    return pulumi.Output.from_input(dict(connection.fields)).apply(
        lambda fields: json.dumps(fields, sort_keys=True)
    )


def _remote_logging(logging: RemoteLogging) -> dict[str, str]:
    if logging.folder is None:
        return {
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__ELASTICSEARCH__JSON_FORMAT": "True",
            "AIRFLOW__ELASTICSEARCH__WRITE_STDOUT": "True",
        }
    return {
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        **_log_folder(logging.folder),
        **(
            {"AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": logging.connection_id}
            if logging.connection_id
            else {}
        ),
        **({"AIRFLOW__LOGGING__ENCRYPT_S3_LOGS": "True"} if logging.encrypt_s3 else {}),
    }


def _log_folder(folder: str) -> dict[str, str]:
    name = "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"
    scheme, _, rest = folder.partition("://")
    if scheme != "wasb":
        return {name: folder}
    # Airflow takes Azure's container from another setting, and the folder for a path in it.
    container, _, path = rest.partition("/")
    return {
        name: f"wasb://{path}",
        "AIRFLOW__AZURE_REMOTE_LOGGING__REMOTE_WASB_LOG_CONTAINER": container,
    }


def _metrics(name: str, metrics: Metrics) -> dict[str, str]:
    if metrics.otel_host:
        return {
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "AIRFLOW__METRICS__OTEL_HOST": metrics.otel_host,
            "AIRFLOW__METRICS__OTEL_PORT": str(metrics.otel_port),
            "AIRFLOW__METRICS__OTEL_PREFIX": metrics.prefix,
        }
    host, port = metrics.statsd_host, metrics.statsd_port
    if metrics.exporter_image:
        host, port = object_name(name, STATSD), STATSD_PORT
    if not host:
        return {}
    return {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": host,
        "AIRFLOW__METRICS__STATSD_PORT": str(port),
        "AIRFLOW__METRICS__STATSD_PREFIX": metrics.prefix,
    }
