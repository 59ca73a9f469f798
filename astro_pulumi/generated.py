"""Values generated once and kept in the state: passwords, and the kind of the database."""

from typing import Any, Final

import pulumi
import pulumi_random as random

from astro_pulumi.errors import ArgumentError
from astro_pulumi.naming import object_name
from astro_pulumi.release import one_time
from astro_pulumi.spec import DeploymentSpec, EmbeddedService
from astro_pulumi.user_errors import shown_to_the_user

PASSWORDS: Final = ("fernet", "jwt", "api", "postgresql", "redis", "admin")


def generate_passwords(
    spec: DeploymentSpec, parent: pulumi.Resource
) -> dict[str, pulumi.Output[str]]:
    """Generate a password for each purpose, once: a new one would lock out the database or kill tasks.

    Returns:
        The passwords by purpose. The Fernet key is derived from one of them, since `RandomBytes` keeps its
        value in plain text in the state, as its id.
    """
    return {
        purpose: random.RandomPassword(
            object_name(spec.name, f"{purpose}-password"),
            length=48,
            special=False,
            opts=pulumi.ResourceOptions(parent=parent),
        ).result
        for purpose in PASSWORDS
    }


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
            with shown_to_the_user():
                raise ArgumentError(
                    "database",
                    f"was {known} and would become {kind}: the history of every run stays behind, "
                    "and an embedded database is deleted. Take a backup, then confirm the change: "
                    + one_time.confirm_database_change(spec.name, kind),
                )

    return marker.keepers.apply(check)


def database_kind(spec: DeploymentSpec) -> str:
    """Return the kind of the database: `embedded`, or `external` for one of the user's."""
    return "embedded" if isinstance(spec.database, EmbeddedService) else "external"
