"""Environment variables of Airflow's containers: set, derived or refused, and their precedence.

If several sources give a variable, the last source in this list wins:

1. the user's `environment_from`, whose keys are not known here,
2. the Deployment's own Secrets: `AirflowFacts.secret_settings`, Connections and Variables,
3. the ConfigMap of `settings`: first the Deployment's settings and derived values, then the user's
   `environment`,
4. the Secret of `secret_settings`: the user's `secret_environment`,
5. the container's own variables: references to keys of existing objects, and `process_settings` without the
   names in `environment` and `secret_environment`.

`check_environment_name` refuses names that the user must not give at all.
"""

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
# Lower-case by tradition; most programs read only that form.
PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_NO_PROXY: Final = ("no_proxy", "NO_PROXY")
_LOWER_CASE_NAMES: Final = frozenset({*PROXIES, "no_proxy"})
# The webserver fetches logs from pods by their addresses. `requests` understands ranges; names of hosts in
# these ranges are not affected.
_POD_ADDRESSES: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")

_QUEUED_TIMEOUT: Final = "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"
_KEY_PREFIX: Final = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX"
_RESULT_OPTIONS: Final = "AIRFLOW__CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS__"
_CELERY_CONFIG: Final = "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"
_CELERY_RESULT_OPTIONS: Final = "result_backend_transport_options"
_DAY: Final = 24 * 3600
# Airflow's own default of `parallelism`.
_PARALLELISM: Final = 32

_MADE: Final = "is made by the Deployment and kept for good; there is nothing to set"
_FIXED: Final = "is what the Deployment's pods are built around; it cannot be set"
_USE: Final = "is set by the Deployment: use "
_PROBED: Final = "cannot be set: probes and the Service reach the process over plain HTTP. "
_TLS: Final = _PROBED + "For TLS use `ingress` or `http_route`"
_BIND: Final = _PROBED + "It listens on every address of its pod"
SCHEMA: Final = (
    "cannot be set: probes, KEDA and PgBouncer would look into another schema. Let the database choose it: "
    "ALTER ROLE <user> SET search_path = <schema>"
)
_REFUSED: Final = {
    "AIRFLOW__API_AUTH__JWT_SECRET": _MADE,
    "AIRFLOW__API__SECRET_KEY": _MADE,
    "AIRFLOW__CORE__FERNET_KEY": _USE + "`fernet_key` or `fernet_key_from`",
    "AIRFLOW__WEBSERVER__SECRET_KEY": _MADE,
    "AIRFLOW__CORE__SQL_ALCHEMY_CONN": _USE + "`database`",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _USE + "`database`",
    "AIRFLOW__CELERY__RESULT_BACKEND": _USE + "`broker`, or `database` with Airflow 2",
    "AIRFLOW__CELERY__BROKER_URL": _USE + "`broker`",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": _USE + "`concurrency` in `worker_queues`",
    "AIRFLOW__CELERY__WORKER_AUTOSCALE": _USE + "`concurrency` in `worker_queues`",
    "AIRFLOW__OPERATORS__DEFAULT_QUEUE": _USE + "the first of `worker_queues`",
    "AIRFLOW__CORE__AUTH_MANAGER": _USE + "`manager` in `auth`",
    "AIRFLOW__API__BASE_URL": _USE + "`service.base_url`, `ingress` or `http_route`",
    "AIRFLOW__WEBSERVER__BASE_URL": _USE + "`service.base_url`, `ingress` or `http_route`",
    "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": _USE + "`dag_processor`",
    # Variables of the Jobs of a deploy.
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
            "AIRFLOW_CONFIG",
            "AIRFLOW_HOME",
            "AIRFLOW__API__PORT",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
            "AIRFLOW__CORE__EXECUTOR",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT",
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT",
            "DUMB_INIT_SETSID",
        ),
        _FIXED,
    ),
    # Settings that probes depend on and cannot follow.
    "AIRFLOW__API__HOST": _BIND,
    "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": _BIND,
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": _BIND,
    "AIRFLOW__API__SSL_CERT": _TLS,
    "AIRFLOW__API__SSL_KEY": _TLS,
    "AIRFLOW__WEBSERVER__WEB_SERVER_SSL_CERT": _TLS,
    "AIRFLOW__WEBSERVER__WEB_SERVER_SSL_KEY": _TLS,
    "AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL": (
        "cannot be set: the probe asks the worker by remote control which queues it serves"
    ),
    "AIRFLOW__CORE__SQL_ALCHEMY_SCHEMA": SCHEMA,
    "AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA": SCHEMA,
    "PGOPTIONS": SCHEMA,
}


def check_environment_name(name: Any, path: str) -> None:
    """Refuse an invalid name, and a name whose value would break the Deployment.

    Raises:
        ArgumentError: With the argument to use instead.
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
    """Refuse such names, and names of secret values, for a variable in a ConfigMap."""
    check_environment_name(name, path)
    if name.startswith("AIRFLOW_CONN_"):
        raise ArgumentError(path, "may hold a password: use `connections`, or `secret_environment`")


def settings(spec: DeploymentSpec) -> dict[str, pulumi.Input[str]]:
    """Return the variables of every Airflow process in the ConfigMap."""
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
        **_users(spec)[0],
    }


def _switched(
    values: Mapping[str, tuple[str, str]], on: pulumi.Input[bool]
) -> dict[str, pulumi.Input[str]]:
    """Return each setting with its first value if `on`, otherwise with its second."""

    def choose(pair: tuple[str, str], is_on: bool) -> str:
        return pair[0] if is_on else pair[1]

    return {name: computed(partial(choose, pair), on) for name, pair in values.items()}


def secret_settings(spec: DeploymentSpec) -> dict[str, pulumi.Input[str]]:
    """Return the variables of every Airflow process in the user's Secret."""
    logging = spec.remote_logging
    return {
        **(
            {"AIRFLOW__ELASTICSEARCH__HOST": logging.elasticsearch_host}
            if logging and logging.elasticsearch_host is not None
            else {}
        ),
        **_users(spec)[1],
    }


def process_settings(
    spec: DeploymentSpec, process: Process, title: pulumi.Input[str] | None = None
) -> dict[str, pulumi.Input[str]]:
    """Return the variables of one process alone, without those that the user gives.

    Args:
        spec: The Deployment.
        process: The process.
        title: Title of the webserver's pages.
    """
    given = {*spec.environment, *spec.secret_environment}
    found = _filled(spec, process.settings_of(spec.airflow_version))
    if process.component == WEBSERVER and title is not None:
        found[spec.facts.exposure.instance_name] = title
    return {name: value for name, value in found.items() if name not in given}


def _filled(spec: DeploymentSpec, templates: Mapping[str, str]) -> dict[str, pulumi.Input[str]]:
    values = {
        "webserver": object_name(spec.name, WEBSERVER),
        "base_path": spec.exposure.base_path,
        "default_queue": spec.default_queue.name,
        "standalone_dag_processor": str("dag-processor" in spec.workloads),
        **_derived(spec),
    }

    return {key: formatted(value, **values) for key, value in templates.items()}


def _derived(spec: DeploymentSpec) -> dict[str, pulumi.Input[Any]]:
    """Return the values that follow from other arguments."""
    given = {**spec.environment, **spec.secret_environment}
    # A queued task waits for draining workers at the longest, then for new ones to start.
    queued_timeout = computed(lambda grace: max(600, 300 + grace), spec.longest_grace_period)
    return {
        "task_queued_timeout": queued_timeout,
        # The token is made when the task is queued. It must outlive the wait, and the start of the task.
        "token_lifetime": computed(_token_lifetime, given.get(_QUEUED_TIMEOUT, queued_timeout)),
        "parallelism": computed(
            lambda *concurrencies: max(
                _PARALLELISM,
                sum(
                    concurrency * queue.max_count
                    for concurrency, queue in zip(concurrencies, spec.worker_queues, strict=True)
                ),
            ),
            *(queue.concurrency for queue in spec.worker_queues),
        ),
        # A message that is not acknowledged in this time is delivered again, and the task runs twice. A
        # worker may take it while a task still runs, and both may last as long as the worker may drain.
        "visibility_timeout": computed(
            lambda grace: max(_DAY, 2 * grace), spec.longest_grace_period
        ),
    }


def _token_lifetime(queued_timeout: Any) -> int:
    try:
        return max(600, int(float(queued_timeout)) + 300)
    except ValueError:
        raise ArgumentError(
            f"environment[{_QUEUED_TIMEOUT!r}]", "must be a number of seconds"
        ) from None


def _users(
    spec: DeploymentSpec,
) -> tuple[dict[str, pulumi.Input[str]], dict[str, pulumi.Input[str]]]:
    """Return `environment` and `secret_environment`, merged with values that the Deployment must add.

    A value that is derived from a secret value goes to `secret_environment`.
    """
    visible, secret = dict(spec.environment), dict(spec.secret_environment)
    given = {**visible, **secret}
    for sources, merged in (_no_proxy(spec, given), _result_options(spec, given)):
        (visible if secret.keys().isdisjoint(sources) else secret).update(merged)
    return visible, secret


_Merged = tuple[set[str], dict[str, pulumi.Input[str]]]


def _no_proxy(spec: DeploymentSpec, given: Mapping[str, pulumi.Input[str]]) -> _Merged:
    """Exclude calls inside the Deployment from the user's proxy."""
    if given.keys().isdisjoint({*PROXIES, *(name.upper() for name in PROXIES)}):
        return set(), {}
    own = ("localhost", "127.0.0.1", object_name(spec.name, WEBSERVER), *_POD_ADDRESSES)
    names = [name for name in _NO_PROXY if name in given]

    def merge(*values: str) -> str:
        listed = [part.strip() for value in values for part in value.split(",")]
        return ",".join(dict.fromkeys(part for part in (*listed, *own) if part))

    value = computed(merge, *(given[name] for name in names))
    return set(names), dict.fromkeys(_NO_PROXY, value)


def _result_options(spec: DeploymentSpec, given: Mapping[str, pulumi.Input[str]]) -> _Merged:
    """Give results in Redis the broker's key prefix: its login may be limited to keys with this prefix."""
    if spec.facts.results_in_database or _KEY_PREFIX not in given:
        return set(), {}
    option = f"{_RESULT_OPTIONS}GLOBAL_KEYPREFIX"
    if any(name.startswith(_RESULT_OPTIONS) for name in given):
        return {_KEY_PREFIX}, {} if option in given else {option: given[_KEY_PREFIX]}

    # In Celery's own configuration: providers older than 3.13 ignore Airflow's section for it.
    def merge(prefix: str, config: str) -> str:
        try:
            return json.dumps(
                {_CELERY_RESULT_OPTIONS: {"global_keyprefix": prefix}, **json.loads(config)}
            )
        except (TypeError, ValueError):
            path = f"environment[{_CELERY_CONFIG!r}]"
            raise ArgumentError(path, "must be a JSON object") from None

    value = computed(merge, given[_KEY_PREFIX], given.get(_CELERY_CONFIG, "{}"))
    return {_KEY_PREFIX, _CELERY_CONFIG} & given.keys(), {_CELERY_CONFIG: value}


def connections_and_variables(spec: DeploymentSpec) -> dict[str, Any]:
    """Return the user's Connections and Variables as the environment variables that Airflow looks up."""
    return {
        **{
            f"AIRFLOW_CONN_{key.upper()}": _connection(connection)
            for key, connection in spec.connections.items()
            if connection.value_from is None
        },
        **{f"AIRFLOW_VAR_{key.upper()}": value for key, value in spec.variables.items()},
    }


def _connection(connection: Connection) -> pulumi.Input[str]:
    """Return a Connection in Airflow's JSON form, which needs no quoting, unlike a URI."""
    if connection.uri is not None:
        return connection.uri
    return pulumi.Output.from_input(dict(connection.fields)).apply(
        lambda fields: json.dumps(fields, sort_keys=True)
    )


def _remote_logging(logging: RemoteLogging) -> dict[str, Any]:
    if logging.folder is None:
        return {
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__ELASTICSEARCH__JSON_FORMAT": "True",
            "AIRFLOW__ELASTICSEARCH__WRITE_STDOUT": "True",
        }
    connection = logging.connection_id
    return {
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": computed(_log_folder, logging.folder),
        "AIRFLOW__AZURE_REMOTE_LOGGING__REMOTE_WASB_LOG_CONTAINER": computed(
            _log_container, logging.folder
        ),
        **({} if connection is None else {"AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": connection}),
        "AIRFLOW__LOGGING__ENCRYPT_S3_LOGS": computed(str, logging.encrypt_s3),
    }


def _log_folder(folder: str) -> str:
    """Return the remote log folder. For Azure it is a path in the container, which another setting names."""
    scheme, _, rest = folder.partition("://")
    return f"wasb://{rest.partition('/')[2]}" if scheme == "wasb" else folder


def _log_container(folder: str) -> str:
    """Return Azure's container, or Airflow's default if nothing reads the setting."""
    scheme, _, rest = folder.partition("://")
    return rest.partition("/")[0] if scheme == "wasb" else "airflow-logs"


def _metrics(name: str, metrics: Metrics) -> dict[str, Any]:
    if metrics.otel_host is not None:
        return {
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "AIRFLOW__METRICS__OTEL_HOST": metrics.otel_host,
            "AIRFLOW__METRICS__OTEL_PORT": computed(str, metrics.otel_port),
            "AIRFLOW__METRICS__OTEL_PREFIX": metrics.prefix,
        }
    host, port = metrics.statsd_host, metrics.statsd_port
    if metrics.exporter_image is not None:
        host, port = object_name(name, STATSD), STATSD_PORT
    if host is None:
        return {}
    return {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": host,
        "AIRFLOW__METRICS__STATSD_PORT": computed(str, port),
        "AIRFLOW__METRICS__STATSD_PREFIX": metrics.prefix,
    }
