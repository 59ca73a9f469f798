"""Labels and annotations of a Deployment's objects."""

from typing import Any, Final

from astro_pulumi.pod_files import astro_shared_names

Manifest = dict[str, Any]

# Pulumi would wait until a pod behind a Service is ready, for ten minutes if a deploy stops earlier. The
# deploy waits for the workloads, which is enough.
SKIP_AWAIT: Final = {"pulumi.com/skipAwait": "true"}

# Makes Pulumi go on as soon as Kubernetes has begun a roll-out: a Job of ours watches it and says why it
# fails, which Pulumi's own wait does not. `skipAwait` would be shorter, but it also skips the wait for the
# end of the pods on deletion, and `destroy` would take the database away from workers that drain. A JSONPath
# that always matches works as well, but Pulumi shows it.
NOT_AWAITED: Final = {"pulumi.com/waitFor": "condition=Progressing"}

# Takes over an object that is in the cluster and not in the stack's state, as a deploy that was killed leaves
# it behind. Without it the next deploy ends in a conflict with the field manager of the killed one. Since
# 4.29 pulumi-kubernetes takes over nothing unless its `upsertExistingObjects` is set, and needs this as well.
ADOPTED: Final = {"pulumi.com/patchForce": "true"}
# A change of its value replaces the object. Not Pulumi's option `replacement_trigger`: with it a transform
# that returns the options it got fails (pulumi 3.272, `_transformation_resource_options`).
REPLACED_WITH: Final = astro_shared_names.PREFIX + "replaced-with"


def selector(deployment: str, component: str, **more: str) -> dict[str, str]:
    """Return the labels that select the pods of a workload. Immutable after creation."""
    return {
        astro_shared_names.NAME_LABEL: astro_shared_names.AIRFLOW,
        astro_shared_names.INSTANCE_LABEL: deployment,
        astro_shared_names.COMPONENT_LABEL: component,
        **more,
    }


def labels(deployment: str, component: str, **more: str) -> dict[str, str]:
    """Return the labels of every object of a Deployment."""
    return {
        **selector(deployment, component, **more),
        astro_shared_names.MANAGED_BY_LABEL: astro_shared_names.MANAGER,
        "app.kubernetes.io/part-of": deployment,
    }
