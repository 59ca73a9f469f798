"""What DAG deploys add to pods: the files of the DAG bundle, and the key of the version that they follow."""

import hashlib
import json
from pathlib import PurePosixPath
from typing import Any, Final

from astro_pulumi.airflow.mounted_pod_files import DAG_FILE_PATHS, DAG_FILES
from astro_pulumi.airflow.version_differences import Process
from astro_pulumi.args.resources_and_placement import Resources
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.config_maps_and_secrets import AirflowEnvironment
from astro_pulumi.kubernetes.labels import Manifest
from astro_pulumi.kubernetes.pods import container_security, resources
from astro_pulumi.pod_files import astro_shared_names
from astro_pulumi.pulumi_inputs import computed

_FILES: Final = "dag-files"
_ARCHIVE: Final = "dag-archive"
# Groups of secrets that DAG code reads, of those that a user changes.
_READ_BY_DAGS: Final = ("connections", "user")
_PACKING: Final = Resources(
    requests={"cpu": "10m", "memory": "64Mi", "ephemeral-storage": "1Mi"},
    limits={"cpu": "1", "memory": "512Mi", "ephemeral-storage": "500Mi"},
)


def add_dag_bundle(
    spec: DeploymentSpec, pod: Manifest, process: Process, environment: AirflowEnvironment
) -> None:
    """Mount the files of the DAG bundle. Tell a process that follows a version the key of its pointer."""
    if not spec.dag_deploys:
        return
    _mount_files(pod, pod["containers"][0], environment)
    if process.follows_dags:
        add_key(pod, environment)


def add_key(pod: Manifest, environment: AirflowEnvironment) -> None:
    """Give Airflow's container the key of the version that it follows."""
    variable = {"name": astro_shared_names.DAGS_KEY, "value": _key(environment)}
    pod["containers"][0]["env"].append(variable)


def add_archive(pod: Manifest, environment: AirflowEnvironment) -> None:
    """Add an init container of the image with the DAGs, which packs them for the release Job."""
    target = astro_shared_names.DAG_ARCHIVE
    archive = {"name": _ARCHIVE, "mountPath": str(PurePosixPath(target).parent)}
    pack: Manifest = {
        "name": "dags",
        "image": environment.full_image,
        # No init of the image, which may look for a database, and no package that the user has installed.
        "command": ["python", "-ES", f"{astro_shared_names.DAG_FILES_PATH}/dag_pack.py", target],
        "resources": resources(_PACKING),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [archive],
    }
    _mount_files(pod, pack, environment)
    pod["initContainers"] = [*pod.get("initContainers", []), pack]
    pod["containers"][0]["volumeMounts"].append({**archive, "readOnly": True})
    pod["volumes"].append({"name": _ARCHIVE, "emptyDir": {}})


def _mount_files(pod: Manifest, container: Manifest, environment: AirflowEnvironment) -> None:
    container["volumeMounts"].append(
        {"name": _FILES, "mountPath": astro_shared_names.DAG_FILES_PATH, "readOnly": True}
    )
    if all(volume["name"] != _FILES for volume in pod["volumes"]):
        paths = {name: DAG_FILE_PATHS.get(name, name) for name in sorted(DAG_FILES.files)}
        items = [{"key": key, "path": path} for key, path in paths.items()]
        files = {"name": environment.files[DAG_FILES.name], "items": items}
        pod["volumes"].append({"name": _FILES, "configMap": files})


def _key(environment: AirflowEnvironment) -> Any:
    """Return what differs as soon as the image or the settings that DAG code reads differ.

    Whatever is in it restarts dag-processor and workers in any case. So a DAG that needs a new package or
    variable is never parsed by processes that do not have it.
    """
    sources = [
        *(f"{one.kind}" for one in environment.environment_from),
        *(name for group in _READ_BY_DAGS for name in environment.references.get(group, {})),
    ]
    names: list[Any] = [
        environment.image,
        environment.config,
        *(environment.secrets[group] for group in _READ_BY_DAGS if group in environment.secrets),
        *(one.name for one in environment.environment_from),
        *(
            part
            for group in _READ_BY_DAGS
            for value in environment.references.get(group, {}).values()
            for part in (value.name, value.key)
        ),
    ]

    def fingerprint(*known: str) -> str:
        return hashlib.sha256(json.dumps([*sources, *known]).encode()).hexdigest()[:32]

    return computed(fingerprint, *names)
