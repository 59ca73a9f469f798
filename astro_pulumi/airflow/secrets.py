"""What Airflow's processes read from Secrets, by group: `AirflowFacts.processes` say who reads which."""

from typing import Any, Final

import pulumi

from astro_pulumi.airflow.environment import connections_and_variables, secret_settings
from astro_pulumi.kept import fernet_key, simple_auth_passwords
from astro_pulumi.spec import DeploymentSpec

ADMIN: Final = "admin"
# The key, in its Secret, of the URL that KEDA counts tasks by.
KEDA_CONNECTION: Final = "connection"


def secret_groups(
    spec: DeploymentSpec,
    passwords: dict[str, pulumi.Output[str]],
    urls: dict[str, pulumi.Output[str]],
) -> dict[str, dict[str, Any]]:
    """Group -> environment variable, or file name, -> value. A group without any has no Secret.

    :param passwords: as `generate_passwords` makes them.
    :param urls: as `service_urls` makes them.
    """
    values = {
        **urls,
        "fernet_key": passwords["fernet"].apply(fernet_key),
        "jwt_secret": passwords["jwt"],
        "api_secret_key": passwords["api"],
    }
    groups: dict[str, dict[str, Any]] = {
        group: {key: values[value] for key, value in named.items() if value in values}
        for group, named in spec.facts.secret_settings.items()
    }
    groups["connections"] = connections_and_variables(spec)
    groups["user"] = secret_settings(spec)
    if spec.auth_manager == "simple":
        groups["simple-auth"] = {"passwords": simple_auth_passwords(ADMIN, passwords["admin"])}
    else:  # a user in the database, which the release Job makes
        groups["admin"] = {
            "ASTRO_ADMIN_USERNAME": ADMIN,
            "ASTRO_ADMIN_PASSWORD": passwords["admin"],
        }
    if spec.keda_counts_tasks:
        groups["keda"] = {KEDA_CONNECTION: values["keda_database_url"]}
    return {group: content for group, content in groups.items() if content}
