"""One immutable record of each successful deploy, kept in the cluster.

A record is a ConfigMap `<deployment>-release-<number>`. The release Job, which sees all records, assigns the
number, so that no number is used twice. The ConfigMap `<deployment>-release` names the current release and
lists the others. It is the only object whose name a program knows in advance.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import pulumi

from astro_pulumi.deployment_spec import DeployedImages
from astro_pulumi.errors import ReleaseError
from astro_pulumi.kubernetes.labels import Manifest, labels
from astro_pulumi.pod_files import astro_shared_names

COMPONENT: Final = astro_shared_names.RELEASE
CURRENT_COMPONENT: Final = "current-release"
FINDINGS: Final = astro_shared_names.FINDINGS
NUMBER: Final = astro_shared_names.RELEASE_NUMBER
RESTORES: Final = astro_shared_names.PREFIX + "restores"
ASKED_FOR: Final = astro_shared_names.PREFIX + "asked-for"
AIRFLOW_VERSION: Final = astro_shared_names.AIRFLOW_VERSION
RELEASES: Final = astro_shared_names.PREFIX + "releases"


@dataclass(frozen=True, slots=True)
class Release:
    """A release, as its record describes it."""

    number: int
    image: str
    airflow_version: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, str | None] = field(default_factory=dict)
    dags: tuple[str, ...] | None = None  # None: not parsed, or too many to record
    project_hash: str | None = None
    project: str | None = None  # the project, see `changes.serialized`
    # With DAG deploys: the image that pods run, the version of the DAGs, and "dags" or "image".
    pods_image: str | None = None
    dag_version: str | None = None
    deploy: str | None = None
    description: str | None = None
    git: Mapping[str, Any] = field(default_factory=dict)
    by: Mapping[str, str] = field(default_factory=dict)
    restores: int | None = None
    rolled_back_from: int | None = None
    created: str = ""  # creation time of the ConfigMap, not part of the record
    name: str = ""

    @property
    def digest(self) -> str:
        """Digest of the image, `sha256:...`; the whole reference if it has none."""
        return self.image.rpartition("@")[2]

    @property
    def pods_digest(self) -> str:
        """Digest of the image that pods run."""
        return (self.pods_image or self.image).rpartition("@")[2]

    @property
    def content_number(self) -> int:
        """Number of the release whose content this one has: its own, or the one that it restored."""
        return self.restores or self.number


def record_name(deployment: str, number: int | str) -> str:
    """Return the name of a release's record."""
    return f"{deployment}-{COMPONENT}-{number}"


def current_name(deployment: str) -> str:
    """Return the name of the ConfigMap that names the current release."""
    return f"{deployment}-{COMPONENT}"


def release_record(
    deployment: str,
    *,
    images: DeployedImages,
    airflow_version: str,
    project_hash: str | None,
    project: str | None,
    configuration: Any,
    origin: Any,
    findings: Any,
) -> Manifest:
    """Build the record of a release. It holds no secrets, and no time other than the ConfigMap's.

    Args:
        deployment: Name of the Deployment.
        images: Digest references of the images.
        airflow_version: Version in the arguments, used if the release Job found none.
        project_hash: Hash of the project's content, if known.
        project: The project, as `changes.serialized` returns it.
        configuration: The arguments that a rollback restores, as JSON. May be an Output.
        origin: Result of `origin.describe`. May be an Output.
        findings: The findings of the release Job. May be an Output.
    """

    def data(known: list[Any]) -> dict[str, str]:
        image, pods_image, configuration, origin, findings = known
        dags = findings.get("dags")
        dag_version = findings.get("dagVersion")
        return {
            "number": str(findings["number"]),
            "image": image,
            "airflowVersion": str(findings.get("airflow") or airflow_version),
            "configuration": configuration,
            "heads": json.dumps(findings.get("heads", {}), sort_keys=True),
            **({"dags": json.dumps(dags)} if dags is not None else {}),
            **({"podsImage": pods_image, "dagVersion": dag_version} if dag_version else {}),
            **({"deploy": findings["deploy"]} if "deploy" in findings else {}),
            **({"projectHash": project_hash} if project_hash else {}),
            **({"project": project} if project else {}),
            **origin,
        }

    number = pulumi.Output.from_input(findings).apply(lambda found: str(found["number"]))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": number.apply(lambda number: record_name(deployment, number)),
            "labels": {**labels(deployment, COMPONENT), NUMBER: number},
        },
        "immutable": True,
        "data": pulumi.Output.all(images.full, images.pods, configuration, origin, findings).apply(
            data
        ),
    }


def current_release(deployment: str, *, origin: Any, image: Any, findings: Any) -> Manifest:
    """Build the ConfigMap that names the current release, in annotations, which can change in place."""

    def annotations(known: list[Any]) -> dict[str, str]:
        image, origin, findings = known
        restores = {"restores": origin["restores"]} if origin.get("restores") else {}
        own = {"image": image.partition("@")[2], **restores}
        releases = {**findings.get("releases", {}), str(findings["number"]): own}
        return {
            NUMBER: str(findings["number"]),
            RELEASES: json.dumps(releases, sort_keys=True),
            **({AIRFLOW_VERSION: findings["airflow"]} if "airflow" in findings else {}),
            **({RESTORES: origin["restores"]} if origin.get("restores") else {}),
            **({ASKED_FOR: origin["askedFor"]} if origin.get("askedFor") else {}),
        }

    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": current_name(deployment),
            "labels": labels(deployment, CURRENT_COMPONENT),
            "annotations": pulumi.Output.all(image, origin, findings).apply(annotations),
        },
    }


def title(deployment: str, origin: Any, findings: Any) -> Any:
    """Return the title of the Airflow UI: `analytics, release 7 (3f2a91c)`."""

    def text(known: list[Any]) -> str:
        origin, findings = known
        git: Mapping[str, Any] = json.loads(origin.get("git", "{}"))
        commit = str(git.get("commit", ""))[:7] + ("+" if git.get("dirty") else "")
        suffix = f" ({commit})" if git.get("commit") else ""
        return f"{deployment}, release {findings['number']}{suffix}"

    return pulumi.Output.all(origin, findings).apply(text)


def read_findings(metadata: Mapping[str, Any] | None) -> Any:
    """Return the findings in the annotations of the release Job. They are unknown in a preview of a new Job.

    The result is a read-only view because Pulumi takes it as one value. Pulumi makes an Output for each item
    of a dictionary, such as each DAG id, whenever it is combined with another Output.
    """
    text = ((metadata or {}).get("annotations") or {}).get(FINDINGS)
    if text is not None:
        return MappingProxyType(json.loads(text))
    if pulumi.runtime.is_dry_run():
        return pulumi.Output.from_input(pulumi.UNKNOWN)
    raise ReleaseError("The release Job has ended without findings. Was it changed while it ran?")


def parse_record(config_map: Mapping[str, Any]) -> Release | None:
    """Parse a ConfigMap of Kubernetes; return None if it is not a record."""
    data: Mapping[str, str] = config_map.get("data") or {}
    metadata = config_map.get("metadata") or {}
    number, image = data.get("number", ""), data.get("image")
    if not number.isdigit() or not image:
        return None
    dags = json.loads(data["dags"]) if "dags" in data else None
    return Release(
        number=int(number),
        image=image,
        airflow_version=data.get("airflowVersion", ""),
        configuration=json.loads(data.get("configuration", "{}")),
        heads=json.loads(data.get("heads", "{}")),
        dags=None if dags is None else tuple(dags),
        project_hash=data.get("projectHash"),
        project=data.get("project"),
        pods_image=data.get("podsImage"),
        dag_version=data.get("dagVersion"),
        deploy=data.get("deploy"),
        description=data.get("description"),
        git=json.loads(data.get("git", "{}")),
        by=json.loads(data.get("by", "{}")),
        restores=number_or_none(data.get("restores")),
        rolled_back_from=number_or_none(data.get("rolledBackFrom")),
        created=str(metadata.get("creationTimestamp") or ""),
        name=str(metadata.get("name") or ""),
    )


def parse_records(config_maps: Sequence[Mapping[str, Any]]) -> list[Release]:
    """Parse all valid records, the newest first."""
    releases = [release for item in config_maps if (release := parse_record(item))]
    return sorted(releases, key=lambda release: release.number, reverse=True)


def number_or_none(text: str | None) -> int | None:
    """Parse a number of a record; return None for anything else."""
    return int(text) if text and text.isdigit() else None
