"""The Jobs of a deploy, which run once in Airflow's image and may speak to the Kubernetes API."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pulumi

from astro_pulumi.inputs import computed
from astro_pulumi.kubernetes.metadata import Manifest, labels
from astro_pulumi.kubernetes.pods import airflow_template
from astro_pulumi.naming import object_name
from astro_pulumi.spec import DeploymentSpec


def job(
    spec: DeploymentSpec,
    component: str,
    pod: Manifest,
    deadline: pulumi.Input[int],
    annotations: Mapping[str, str] = MappingProxyType({}),
    *,
    patch: Mapping[str, Any] | None = None,
) -> Manifest:
    """Build the Job of `pod`, which runs as the component's own service account.

    Pulumi replaces the Job when its pod changes; `annotations` of the Job change in place.

    :param patch: of the pod template. By default that of all Airflow pods.
    """
    # Without it the user reads only "exit code 1".
    pod["containers"][0]["terminationMessagePolicy"] = "FallbackToLogsOnError"
    pod = {
        **pod,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": deadline,
        "serviceAccountName": object_name(spec.name, component),
    }
    template = airflow_template(
        labels(spec.name, component), pod, spec.pod_template if patch is None else patch
    )
    # Whatever a patch says for all Airflow pods: the Jobs speak to the Kubernetes API.
    template["spec"]["automountServiceAccountToken"] = True
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "labels": labels(spec.name, component),
            "annotations": {
                # A failed Job would be waited for again by the next `up` instead of made anew.
                "pulumi.com/replaceUnready": "true",
                # Its own deadline ends it with a reason; Pulumi's wait would end without one.
                "pulumi.com/timeoutSeconds": computed(lambda seconds: str(seconds + 120), deadline),
                **annotations,
            },
        },
        "spec": {
            "backoffLimit": 0,
            # Only where the pod never starts: it takes the pod, and its log, away.
            "activeDeadlineSeconds": computed(lambda seconds: seconds + 60, deadline),
            "template": template,
        },
    }
