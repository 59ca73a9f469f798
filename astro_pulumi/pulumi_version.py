"""The minimum version of the Pulumi CLI."""

from typing import Final

import pulumi
from pulumi.runtime import settings

from astro_pulumi.errors import PulumiError

# Resource hooks, which report the changes of a deploy, exist since 3.182.0. Since 3.219.0 the CLI reports its
# version to programs and reads `requiredPulumiVersion` of Pulumi.yaml. Older versions are indistinguishable.
OLDEST: Final = "3.219.0"


def require_pulumi() -> None:
    """Raise `PulumiError` if the CLI that runs the program is too old.

    Pulumi's mocks in unit tests of programs have no version, and are accepted.
    """
    if not hasattr(settings.get_engine(), "RequirePulumiVersion"):
        return
    try:
        pulumi.require_pulumi_version(f">={OLDEST}")
    except Exception as error:
        raise PulumiError(
            f"astro_pulumi needs Pulumi {OLDEST} or newer ({error}). Nothing was changed. "
            "Install a newer Pulumi CLI: https://www.pulumi.com/docs/install/"
        ) from error
