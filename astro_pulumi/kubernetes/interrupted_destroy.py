"""Recreate objects that an interrupted `destroy` left in deletion.

Pulumi's state still has such an object, and `up` would call it unchanged. So objects have the value of a
random string in an annotation whose change replaces them. A `destroy` deletes that string before the
objects; the next `up` creates another string, which replaces the objects.
"""

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_random as random

from astro_pulumi.naming import object_name


def replacement_trigger(
    deployment: str, group: str, after: Sequence[pulumi.Resource], parent: pulumi.Resource
) -> pulumi.Output[str]:
    """Create the value that replaces the objects that depend on `after`, or on one more object of the group.

    The value comes without the dependency on its string. Pulumi deletes in the order of the longest path of
    dependencies below, and what is equally deep at the same time (`ScheduleDeletes` in its step generator).
    The first string is as deep as an object that depends on `after`, the second as one that depends on that
    object. The third depends on the second and is deleted before them all.
    """
    first = _random_string(object_name(deployment, f"{group}-level-1"), after, parent)
    second = _random_string(object_name(deployment, f"{group}-level-2"), [first], parent)
    trigger = _random_string(object_name(deployment, f"{group}-trigger"), [second], parent)

    async def value() -> Any:
        known = await trigger.result.future()
        # The preview of a new string does not know it.
        return pulumi.Output.from_input(pulumi.UNKNOWN) if known is None else known

    return pulumi.Output.from_input(value())


def _random_string(
    name: str, after: Sequence[pulumi.Resource], parent: pulumi.Resource
) -> random.RandomString:
    opts = pulumi.ResourceOptions(parent=parent, depends_on=after)
    return random.RandomString(name, length=8, special=False, opts=opts)
