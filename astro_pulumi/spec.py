"""What a Deployment is, validated: one typed value that everything downstream takes.

Raw arguments end here. Fields that are `pulumi.Input` may be Outputs; all others are plain and checked.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi

from astro_pulumi.airflow.facts import AIRFLOW, AirflowFacts
from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.args import (
    BrokerArgs,
    DatabaseArgs,
    DeploymentArgs,
    ProcessArgs,
    ProjectImageArgs,
    RegistryArgs,
    ServiceArgs,
    TimeoutArgs,
    WorkerQueueArgs,
)
from astro_pulumi.arguments import Arguments, check_label
from astro_pulumi.errors import ArgumentError
from astro_pulumi.project import Project, read_project

# Kubernetes names end at 63 characters; the longest suffix is "-dag-processor-" plus what a ReplicaSet
# and a pod add (10 + 1 + 5).
_LONGEST_NAME: Final = 30
_ENVIRONMENT_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


@dataclass(frozen=True, slots=True)
class Registry:
    """Where images live. `server` is None for Docker Hub."""

    repository: str
    server: str | None
    username: pulumi.Input[str] | None
    password: pulumi.Input[str] | None


@dataclass(frozen=True, slots=True)
class Size:
    """Replicas and limits of one kind of pod."""

    replicas: int
    cpu: str
    memory: str


@dataclass(frozen=True, slots=True)
class WorkerQueue:
    """One Celery queue."""

    name: str
    concurrency: int
    size: Size
    termination_grace_period_seconds: int


@dataclass(frozen=True, slots=True)
class BackingService:
    """Embedded PostgreSQL or Redis."""

    image: str
    storage_size: str
    storage_class: str | None


@dataclass(frozen=True, slots=True)
class ServiceExposure:
    """How the webserver is reached."""

    type: str
    node_port: int | None
    base_url: str | None


@dataclass(frozen=True, slots=True)
class ImageSource:
    """A project to build and the registry to push it to."""

    project: Project
    registry: Registry
    platform: str


@dataclass(frozen=True, slots=True)
class DeploymentSpec:
    """One Airflow environment. Times are in seconds."""

    name: str
    source: ImageSource | None  # None: `image` is given
    image: pulumi.Input[str] | None
    registry: Registry | None
    airflow_version: AirflowVersion
    facts: AirflowFacts
    namespace: pulumi.Input[str] | None  # None: make one
    processes: dict[str, Size]  # by component: "scheduler"
    worker_queues: tuple[WorkerQueue, ...]
    environment: dict[str, pulumi.Input[str]]
    secret_environment: dict[str, pulumi.Input[str]]
    database: BackingService
    broker: BackingService
    service: ServiceExposure
    description: str | None
    database_downgrade: str
    history_limit: int
    skip_dag_parse: bool
    release_job_timeout: int
    rollout_timeout: int

    @property
    def default_queue(self) -> WorkerQueue:
        """The queue of tasks that name none."""
        return self.worker_queues[0]


def specify_image(args: ProjectImageArgs) -> ImageSource:
    """Validates the arguments of `ProjectImage` and reads the project.

    :raises ArgumentError: naming the argument.
    :raises ProjectError: naming the file.
    """
    return _image_source(Arguments(args, ProjectImageArgs.__annotations__))


def specify(name: str, args: DeploymentArgs) -> DeploymentSpec:
    """Validates the arguments of the Deployment `name` and reads its project.

    :raises ArgumentError: naming the argument.
    :raises ProjectError: naming the file.
    """
    check_label(name, "name of the Deployment", _LONGEST_NAME)
    given = Arguments(args, DeploymentArgs.__annotations__)
    if given.has("project") == given.has("image"):
        raise ArgumentError(
            "project", "give either `project`, to build an image, or `image`, to deploy one"
        )
    source = _image_source(given) if given.has("project") else None
    registry = _registry(given) if given.has("registry") else None
    version = _airflow_version(given, source)
    timeouts = given.section("timeouts", TimeoutArgs.__annotations__)
    grace_period = given.number("termination_grace_period_seconds", 600, 0, 7 * 24 * 3600)
    return DeploymentSpec(
        name=name,
        source=source,
        image=given.input_text("image"),
        registry=registry,
        airflow_version=version,
        facts=AIRFLOW[version.major],
        namespace=given.input_text("namespace"),
        processes={
            "webserver": _size(given, "webserver", memory="2Gi"),
            "scheduler": _size(given, "scheduler"),
            "triggerer": _size(given, "triggerer"),
            "dag-processor": _size(given, "dag_processor"),
        },
        worker_queues=_worker_queues(given, grace_period),
        environment=given.strings("environment", _check_environment_name),
        secret_environment=given.strings("secret_environment", _check_environment_name),
        database=_backing_service(
            given.section("database", DatabaseArgs.__annotations__), "postgres:17", "8Gi"
        ),
        broker=_backing_service(
            given.section("broker", BrokerArgs.__annotations__), "redis:7", "1Gi"
        ),
        service=_service(given.section("service", ServiceArgs.__annotations__)),
        description=given.optional_text("description"),
        database_downgrade=given.choice("database_downgrade", "allow", ("allow", "refuse")),
        history_limit=given.number("history_limit", 50, 2, 1000),
        skip_dag_parse=given.flag("skip_dag_parse"),
        release_job_timeout=timeouts.number("release_job", 1800, 1),
        rollout_timeout=timeouts.number("rollout", 600, 1),
    )


def _image_source(given: Arguments) -> ImageSource:
    if not given.has("registry"):
        raise ArgumentError("registry", "is required with `project`: the image is pushed there")
    return ImageSource(
        project=read_project(Path(given.text("project"))),
        registry=_registry(given),
        platform=given.text("platform", "linux/amd64"),
    )


def _registry(given: Arguments) -> Registry:
    args = given.section("registry", RegistryArgs.__annotations__)
    repository = args.text("repository")
    last = repository.rsplit("/", 1)[-1]
    if ":" in last or "@" in repository:
        raise ArgumentError(
            args.path("repository"),
            f"{repository!r} must not carry a tag or digest: the tag is made from the content",
        )
    if repository != repository.lower():
        raise ArgumentError(args.path("repository"), f"{repository!r} must be lower-case")
    if args.has("username") != args.has("password"):
        missing = "password" if args.has("username") else "username"
        raise ArgumentError(args.path(missing), "is required: a login is a username and a password")
    host, slash, _ = repository.partition("/")
    is_host = slash and ("." in host or ":" in host or host == "localhost")
    return Registry(
        repository=repository,
        server=host if is_host else None,
        username=args.input_text("username"),
        password=args.input_text("password"),
    )


def _airflow_version(given: Arguments, source: ImageSource | None) -> AirflowVersion:
    if text := given.optional_text("airflow_version"):
        try:
            version = AirflowVersion.parse(text)
        except ValueError as error:
            raise ArgumentError("airflow_version", str(error)) from None
    elif source is None:
        raise ArgumentError(
            "airflow_version", "is required with `image`: state it as 3.1 or 2.10.4"
        )
    elif source.project.airflow_version is None:
        base = source.project.base_image
        raise ArgumentError(
            "airflow_version",
            f"is required: {source.project.directory / 'Dockerfile'}:{base.line} builds on "
            f"{base.reference}, whose tag does not say which Airflow it carries",
        )
    else:
        version = source.project.airflow_version
    if version.major not in AIRFLOW:
        known = " and ".join(str(major) for major in AIRFLOW)
        raise ArgumentError("airflow_version", f"{version} cannot be deployed; Airflow {known} can")
    return version


def _size(given: Arguments, key: str, memory: str = "1Gi") -> Size:
    args = given.section(key, ProcessArgs.__annotations__)
    return Size(
        args.number("replicas", 1, 1, 100),
        args.quantity("cpu", "2"),
        args.quantity("memory", memory),
    )


def _worker_queues(given: Arguments, grace_period: int) -> tuple[WorkerQueue, ...]:
    queues = []
    names: set[str] = set()
    for args in given.sections(
        "worker_queues", WorkerQueueArgs.__annotations__, [{"name": "default"}]
    ):
        name = args.label("name", longest=20)
        if name in names:
            raise ArgumentError(args.path("name"), f"there are two queues named {name!r}")
        names.add(name)
        queues.append(
            WorkerQueue(
                name=name,
                concurrency=args.number("concurrency", 5, 1, 1000),
                size=Size(
                    args.number("min_count", 1, 0, 1000),
                    args.quantity("cpu", "2"),
                    args.quantity("memory", "2Gi"),
                ),
                termination_grace_period_seconds=grace_period,
            )
        )
    return tuple(queues)


def _backing_service(args: Arguments, image: str, storage_size: str) -> BackingService:
    return BackingService(
        image=args.text("image", image),
        storage_size=args.quantity("storage_size", storage_size),
        storage_class=args.optional_text("storage_class"),
    )


def _service(args: Arguments) -> ServiceExposure:
    kind = args.choice("type", "ClusterIP", ("ClusterIP", "NodePort", "LoadBalancer"))
    node_port = None
    if args.has("node_port"):
        if kind != "NodePort":
            raise ArgumentError(args.path("node_port"), f"needs type NodePort, not {kind}")
        node_port = args.number("node_port", 30000, 30000, 32767)
    base_url = args.optional_text("base_url")
    if base_url and not re.match(r"^https?://[^/\s]+", base_url):
        raise ArgumentError(args.path("base_url"), f"{base_url!r} is not a URL such as https://...")
    return ServiceExposure(kind, node_port, base_url and base_url.rstrip("/"))


def _check_environment_name(name: Any, path: str) -> None:
    if not isinstance(name, str) or not _ENVIRONMENT_NAME.match(name):
        raise ArgumentError(
            path, "is not a name for an environment variable: letters, digits and _ only"
        )
