"""The namespace of a Deployment that is given none."""

import pulumi
import pulumi_random as random

from astro_pulumi.kubernetes.interrupted_destroy import replacement_trigger
from astro_pulumi.kubernetes.labels import labels
from astro_pulumi.kubernetes.pulumi_resources import KubernetesObject
from astro_pulumi.naming import object_name


def make_namespace(deployment: str, parent: pulumi.Resource) -> pulumi.Output[str]:
    """Make a namespace with a random suffix, so that two stacks can share a cluster. Return its name.

    Unlike an automatic name, the suffix is in the state before the namespace exists: the next deploy finds
    the namespace of a deploy that was killed.
    """
    suffix = random.RandomString(
        object_name(deployment, "namespace-suffix"),
        length=8,
        upper=False,
        special=False,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": pulumi.Output.format("{0}-{1}", deployment, suffix.result),
            "labels": labels(deployment, "namespace"),
        },
    }
    trigger = replacement_trigger(deployment, "namespace", [suffix], parent)
    opts = pulumi.ResourceOptions(parent=parent)
    return KubernetesObject(deployment, manifest, opts, trigger).object_name
