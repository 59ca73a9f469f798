"""Jobs of a deploy, which run once in Airflow's image and may call the Kubernetes API."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pulumi

from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.kubernetes.airflow_pods import airflow_template
from astro_pulumi.kubernetes.labels import Manifest, labels
from astro_pulumi.naming import object_name
from astro_pulumi.pulumi_inputs import computed


def job(
    spec: DeploymentSpec,
    component: str,
    pod: Manifest,
    deadline: pulumi.Input[int],
    annotations: Mapping[str, str] = MappingProxyType({}),
    *,
    patch: Mapping[str, Any] | None = None,
    starts_within: int | None = None,
) -> Manifest:
    """Build a Job of `pod`, with the service account of the component.

    Pulumi replaces the Job if its pod changes, and updates it in place if its `annotations` change.

    Args:
        spec: The Deployment.
        component: The component.
        pod: The pod's spec.
        deadline: Deadline in seconds.
        annotations: Annotations of the Job.
        patch: Patch of the pod template. Default: the patch for all Airflow pods.
        starts_within: Seconds until the pod runs, after which the Job fails. The pod then has to raise the
            Job's own deadline to `job_deadline(deadline)`. Default: the deadline.
    """
    # Otherwise the user reads only "exit code 1".
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
    # Also if a patch disables it for all Airflow pods: the Jobs call the Kubernetes API.
    template["spec"]["automountServiceAccountToken"] = True
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "labels": labels(spec.name, component),
            "annotations": {
                # Otherwise the next `up` would wait for a failed Job instead of replacing it.
                "pulumi.com/replaceUnready": "true",
                # The Job's own deadline ends it with a reason; Pulumi's timeout would not.
                "pulumi.com/timeoutSeconds": computed(lambda seconds: str(seconds + 120), deadline),
                **annotations,
            },
        },
        "spec": {
            "backoffLimit": 0,
            # Only if the pod never starts: this deadline deletes the pod with its log.
            "activeDeadlineSeconds": starts_within or job_deadline(deadline),
            "template": template,
        },
    }


def job_deadline(deadline: pulumi.Input[int]) -> pulumi.Input[int]:
    """Return the deadline in seconds of a Job whose pod has `deadline`."""
    seconds: pulumi.Input[int] = computed(lambda known: known + 60, deadline)
    return seconds
