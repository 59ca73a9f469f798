"""Guard against replacing the database by accident, which would leave the history of every run behind."""

from typing import Any

import pulumi
import pulumi_random as random

from astro_pulumi.args.embedded_or_external import EmbeddedService
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.errors import ArgumentError, as_run_error
from astro_pulumi.naming import object_name
from astro_pulumi.release import deploy_flags


def check_database_change(
    spec: DeploymentSpec, confirmed: str | None, parent: pulumi.Resource
) -> pulumi.Output[None]:
    """Refuse to replace an embedded database by an external one, or the reverse, without confirmation.

    The `keepers` of a pulumi-random resource remember the kind. Changes of them are ignored, so that the
    resource keeps the kind that it was created with. A confirmed change replaces the resource.

    Args:
        spec: The Deployment.
        confirmed: The kind that the user allows a change to.
        parent: Parent of the resource.

    Returns:
        None, once the kind is known to be the same or confirmed. Otherwise the Output fails.
    """
    kind = database_kind(spec)
    ignored = [] if confirmed == kind else ["keepers"]
    marker = random.RandomPassword(
        object_name(spec.name, "database-kind"),
        length=16,
        special=False,
        keepers={"kind": kind},
        opts=pulumi.ResourceOptions(parent=parent, ignore_changes=ignored),
    )

    def check(keepers: Any) -> None:
        known = (keepers or {}).get("kind", kind)
        if kind not in (known, confirmed):
            with as_run_error():
                raise ArgumentError(
                    "database",
                    f"was {known} and would become {kind}: the history of every run stays behind, "
                    "and an embedded database is deleted. Take a backup, then confirm the change: "
                    + deploy_flags.confirm_database_change(spec.name, kind),
                )

    return marker.keepers.apply(check)


def database_kind(spec: DeploymentSpec) -> str:
    """Return the kind of the database: `embedded`, or `external` for one of the user's."""
    return "embedded" if isinstance(spec.database, EmbeddedService) else "external"
