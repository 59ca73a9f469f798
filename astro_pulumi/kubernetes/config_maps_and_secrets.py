"""The ConfigMaps and Secrets that pods with Airflow's image read, and how a pod refers to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

import pulumi

from astro_pulumi.airflow.database_and_broker_urls import certificates
from astro_pulumi.airflow.environment_variables import settings
from astro_pulumi.airflow.mounted_pod_files import FileSet
from astro_pulumi.airflow.secret_groups import references, secret_groups
from astro_pulumi.args.existing_secrets import EnvironmentFrom, ValueFrom
from astro_pulumi.deployment_spec import DeployedImages, DeploymentSpec
from astro_pulumi.kubernetes.labels import Manifest
from astro_pulumi.kubernetes.pulumi_resources import Objects
from astro_pulumi.kubernetes.service_accounts import airflow_account

# Names of Secrets that are not named after the group of settings in them.
_SECRET_NAMES: Final = {"user": "environment"}


_KINDS: Final = {"secret": "secret", "config_map": "configMap"}


@dataclass(frozen=True, slots=True)
class AirflowEnvironment:
    """Objects that Airflow pods refer to, by name. Names may be Outputs."""

    image: Any  # what pods run
    full_image: Any  # the image with the DAGs: another one with DAG deploys
    config: Any  # ConfigMap with settings
    files: dict[str, Any]  # `FileSet.name` -> ConfigMap
    secrets: dict[str, Any]  # group -> Secret; "user" is the user's own secret environment
    service_account: Any
    base_path: Any  # perhaps an Output
    certificates: tuple[Manifest, ...] = ()  # sources of a projected volume
    environment_from: tuple[EnvironmentFrom, ...] = ()  # existing Secrets and ConfigMaps
    # Group -> variable -> key of an existing object.
    references: Mapping[str, Mapping[str, ValueFrom]] = field(default_factory=dict)

    def sources(self, groups: tuple[str, ...]) -> list[Manifest]:
        """Entries of `envFrom`. Later ones win, so the user's own come last."""
        named = [self.secrets[group] for group in groups if group in self.secrets]
        user = [self.secrets["user"]] if "user" in self.secrets else []
        return [
            # Their keys are unknown, so they come first and cannot override the Deployment's settings.
            *map(environment_source, self.environment_from),
            *({"secretRef": {"name": name}} for name in named),
            {"configMapRef": {"name": self.config}},
            *({"secretRef": {"name": name}} for name in user),
        ]

    def variables(self, groups: tuple[str, ...]) -> list[Manifest]:
        """Return the variables whose values are in existing Secrets and ConfigMaps."""
        found: dict[str, ValueFrom] = {}
        for group in groups:
            found |= self.references.get(group, {})
        # Other languages send mappings in any order, and a changed order would roll the pods.
        return [variable_from(name, value) for name, value in sorted(found.items())]


def make_environment(
    spec: DeploymentSpec,
    objects: Objects,
    images: DeployedImages,
    generated: dict[str, pulumi.Output[str]],
    urls: dict[str, pulumi.Output[str]],
    pull_secret: pulumi.Output[str] | None,
) -> AirflowEnvironment:
    """Make the objects that Airflow's pods refer to.

    Args:
        spec: The Deployment.
        objects: Makes the objects.
        images: Digest references of the images.
        generated: The generated passwords by purpose.
        urls: The URLs of database and broker, as `service_urls` returns them.
        pull_secret: Name of the Secret with the registry's login.
    """
    groups = secret_groups(spec, generated, urls)
    config = objects.make_config_map("settings", settings(spec))
    account = objects.make("airflow", airflow_account(spec, pull_secret))
    return AirflowEnvironment(
        image=images.pods,
        full_image=images.full,
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


def environment_source(source: EnvironmentFrom) -> Manifest:
    """Return all keys of an existing object as an entry of `envFrom`."""
    prefix = {} if source.prefix is None else {"prefix": source.prefix}
    return {**prefix, f"{_KINDS[source.kind]}Ref": {"name": source.name}}


def variable_from(name: str, value: ValueFrom) -> Manifest:
    """Return a key of an existing object as an entry of `env`."""
    reference = {"name": value.name, "key": value.key}
    return {"name": name, "valueFrom": {f"{_KINDS[value.kind]}KeyRef": reference}}


def file_source(file: str, value: ValueFrom) -> Manifest:
    """Return a key of an existing object as a file of a projected volume."""
    items = [{"key": value.key, "path": file}]
    return {_KINDS[value.kind]: {"name": value.name, "items": items}}


@cache
def pod_files() -> dict[str, str]:
    """Return all files that run inside pods, by name."""
    folder = files("astro_pulumi") / "pod_files"
    return {
        file.name: file.read_text()
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.is_file()
    }
