"""Read all arguments of a `Deployment`."""

import base64
from typing import Final

import pulumi

from astro_pulumi.airflow.environment_variables import check_environment_name, check_open_name
from astro_pulumi.airflow.version_differences import AIRFLOW
from astro_pulumi.args import DeploymentArgs
from astro_pulumi.args.enums import DatabaseDowngrade
from astro_pulumi.args.existing_secrets import ValueFrom
from astro_pulumi.deployment_spec import DeploymentSpec, ImageSource
from astro_pulumi.errors import ArgumentError
from astro_pulumi.pod_template_patch import Scope
from astro_pulumi.validation.argument_reader import Arguments, check_label
from astro_pulumi.validation.auth import read_auth
from astro_pulumi.validation.broker import read_broker
from astro_pulumi.validation.connections import (
    read_connections,
    read_variables,
    read_variables_from,
)
from astro_pulumi.validation.dag_deploys import check_dag_settings, read_dag_deploys
from astro_pulumi.validation.database import read_database, read_pgbouncer
from astro_pulumi.validation.existing_secrets import read_environment_from, read_value
from astro_pulumi.validation.images import (
    check_image,
    read_airflow_version,
    read_build_secrets,
    read_image_source,
    read_registry,
)
from astro_pulumi.validation.monitoring import read_metrics, read_remote_logging
from astro_pulumi.validation.networking import read_exposure, read_network_policies
from astro_pulumi.validation.resources_and_placement import read_placement, read_pod_template
from astro_pulumi.validation.workloads import read_autoscaling, read_processes, read_worker_queues

# Kubernetes names end at 63 characters; the longest suffix is "-dag-processor-" plus what a ReplicaSet
# and a pod add (10 + 1 + 5).
_LONGEST_NAME: Final = 30
_FERNET_KEY_BYTES: Final = 32


def specify(
    name: str, args: DeploymentArgs, *, may_lack_dags: bool = False, restores: bool = False
) -> DeploymentSpec:
    """Validate the arguments of a Deployment and read its project.

    Args:
        name: Name of the Deployment.
        args: Its arguments.
        may_lack_dags: Whether a project without DAGs is accepted.
        restores: Whether the arguments are those of an earlier release.

    Raises:
        ArgumentError: An argument is wrong; the message names it.
        ProjectError: A file of the project is wrong; the message names it.
    """
    check_label(name, "name of the Deployment", _LONGEST_NAME)
    given = Arguments(args, DeploymentArgs)
    source = _read_source(given, may_lack_dags)
    version = read_airflow_version(given, source)
    facts = AIRFLOW[version.major]
    dag_deploys = read_dag_deploys(given, version, source, restores=restores)
    timeouts = given.section("timeouts")
    placement = read_placement(given)
    database = given.section("database")
    environment, secret_environment = _read_environment(given, dag_deploys=dag_deploys)
    return DeploymentSpec(
        name=name,
        source=source,
        image=given.optional_text("image", check_image),
        registry=read_registry(given) if given.has("registry") else None,
        airflow_version=version,
        facts=facts,
        namespace=given.optional_text("namespace"),
        workloads=read_processes(given, facts, placement),
        worker_queues=read_worker_queues(given, placement),
        autoscaling=read_autoscaling(given.section("autoscaling")),
        environment=environment,
        secret_environment=secret_environment,
        environment_from=read_environment_from(given),
        connections=read_connections(given),
        variables=read_variables(given),
        variables_from=read_variables_from(given),
        fernet_key=_read_fernet_key(given),
        dag_deploys=dag_deploys,
        database=read_database(database, placement),
        pgbouncer=read_pgbouncer(given, placement) if given.has("pgbouncer") else None,
        backup_before_downgrade=database.plain_flag("backup_before_downgrade"),
        broker=read_broker(given.section("broker"), placement),
        exposure=read_exposure(given),
        auth=read_auth(given, facts),
        network_policies=read_network_policies(given.section("network_policies")),
        placement=placement,
        pod_template=read_pod_template(given, Scope.ALL),
        service_account_annotations=given.strings("service_account_annotations"),
        fixed_user_ids=given.plain_flag("fixed_user_ids"),
        remote_logging=read_remote_logging(given) if given.has("remote_logging") else None,
        log_retention_days=given.plain_number("log_retention_days", 0, 3650),
        metrics=read_metrics(given.section("metrics"), placement),
        database_downgrade=given.choice("database_downgrade", DatabaseDowngrade),
        history_limit=given.number("history_limit", 2, 1000),
        release_job_timeout=timeouts.number("release_job", 1),
        rollout_timeout=timeouts.number("rollout", 1),
    )


def _read_source(given: Arguments, may_lack_dags: bool) -> ImageSource | None:
    """Return the project to build. None if `image` is given."""
    if given.has("project") == given.has("image"):
        raise ArgumentError(
            "project", "give either `project`, to build an image, or `image`, to deploy one"
        )
    if given.has("project"):
        return read_image_source(given, frozenset({"AP501"}) if may_lack_dags else frozenset())
    read_build_secrets(given)  # checked even though nothing is built
    return None


def _read_environment(
    given: Arguments, *, dag_deploys: bool
) -> tuple[dict[str, pulumi.Input[str]], dict[str, pulumi.Input[str]]]:
    """Return the arguments `environment` and `secret_environment`."""
    plain = given.strings("environment", check_open_name)
    secret = given.strings("secret_environment", check_environment_name)
    if dag_deploys:
        for argument, names in (("environment", plain), ("secret_environment", secret)):
            check_dag_settings(names, argument)
    for key in secret:
        if key in plain:
            raise ArgumentError(f"secret_environment[{key!r}]", "is given in `environment` as well")
    return plain, secret


def _read_fernet_key(given: Arguments) -> pulumi.Input[str] | ValueFrom | None:
    """Return the Fernet key, or where it is. None if it is to be generated."""
    return read_value(given, "fernet_key", _check_fernet_key)


def _check_fernet_key(text: str, path: str) -> str:
    """Refuse what Airflow cannot use. The message does not show the key."""
    for key in text.split(","):
        try:
            size = len(base64.b64decode(key.strip(), altchars=b"-_", validate=True))
        except ValueError:
            size = 0
        if size != _FERNET_KEY_BYTES:
            raise ArgumentError(
                path,
                "must be a Fernet key, 32 bytes in url-safe base64, or two with a comma between them, the "
                "new one first. To make one: "
                'python -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"',
            )
    return text
