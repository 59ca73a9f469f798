"""Passwords and keys that are generated once and kept in the state, such as the Fernet key."""

import base64
import hashlib
from typing import Final

import pulumi
import pulumi_random as random

from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.naming import object_name

PURPOSES: Final = ("fernet", "jwt", "api", "postgresql", "redis", "admin")


def generate_secrets(
    spec: DeploymentSpec, parent: pulumi.Resource
) -> dict[str, pulumi.Output[str]]:
    """Generate a secret for each purpose, once: a new one would lock out the database or kill tasks.

    Returns:
        The secrets by purpose. The Fernet key is derived from a password, since `RandomBytes` keeps its value
        in plain text in the state, as its id.
    """
    generated = {
        purpose: random.RandomPassword(
            object_name(spec.name, f"{purpose}-password"),
            length=48,
            special=False,
            opts=pulumi.ResourceOptions(parent=parent),
        ).result
        for purpose in PURPOSES
    }
    return {**generated, "fernet": generated["fernet"].apply(_fernet_key)}


def _fernet_key(password: str) -> str:
    """Return a Fernet key, 32 bytes in URL-safe base64, for a generated password of 285 bits."""
    return base64.urlsafe_b64encode(hashlib.sha256(password.encode()).digest()).decode()
