"""Roll back: find the requested release, and deploy its image and configuration.

The record is read through the Deployment's own Kubernetes provider, so that it comes from the right cluster.
Everything else in a rollback is an ordinary deploy.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pulumi

from astro_pulumi import stack_config
from astro_pulumi.airflow.version import AirflowVersion
from astro_pulumi.args import DeploymentArgs
from astro_pulumi.args.images import Registry
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.errors import ArgumentError, ReleaseError
from astro_pulumi.kubernetes.pulumi_resources import VERSION
from astro_pulumi.pulumi_private_api import wait_for
from astro_pulumi.release import provenance
from astro_pulumi.release.find_release import ReleaseList, choose
from astro_pulumi.release.image_registry import basic_login, is_gone
from astro_pulumi.release.release_records import Release, current_name, parse_record, record_name
from astro_pulumi.release.restored_arguments import fingerprint, restored

# The program has no image then, and the Pulumi CLI starts the Docker provider to forget the old one.
_NO_DOCKER: Final = (
    "Where there is no Docker daemon, `pulumi up` needs --exclude '**docker:index/image:Image**'."
)


@dataclass(frozen=True, slots=True)
class Rollback:
    """A release to deploy again."""

    release: Release
    asked_for: str
    release_list: ReleaseList

    def arguments(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return the program's arguments, with the restored ones replaced by those of the release."""
        arguments = restored(args, self.release.configuration)
        arguments.pop("project", None)  # neither read nor built
        for name in self.release.configuration.keys() - DeploymentArgs.__annotations__.keys():
            pulumi.log.warn(
                f"{name}, which release {self.release.number} has, is no argument of this version of "
                "astro_pulumi: it is left out."
            )
            arguments.pop(name, None)
        return {
            **arguments,
            "image": self.release.image,
            "airflow_version": self.release.airflow_version,
        }

    @property
    def origin(self) -> dict[str, str]:
        """Entries of the new release's record about the rollback."""
        return {
            "restores": str(self.release.content_number),
            "rolledBackFrom": str(self.release_list.current),
            "askedFor": self.asked_for,
        }


def requested(deployment: str, args: Mapping[str, Any]) -> str | None:
    """Return the release that the stack's configuration or the argument asks for; None if none does."""
    configured = pulumi.Config(stack_config.NAMESPACE).get(stack_config.ROLLBACK_TO)
    wanted = stack_config.value_for(configured, deployment) if configured else None
    if wanted is not None:
        key = f"{stack_config.NAMESPACE}:{stack_config.ROLLBACK_TO}"
        pulumi.log.warn(
            f"{deployment} is pinned to release {wanted}: its image and configuration are deployed, "
            f"not those of the project. To deploy the project again: "
            f"`astro-pulumi deploy`, or `pulumi config rm {key}`. {_NO_DOCKER}"
        )
        return wanted
    given = args.get("rollback_to") if isinstance(args, Mapping) else None
    if given is None:
        return None
    if isinstance(given, int | float) and not isinstance(given, bool) and given == int(given):
        given = str(int(given))  # YAML: `rollbackTo: 3`
    if not isinstance(given, str) or not given:
        raise ArgumentError(
            "rollback_to", f"must be a release's number, `previous` or a digest, not {given!r}"
        )
    pulumi.log.warn(
        f"{deployment} is pinned to release {given} by the argument rollback_to: its image and "
        "configuration are deployed, not those of the project. " + _NO_DOCKER
    )
    return given


def release_content(
    configuration: pulumi.Output[str], spec: DeploymentSpec, rollback: Rollback | None
) -> pulumi.Output[str]:
    """Return the fingerprint of what is deployed: another one is another release."""
    return fingerprint(configuration, project_hash(spec, rollback) or spec.image or "")


def project_hash(spec: DeploymentSpec, rollback: Rollback | None) -> str | None:
    """Return the hash of the project that the image was built from; None if unknown."""
    if rollback:
        return rollback.release.project_hash
    return spec.source.project.content_hash if spec.source else None


def release_origin(
    spec: DeploymentSpec, rollback: Rollback | None, description: str | None
) -> dict[str, str]:
    """Return the record's entries about the origin of the release."""
    directory = spec.source.project.directory if spec.source else None
    return {
        **provenance.describe(directory, description),
        **(rollback.origin if rollback else {}),
    }


def require_image(rollback: Rollback, registry: Registry | None) -> None:
    """Check that the registry still has the image. Without an answer of the registry, nothing is checked.

    Raises:
        ReleaseError: The image is gone.
    """
    release = rollback.release
    running = rollback.release_list.releases[rollback.release_list.current]
    if release.digest == running.digest:
        return
    # The image that pods run is one of its own only with DAG deploys.
    images = [release.image, *([release.pods_image] if release.pods_image else [])]
    gone = [image for image in images if is_gone(image, _login(registry))]
    if not gone:
        return
    commit = str(release.git.get("commit", ""))[:7]
    source = f"its code again (git commit {commit})" if commit else "its code again"
    raise ReleaseError(
        f"The image of release {release.number}, {gone[0]}, is not in the registry any more. "
        f"Nothing was changed. Choose another release, or deploy {source}."
    )


def _login(registry: Registry | None) -> str | None:
    if registry is None or registry.username is None:
        return None
    username = wait_for(pulumi.Output.from_input(registry.username))
    password = wait_for(pulumi.Output.from_input(registry.password))
    return basic_login(username, password) if username and password else None


class _ConfigMap(pulumi.CustomResource):
    """A ConfigMap that is only read."""

    metadata: pulumi.Output[dict[str, Any]]
    data: pulumi.Output[dict[str, str]]

    def __init__(self, resource: str, id: str, parent: pulumi.Resource) -> None:
        super().__init__(
            "kubernetes:core/v1:ConfigMap",
            resource,
            {"metadata": None, "data": None},
            pulumi.ResourceOptions(id=id, parent=parent, version=VERSION),
        )


def read(
    deployment: str, wanted: str, namespace: pulumi.Output[str], parent: pulumi.Resource
) -> Rollback:
    """Read the record of a release. Waits for the cluster, because the arguments depend on the record."""
    where = wait_for(namespace)
    if where is None:
        raise ReleaseError(f"{deployment} was never deployed: there is no release to go back to.")
    name = current_name(deployment)
    current = _ConfigMap(f"{deployment}-releases", f"{where}/{name}", parent)
    with _explained(
        f"{deployment}: there is no release to go back to: ConfigMap {name} in {where}"
    ):
        release_list = ReleaseList.from_annotations(wait_for(current.metadata)["annotations"])
    number = choose(release_list, wanted)
    name = record_name(deployment, number)
    record = _ConfigMap(f"{deployment}-restored-release", f"{where}/{name}", parent)
    with _explained(f"The record of release {number}, ConfigMap {name} in {where}"):
        metadata, data = wait_for(record.metadata), wait_for(record.data)
    release = parse_record({"metadata": metadata, "data": data})
    if release is None:
        raise ReleaseError(
            f"The record of release {number}, ConfigMap {name}, was changed by hand."
        )
    return Rollback(release, wanted, release_list)


def downgrade_warning(rollback: Rollback, policy: str | None) -> str | None:
    """Return a warning if the rollback needs a downgrade of the database; None otherwise."""
    if rollback.release_list.airflow_version is None:
        return None
    to = AirflowVersion.parse(rollback.release.airflow_version)
    running = AirflowVersion.parse(rollback.release_list.airflow_version)
    if (to.major, to.minor) >= (running.major, running.minor):
        return None
    if policy == "refuse":
        return (
            f"going from Airflow {running} to {to} would need a downgrade of the database, which "
            'database_downgrade "refuse" forbids: the release Job will refuse it if that is so.'
        )
    without_date = (
        " But DAG runs without a logical date, as Airflow 3 makes them when somebody starts one, are taken "
        "out with their task instances: Airflow 2 has none such."
        if running.major >= 3 > to.major
        else ""
    )
    return (
        f"going from Airflow {running} to {to} downgrades the database. Airflow stops for it, after "
        "running tasks have finished. Airflow's downgrade drops the columns and tables that are new in "
        f"{running}, with what is in them; DAG runs, task instances, XComs, Connections and Variables stay."
        f"{without_date}"
    )


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Add the purpose to errors, which only name the object."""
    try:
        yield
    except Exception as error:
        raise ReleaseError(f"{what}, cannot be read: {error}") from error
