"""What outlives every deploy: generated passwords, and which database the history is in."""

import base64
import hashlib
import json
from typing import Any, Final

import pulumi
import pulumi_random as random

from astro_pulumi.errors import ArgumentError
from astro_pulumi.naming import object_name
from astro_pulumi.release import one_time
from astro_pulumi.spec import BackingService, DeploymentSpec, Registry
from astro_pulumi.user_errors import shown_to_the_user

PASSWORDS: Final = ("fernet", "jwt", "api", "postgresql", "redis", "admin")


def generate_passwords(
    spec: DeploymentSpec, parent: pulumi.Resource
) -> dict[str, pulumi.Output[str]]:
    """Made once and kept: a new one would lock out the database or kill every running task.

    No `RandomBytes`, though Fernet wants bytes: its id, which state keeps in plain text, is its value.
    The key is made from a password instead.
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


def namespace_suffix(deployment: str, parent: pulumi.Resource) -> random.RandomString:
    """Make the end of the namespace's name: two stacks may share a cluster.

    In the state before the namespace is made, unlike an automatic name: a deploy that was killed finds its
    namespace again.
    """
    return random.RandomString(
        object_name(deployment, "namespace-suffix"),
        length=8,
        upper=False,
        special=False,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def check_database_change(
    spec: DeploymentSpec, confirmed: str | None, parent: pulumi.Resource
) -> pulumi.Output[None]:
    """Fails when the state knows the database to be of the other kind and the change is not confirmed.

    The kind is kept by a resource of pulumi-random, whose `keepers` are ignored when they change: what
    it gives back is the kind that it was made with. With the change confirmed it is made anew.

    :param confirmed: the kind to which the user allows a change.
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
    """Return whose database it is: `embedded`, or `external` if the user brings it."""
    return "embedded" if isinstance(spec.database, BackingService) else "external"


def fernet_key(password: str) -> str:
    """Fernet's key is 32 bytes in url-safe base64; a password of 48 letters and digits holds 285 bits."""
    return base64.urlsafe_b64encode(hashlib.sha256(password.encode()).digest()).decode()


def docker_config(registry: Registry) -> pulumi.Output[str]:
    """The login to `registry`, in the form of a pull secret."""

    def config(known: list[Any]) -> str:
        server, username, password = known
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        login = {"username": username, "password": password, "auth": token}
        return json.dumps({"auths": {server or "https://index.docker.io/v1/": login}})

    return pulumi.Output.secret([registry.pull_server, registry.username, registry.password]).apply(
        config
    )
