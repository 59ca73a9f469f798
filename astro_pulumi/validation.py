"""From raw arguments to a `DeploymentSpec`: everything is checked here, once, and named as the user did.

Every function raises `ArgumentError` with the argument's path.
"""

import json
import re
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import pulumi

from astro_pulumi import existing, spec
from astro_pulumi.airflow.environment import SCHEMA, check_environment_name, check_open_name
from astro_pulumi.airflow.facts import AIRFLOW, AirflowFacts
from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.args import DeploymentArgs, ProjectImageArgs
from astro_pulumi.args.choices import AutoscalingType, DatabaseDowngrade, ServiceType, SslMode
from astro_pulumi.args.reader import Arguments, Check, check_label
from astro_pulumi.errors import ArgumentError
from astro_pulumi.inputs import computed
from astro_pulumi.pod_arguments import read_placement, read_pod_template, read_resources
from astro_pulumi.pod_template import Scope
from astro_pulumi.project import build_secrets, read_project, runtime
from astro_pulumi.project.dockerfile import BaseImage
from astro_pulumi.run_cache import cached_per_run

T = TypeVar("T")

# Kubernetes names end at 63 characters; the longest suffix is "-dag-processor-" plus what a ReplicaSet
# and a pod add (10 + 1 + 5).
_LONGEST_NAME: Final = 30
_WEEK: Final = 7 * 24 * 3600
_OWN_PGBOUNCER_SETTINGS: Final = {
    "default_pool_size": "is set by the Deployment: use `pool_size`",
    "max_client_conn": "is set by the Deployment: use `max_client_connections`",
    "server_tls_sslmode": "is set by the Deployment: use `ssl_mode` in `database`",
    "server_tls_ca_file": "is set by the Deployment: use `ca_certificate` in `database`",
    **dict.fromkeys(
        ("auth_file", "auth_type", "listen_addr", "listen_port", "unix_socket_dir", "user"),
        "is what the Deployment's pods are built around; it cannot be set",
    ),
}
_HOST = re.compile(r"^[A-Za-z0-9*]([-A-Za-z0-9.]*[A-Za-z0-9])?$")
_read_project = cached_per_run(read_project)
_LOG_FOLDER = re.compile(r"^(s3|gs|wasb|cloudwatch|stackdriver|oss|hdfs)://\S+$")


def specify_image(args: ProjectImageArgs) -> spec.ImageSource:
    """Validates the arguments of `ProjectImage` and reads the project.

    :raises ArgumentError: naming the argument.
    :raises ProjectError: naming the file.
    """
    return _image_source(Arguments(args, ProjectImageArgs))


def specify(name: str, args: DeploymentArgs, *, may_lack_dags: bool = False) -> spec.DeploymentSpec:
    """Validates the arguments of the Deployment `name` and reads its project.

    :param may_lack_dags: whether a project without DAGs is accepted.

    :raises ArgumentError: naming the argument.
    :raises ProjectError: naming the file.
    """
    check_label(name, "name of the Deployment", _LONGEST_NAME)
    given = Arguments(args, DeploymentArgs)
    if given.has("project") == given.has("image"):
        raise ArgumentError(
            "project", "give either `project`, to build an image, or `image`, to deploy one"
        )
    accept = frozenset({"AP501"}) if may_lack_dags else frozenset()
    source = _image_source(given, accept) if given.has("project") else None
    _build_secrets(given)  # checked also with `image`, which builds nothing
    version = _airflow_version(given, source)
    facts = AIRFLOW[version.major]
    timeouts = given.section("timeouts")
    placement = read_placement(given)
    database = given.section("database")
    environment = given.strings("environment", check_open_name)
    secret_environment = given.strings("secret_environment", check_environment_name)
    for key in secret_environment:
        if key in environment:
            raise ArgumentError(f"secret_environment[{key!r}]", "is given in `environment` as well")
    return spec.DeploymentSpec(
        name=name,
        source=source,
        image=given.optional_text("image", _check_image),
        registry=_registry(given) if given.has("registry") else None,
        airflow_version=version,
        facts=facts,
        namespace=given.optional_text("namespace"),
        workloads=_workloads(given, facts, placement),
        worker_queues=_worker_queues(given, placement),
        autoscaling=_autoscaling(given.section("autoscaling")),
        environment=environment,
        secret_environment=secret_environment,
        environment_from=existing.read_environment(given),
        connections=_connections(given),
        variables=_distinct(
            given, "variables", "AIRFLOW_VAR_", given.strings("variables", _check_variable_key)
        ),
        variables_from=_variables_from(given),
        fernet_key=existing.read_fernet_key(given),
        database=_database(database, placement),
        pgbouncer=_pgbouncer(given, placement) if given.has("pgbouncer") else None,
        backup_before_downgrade=database.plain_flag("backup_before_downgrade"),
        broker=_broker(given.section("broker"), placement),
        exposure=_exposure(given),
        auth=existing.read_auth(given, facts),
        network_policies=_network_policies(given.section("network_policies")),
        placement=placement,
        pod_template=read_pod_template(given, Scope.ALL),
        service_account_annotations=given.strings("service_account_annotations"),
        fixed_user_ids=given.plain_flag("fixed_user_ids", True),
        remote_logging=_remote_logging(given) if given.has("remote_logging") else None,
        log_retention_days=given.plain_number("log_retention_days", 15, 0, 3650),
        metrics=_metrics(given.section("metrics"), placement),
        database_downgrade=given.choice("database_downgrade", "allow", DatabaseDowngrade),
        history_limit=given.number("history_limit", 50, 2, 1000),
        release_job_timeout=timeouts.number("release_job", 1800, 1),
        rollout_timeout=timeouts.number("rollout", 600, 1),
    )


def _check_image(reference: str, path: str) -> str:
    """Refuse what Kubernetes would call an invalid image name, when the Deployment is half made."""
    if not BaseImage(reference, 1).is_valid:
        raise ArgumentError(
            path,
            f"{reference!r} is no reference of an image: it must be one such as postgres:17 or "
            "ghcr.io/acme/analytics@sha256:<64 digits>, with the name in lower case",
        )
    return reference


def _image_source(given: Arguments, accept: frozenset[str] = frozenset()) -> spec.ImageSource:
    if not given.has("registry"):
        raise ArgumentError("registry", "is required with `project`: the image is pushed there")
    project = _read_project(Path(given.plain_text("project")), accept)
    secrets = _build_secrets(given)
    if secrets and project.no_build_secrets:
        raise ArgumentError("build_secrets", project.no_build_secrets)
    return spec.ImageSource(
        project=project,
        registry=_registry(given),
        platform=given.plain_text("platform", "linux/amd64"),
        build_secrets=secrets,
    )


def _build_secrets(given: Arguments) -> dict[str, pulumi.Input[str]]:
    def check_name(name: str, path: str) -> None:
        if not build_secrets.NAME.fullmatch(name):
            raise ArgumentError(path, "must be upper-case letters, digits and `_`, as pip wants it")

    return given.strings("build_secrets", check_name)


def _registry(given: Arguments) -> spec.Registry:
    args = given.section("registry")
    repository = args.text("repository", check=_check_repository)
    if args.has("username") != args.has("password"):
        missing = "password" if args.has("username") else "username"
        raise ArgumentError(args.path(missing), "is required: a login is a username and a password")
    pull_repository = args.optional_text("pull_repository", _check_repository)
    return spec.Registry(
        repository=repository,
        pull_repository=pull_repository,
        server=computed(_server, repository),
        pull_server=computed(_server, repository if pull_repository is None else pull_repository),
        username=args.optional_text("username"),
        password=args.optional_text("password"),
        pull_secret=args.optional_text("pull_secret"),
    )


def _server(repository: str) -> str | None:
    host, slash, _ = repository.partition("/")
    is_host = slash and ("." in host or ":" in host or host == "localhost")
    return host if is_host else None


def _check_repository(repository: str, path: str) -> str:
    last = repository.rsplit("/", 1)[-1]
    if ":" in last or "@" in repository:
        raise ArgumentError(
            path,
            f"{repository!r} must not carry a tag or digest: the tag is made from the content",
        )
    if repository != repository.lower():
        raise ArgumentError(path, f"{repository!r} must be lower-case")
    return repository


def _airflow_version(given: Arguments, source: spec.ImageSource | None) -> AirflowVersion:
    if text := given.optional_plain_text("airflow_version"):
        try:
            version = AirflowVersion.parse(text)
        except ValueError as error:
            raise ArgumentError("airflow_version", str(error)) from None
    elif source is None:
        raise ArgumentError(
            "airflow_version", "is required with `image`. State it as 3.1 or 2.10.4"
        )
    elif source.project.airflow_version is None:
        base = source.project.base_image
        raise ArgumentError(
            "airflow_version",
            f"is required: {source.project.directory / 'Dockerfile'}:{base.line} builds on "
            f"{base.reference}, whose tag does not say which Airflow it carries. State it as 3.1 or 2.10.4",
        )
    else:
        version = source.project.airflow_version
    if not runtime.is_supported(version):
        known = " and ".join(f"{major}.{AIRFLOW[major].oldest_minor}" for major in AIRFLOW)
        raise ArgumentError(
            "airflow_version", f"{version} cannot be deployed; Airflow from {known} on can"
        )
    return version


def _workloads(
    given: Arguments, facts: AirflowFacts, placement: spec.Placement
) -> dict[str, spec.Workload]:
    workloads = {}
    for process in facts.processes:
        key = process.component.replace("-", "_")
        if process.on_request and not given.has(key):
            continue
        args = given.section(key)
        workloads[process.component] = spec.Workload(
            replicas=args.number("replicas", 1, 1, 100),
            resources=read_resources(args, process.component),
            placement=read_placement(args, placement),
            pod_template=read_pod_template(args, Scope.PROCESS),
        )
    return workloads


def _worker_queues(given: Arguments, placement: spec.Placement) -> tuple[spec.WorkerQueue, ...]:
    grace_period = given.number("termination_grace_period_seconds", 600, 0, _WEEK)
    keda = given.section("autoscaling").plain_choice("type", "cpu", AutoscalingType)
    queues = []
    names: set[str] = set()
    for args in given.sections("worker_queues", [{"name": "default"}]):
        name = check_label(args.plain_text("name"), args.path("name"), 20)
        if name in names:
            raise ArgumentError(args.path("name"), f"there are two queues named {name!r}")
        names.add(name)
        minimum = args.plain_number("min_count", 1, 0, 1000)
        maximum = args.plain_number("max_count", minimum, 1, 1000)
        if maximum < minimum:
            raise ArgumentError(
                args.path("max_count"), f"must be at least `min_count`, which is {minimum}"
            )
        if minimum == 0 and maximum > 0 and keda != "keda":
            raise ArgumentError(
                args.path("min_count"),
                "must be at least 1: only KEDA starts workers from none. Set `autoscaling` to "
                'type "keda"',
            )
        queues.append(
            spec.WorkerQueue(
                name=name,
                concurrency=args.number("concurrency", 5, 1, 1000),
                min_count=minimum,
                max_count=maximum,
                resources=read_resources(args, "worker"),
                placement=read_placement(args, placement),
                pod_template=read_pod_template(args, Scope.QUEUE),
                termination_grace_period_seconds=args.number(
                    "termination_grace_period_seconds", 0, 0, _WEEK
                )
                if args.has("termination_grace_period_seconds")
                else grace_period,
            )
        )
    return tuple(queues)


def _autoscaling(args: Arguments) -> spec.Autoscaling:
    return spec.Autoscaling(
        type=args.plain_choice("type", "cpu", AutoscalingType),
        target_cpu_percent=args.number("target_cpu_percent", 70, 1, 1000),
        polling_interval=args.number("polling_interval_seconds", 10, 1, 3600),
        cooldown_period=args.number("cooldown_period_seconds", 300, 0, 3600),
    )


def _connections(given: Arguments) -> dict[str, spec.Connection]:
    connections = {}
    for key, args in given.named_sections("connections").items():
        _check_variable_key(key, given.path(f"connections[{key!r}]"))
        whole = [name for name in ("uri", "value_from") if args.has(name)]
        if len(whole) + args.has("type") != 1:
            raise ArgumentError(
                args.path("uri"), "give either `uri`, or `value_from`, or `type` and its fields"
            )
        texts = ("host", "schema", "login", "password")
        fields: dict[str, Any] = {
            **{name: args.optional_text(name) for name in texts},
            "extra": args.optional_text("extra", _check_json),
            "port": args.optional_number("port", 1, 65535),
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        if whole and fields:
            raise ArgumentError(
                args.path(next(iter(fields))), f"must not be given with `{whole[0]}`"
            )
        if args.has("type"):
            fields["conn_type"] = args.text("type")
        value_from = existing.read_reference(args, "value_from")
        connections[key] = spec.Connection(args.optional_text("uri"), value_from, fields)
    return _distinct(given, "connections", "AIRFLOW_CONN_", connections)


def _variables_from(given: Arguments) -> dict[str, spec.ValueFrom]:
    found = {}
    variables = {key.upper() for key in given.mapping("variables")}
    for key, args in given.named_sections("variables_from").items():
        path = given.path(f"variables_from[{key!r}]")
        _check_variable_key(key, path)
        if key.upper() in variables:
            raise ArgumentError(path, "is given in `variables` as well")
        found[key] = existing.value_from(args)
    return _distinct(given, "variables_from", "AIRFLOW_VAR_", found)


def _distinct(given: Arguments, argument: str, prefix: str, named: dict[str, T]) -> dict[str, T]:
    """Refuse names that differ only in case: Airflow reads both from one environment variable."""
    seen: dict[str, str] = {}
    for key in named:
        other = seen.setdefault(key.upper(), key)
        if other != key:
            raise ArgumentError(
                given.path(f"{argument}[{key!r}]"),
                f"and {other!r} differ only in case: Airflow reads both from {prefix}{key.upper()}",
            )
    return named


def _check_json(text: str, path: str) -> str:
    try:
        json.loads(text)
    except ValueError as error:
        raise ArgumentError(path, f"is not JSON: {error}") from None
    return text


def _check_variable_key(key: Any, path: str) -> None:
    """Connections and Variables reach Airflow as environment variables, whose names are upper-case."""
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z0-9_]+", key):
        raise ArgumentError(path, "must have a name of letters, digits and _ only")


def _database(
    args: Arguments, placement: spec.Placement
) -> spec.BackingService | spec.ExternalDatabase:
    yours = (
        *("port", "name", "username", "password", "login_from", "ssl_mode"),
        *("ca_certificate", "ca_certificate_from"),
    )
    if not _is_external(args, yours):
        return _backing_service(args, "postgresql", "postgres:17", "8Gi", placement)
    if args.has("host") and not args.has("login_from"):
        for key in ("username", "password"):
            if not args.has(key):
                raise ArgumentError(
                    args.path(key), "is required with `host`, or `login_from` in its place"
                )
    return spec.ExternalDatabase(
        **_address(args, 5432, _check_database_url),
        login_from=existing.read_login(args, "username"),
        name=args.text("name", "airflow"),
        ssl_mode=args.choice("ssl_mode", "require", SslMode)
        if args.has("ssl_mode") or args.has("host")
        else None,
    )


def _pgbouncer(given: Arguments, placement: spec.Placement) -> spec.PgBouncer:
    args = given.section("pgbouncer")
    return spec.PgBouncer(
        image=args.text("image", check=_check_image),
        replicas=args.number("replicas", 1, 1, 100),
        resources=read_resources(args, "pgbouncer"),
        placement=read_placement(args, placement),
        pool_size=args.number("pool_size", 20, 1, 10_000),
        max_client_connections=args.number("max_client_connections", 1000, 1, 1_000_000),
        settings=args.strings("settings", _check_pgbouncer_name, _check_pgbouncer_value),
    )


def _check_pgbouncer_name(name: str, path: str) -> None:
    if not re.fullmatch(r"[a-z_]+", name):
        raise ArgumentError(path, "is not the name of a setting of pgbouncer.ini")
    if problem := _OWN_PGBOUNCER_SETTINGS.get(name):
        raise ArgumentError(path, problem)


def _check_pgbouncer_value(value: str, path: str) -> str:
    if not value.strip() or "\n" in value:
        raise ArgumentError(path, "must be one line that is not empty")
    return value


def _broker(
    args: Arguments, placement: spec.Placement
) -> spec.BackingService | spec.ExternalBroker:
    yours = (
        *("port", "database", "username", "password", "login_from", "tls"),
        *("ca_certificate", "ca_certificate_from"),
    )
    if not _is_external(args, yours):
        return _backing_service(args, "redis", "redis:7", "1Gi", placement)
    check_url = _url_like(r"^rediss?://\S+$", "rediss://:password@host:6379/0")
    return spec.ExternalBroker(
        **_address(args, 6379, check_url),
        login_from=existing.read_login(args, None),
        database=args.number("database", 0, 0, 1000),
        tls=args.flag("tls"),
    )


def _url_like(pattern: str, example: str) -> Check[str]:
    """Return a check that refuses a URL of another form, and a login that would be read as something else."""

    def check(url: str, path: str) -> str:
        if not re.match(pattern, url):
            raise ArgumentError(path, f"must look like {example}")
        authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
        if "@" in url and "@" not in authority:
            raise ArgumentError(
                path,
                "has a /, ? or # in its user name or password: write it as %2F, %3F or %23, or give "
                "`host`, `username` and `password`, which are encoded for you",
            )
        return url

    return check


def _check_database_url(url: str, path: str) -> str:
    _url_like(r"^postgres(ql)?(\+\w+)?://[^/\s]+/\S+$", "postgresql://user:password@host/name")(
        url, path
    )
    options = " ".join(value for key, value in parse_qsl(urlsplit(url).query) if key == "options")
    if "search_path" in options:
        # asyncpg and PgBouncer know no `options`, and KEDA's query must find the same tables.
        raise ArgumentError(path, f"has a search_path in its `options`, which {SCHEMA}")
    return url


def _address(args: Arguments, port: int, check_url: Check[str]) -> dict[str, Any]:
    """The fields of `ExternalService`. `port` is the default."""
    texts = ("host", "username", "password")
    return {
        "url": args.optional_text("url", check_url),
        **{key: args.optional_text(key) for key in texts},
        "ca_certificate": existing.read_value(args, "ca_certificate"),
        "port": args.number("port", port, 1, 65535),
    }


def _is_external(args: Arguments, yours: tuple[str, ...]) -> bool:
    """Whether the service is the user's own; refuses arguments of the other kind."""
    if args.has("url") and args.has("host"):
        raise ArgumentError(args.path("host"), "must not be given with `url`")
    external = args.has("url") or args.has("host")
    embedded = (
        *("image", "storage_size", "storage_class", "resources", "placement"),
        "backup_before_downgrade",
    )
    for key in embedded:
        if external and args.has(key):
            raise ArgumentError(
                args.path(key), "is of the embedded service; `url` or `host` is not"
            )
    for key in yours:
        if not external and args.has(key):
            raise ArgumentError(args.path(key), "is of a service of yours; give its `host` too")
        if args.has("url") and args.has(key) and not key.startswith("ca_certificate"):
            raise ArgumentError(args.path(key), "must not be given with `url`, which says it")
    return external


def _backing_service(
    args: Arguments, component: str, image: str, storage_size: str, placement: spec.Placement
) -> spec.BackingService:
    return spec.BackingService(
        image=args.text("image", image, _check_image),
        storage_size=args.quantity("storage_size", storage_size),
        storage_class=args.optional_text("storage_class"),
        resources=read_resources(args, component),
        placement=read_placement(args, placement),
    )


def _exposure(given: Arguments) -> spec.Exposure:
    args = given.section("service")
    kind = args.plain_choice("type", "ClusterIP", ServiceType)
    if args.has("node_port") and kind != "NodePort":
        raise ArgumentError(args.path("node_port"), f"needs type NodePort, not {kind}")
    return spec.Exposure(
        type=kind,
        node_port=args.optional_number("node_port", 30000, 32767),
        annotations=args.strings("annotations"),
        base_url=_base_url(given),
        ingress=_ingress(given) if given.has("ingress") else None,
        http_route=_http_route(given) if given.has("http_route") else None,
    )


def _base_url(given: Arguments) -> pulumi.Input[str] | None:
    """Return the URL that people use, without a slash at its end. None if nothing says it."""
    service = given.section("service")
    if service.has("base_url"):
        return service.optional_text("base_url", _check_base_url)
    for key in ("http_route", "ingress"):
        if given.has(key):
            args = given.section(key)
            url: pulumi.Input[str] = computed(
                lambda https, host, path: f"http{'s' * https}://{host}{path}".rstrip("/"),
                args.flag("tls", True) if key == "http_route" else args.has("tls_secret"),
                args.text("host", check=_check_host),
                args.text("path", "/", _check_path),
            )
            return url
    return None


def _check_base_url(url: str, path: str) -> str:
    if not re.match(r"^https?://[^/\s]+", url):
        raise ArgumentError(path, f"{url!r} is not a URL such as https://...")
    return url.rstrip("/")


def _ingress(given: Arguments) -> spec.Ingress:
    args = given.section("ingress")
    return spec.Ingress(
        host=args.text("host", check=_check_host),
        path=args.text("path", "/", _check_path),
        class_name=args.optional_text("class_name"),
        tls_secret=args.optional_text("tls_secret"),
        annotations=args.strings("annotations"),
    )


def _http_route(given: Arguments) -> spec.HttpRoute:
    args = given.section("http_route")
    return spec.HttpRoute(
        gateway=args.text("gateway"),
        gateway_namespace=args.optional_text("gateway_namespace"),
        listener=args.optional_text("listener"),
        host=args.text("host", check=_check_host),
        path=args.text("path", "/", _check_path),
    )


def _check_host(host: str, path: str) -> str:
    if not _HOST.match(host):
        raise ArgumentError(path, f"{host!r} is not a host name such as airflow.acme.com")
    return host


def _check_path(url_path: str, path: str) -> str:
    if not url_path.startswith("/") or re.search(r"[\s?#]", url_path):
        raise ArgumentError(path, f"{url_path!r} must start with / and be a path only")
    return url_path


def _network_policies(args: Arguments) -> spec.NetworkPolicies:
    return spec.NetworkPolicies(
        enabled=args.plain_flag("enabled", True),
        webserver_from=tuple(args.mappings("webserver_from"))
        if args.has("webserver_from")
        else None,
        egress=tuple(args.mappings("egress")),
    )


def _remote_logging(given: Arguments) -> spec.RemoteLogging:
    args = given.section("remote_logging")
    if args.has("folder") == args.has("elasticsearch_host"):
        raise ArgumentError(args.path("folder"), "give either `folder` or `elasticsearch_host`")
    return spec.RemoteLogging(
        folder=args.optional_text("folder", _check_log_folder),
        connection_id=args.optional_text("connection_id"),
        encrypt_s3=args.flag("encrypt_s3"),
        elasticsearch_host=args.optional_text("elasticsearch_host"),
    )


def _check_log_folder(folder: str, path: str) -> str:
    if not _LOG_FOLDER.match(folder):
        raise ArgumentError(path, f"{folder!r} is not a folder such as s3://bucket/path")
    if folder.startswith("wasb:") and "@" in folder:
        raise ArgumentError(
            path,
            f"{folder!r} names an account, which belongs into the connection: wasb://container/path",
        )
    return folder


def _metrics(args: Arguments, placement: spec.Placement) -> spec.Metrics:
    ways = [key for key in ("statsd_host", "otel_host", "exporter_image") if args.has(key)]
    if len(ways) > 1:
        raise ArgumentError(args.path(ways[1]), f"must not be given with `{ways[0]}`")
    if args.plain_flag("service_monitor") and not args.has("exporter_image"):
        raise ArgumentError(args.path("service_monitor"), "needs `exporter_image`")
    for key in ("resources", "placement"):
        if args.has(key) and not args.has("exporter_image"):
            raise ArgumentError(args.path(key), "needs `exporter_image`")
    for key in ("statsd", "otel"):
        if args.has(f"{key}_port") and not args.has(f"{key}_host"):
            raise ArgumentError(args.path(f"{key}_port"), f"needs `{key}_host`")
    return spec.Metrics(
        statsd_host=args.optional_text("statsd_host"),
        statsd_port=args.number("statsd_port", 8125, 1, 65535),
        otel_host=args.optional_text("otel_host"),
        otel_port=args.number("otel_port", 4318, 1, 65535),
        exporter_image=args.optional_text("exporter_image", _check_image),
        service_monitor=args.plain_flag("service_monitor"),
        prefix=args.text("prefix", "airflow"),
        resources=read_resources(args, "statsd"),
        placement=read_placement(args, placement),
    )
