"""The Job that runs the tests of the project in the new image, before the release Job."""

import base64
from dataclasses import replace
from typing import Any, Final

from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.airflow_pods import airflow_pod
from astro_pulumi.kubernetes.config_maps_and_secrets import AirflowEnvironment
from astro_pulumi.kubernetes.jobs import job
from astro_pulumi.kubernetes.labels import Manifest, labels
from astro_pulumi.naming import PYTEST
from astro_pulumi.pod_template_patch import without_secrets

# As in `pod_files/pytest_job.py`.
_ARCHIVE: Final = "tests.tar.gz"
_MOUNT: Final = "/run/astro-tests"


def tests_config_map(spec: DeploymentSpec, tests: bytes) -> Manifest:
    """Build the ConfigMap with the tests, for an image that does not contain them."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"labels": labels(spec.name, PYTEST)},
        "binaryData": {_ARCHIVE: base64.b64encode(tests).decode()},
    }


def pytest_job(
    spec: DeploymentSpec, environment: AirflowEnvironment, account: Any, tests: Any | None
) -> Manifest:
    """Build the Job. It reads the settings and no secret.

    Args:
        spec: The Deployment.
        environment: The image and the settings of its Airflow processes.
        account: A service account without rights and without an identity in a cloud.
        tests: Name of the ConfigMap with the tests, if the image does not contain them.
    """
    without_any = replace(
        environment,
        image=environment.full_image,
        secrets={},
        references={},
        environment_from=(),
        certificates=(),
    )
    pod = airflow_pod(
        spec, spec.facts.pytest_job, spec.parser_resources, spec.placement, without_any
    )
    if tests is not None:
        pod["volumes"].append({"name": "tests", "configMap": {"name": tests}})
        pod["containers"][0]["volumeMounts"].append(
            {"name": "tests", "mountPath": _MOUNT, "readOnly": True}
        )
    patch = without_secrets(spec.pod_template)
    made = job(spec, PYTEST, pod, spec.release_job_timeout, patch=patch)
    made["spec"]["template"]["spec"].update(
        serviceAccountName=account, automountServiceAccountToken=False
    )
    return made
