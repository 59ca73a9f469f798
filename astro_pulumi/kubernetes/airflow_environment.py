"""The ConfigMaps, Secrets and the service account that all pods with Airflow's image read."""

from typing import Final

import pulumi

from astro_pulumi.airflow.environment import settings
from astro_pulumi.airflow.file_sets import FileSet
from astro_pulumi.airflow.secrets import references, secret_groups
from astro_pulumi.airflow.urls import certificates
from astro_pulumi.kubernetes.accounts import airflow_account
from astro_pulumi.kubernetes.metadata import Manifest
from astro_pulumi.kubernetes.objects import Objects
from astro_pulumi.kubernetes.pods import AirflowEnvironment, file_source, pod_files
from astro_pulumi.spec import DeploymentSpec, ValueFrom

# Names of Secrets that are not named after the group of settings in them.
_SECRET_NAMES: Final = {"user": "environment"}


def make_environment(
    spec: DeploymentSpec,
    objects: Objects,
    image: pulumi.Output[str],
    passwords: dict[str, pulumi.Output[str]],
    urls: dict[str, pulumi.Output[str]],
    pull_secret: pulumi.Output[str] | None,
) -> AirflowEnvironment:
    """Make the objects that Airflow's pods refer to.

    Args:
        spec: The Deployment.
        objects: Makes the objects.
        image: Digest reference of the image.
        passwords: The generated passwords by purpose.
        urls: The URLs of database and broker, as `service_urls` returns them.
        pull_secret: Name of the Secret with the registry's login.
    """
    groups = secret_groups(spec, passwords, urls)
    config = objects.make_config_map("settings", settings(spec))
    account = objects.make("airflow", airflow_account(spec, pull_secret))
    return AirflowEnvironment(
        image=image,
        config=config.object_name,
        files={one.name: make_files(objects, one) for one in spec.file_sets},
        secrets={
            group: objects.make_secret(_SECRET_NAMES.get(group, group), content)
            for group, content in groups.items()
        },
        service_account=account.object_name,
        certificates=_certificate_sources(spec, objects),
        environment_from=spec.environment_from,
        references=references(spec),
        base_path=spec.exposure.base_path,
    )


def make_files(objects: Objects, given: FileSet) -> pulumi.Output[str]:
    """Make the ConfigMap with a set of our files. Return its name."""
    content = {file: pod_files()[file] for file in sorted(given.files)}
    return objects.make_config_map(given.name, content).object_name


def _certificate_sources(spec: DeploymentSpec, objects: Objects) -> tuple[Manifest, ...]:
    """Return the certificates of authorities, our own Secret and the user's, as sources of a volume."""
    given = certificates(spec)
    own = {file: text for file, text in given.items() if not isinstance(text, ValueFrom)}
    existing = [file_source(file, v) for file, v in given.items() if isinstance(v, ValueFrom)]
    made = [{"secret": {"name": objects.make_secret("certificates", own)}}] if own else []
    return (*made, *existing)
