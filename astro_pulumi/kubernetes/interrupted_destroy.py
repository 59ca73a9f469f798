"""After a `destroy` that was interrupted, the next `pulumi up` makes anew what Kubernetes goes on deleting.

Pulumi's state still has such an object, and `up` would call it unchanged. So objects carry the value of a
random string as their replacement trigger. A `destroy` deletes that string before the objects; the next `up`
makes another one, which replaces them.
"""

from collections.abc import Sequence

import pulumi
import pulumi_random as random

from astro_pulumi.naming import object_name


def replacement_trigger(
    deployment: str, stage: str, after: Sequence[pulumi.Resource], parent: pulumi.Resource
) -> pulumi.Output[str]:
    """Make the trigger of the objects that depend on `after`, and on nothing that is made later.

    A trigger is no dependency, so Pulumi deletes in the order of the longest path of dependencies below
    (`ScheduleDeletes` in its step generator). The first string lies as deep as the objects. The second
    depends on it and is deleted before they are.
    """
    level = _random_string(object_name(deployment, f"{stage}-level"), after, parent)
    return _random_string(object_name(deployment, f"{stage}-trigger"), [level], parent).result


def _random_string(
    name: str, after: Sequence[pulumi.Resource], parent: pulumi.Resource
) -> random.RandomString:
    opts = pulumi.ResourceOptions(parent=parent, depends_on=after)
    return random.RandomString(name, length=8, special=False, opts=opts)
