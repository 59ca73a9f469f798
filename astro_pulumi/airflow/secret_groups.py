"""Secrets of Airflow's processes, by group. `AirflowFacts.processes` name the groups of each process."""

from functools import partial
from typing import Any, Final

import pulumi

from astro_pulumi.airflow.database_and_broker_urls import composing_command, existing_login
from astro_pulumi.airflow.environment_variables import connections_and_variables, secret_settings
from astro_pulumi.args.existing_secrets import ValueFrom
from astro_pulumi.deployment_spec import DeploymentSpec
from astro_pulumi.pod_files import astro_shared_names
from astro_pulumi.pod_files.astro_urls_with_login import login_variable

ADMIN: Final = "admin"
# The key, in its Secret, of the URL that KEDA counts tasks by.
KEDA_CONNECTION: Final = "connection"


def secret_groups(
    spec: DeploymentSpec,
    generated: dict[str, pulumi.Output[str]],
    urls: dict[str, pulumi.Output[str]],
) -> dict[str, dict[str, Any]]:
    """Return the secret values by group and environment variable. A group without values has no Secret.

    Args:
        spec: The Deployment.
        generated: As `generate_secrets` returns them.
        urls: As `service_urls` returns them.
    """
    values: dict[str, Any] = {
        **urls,
        "fernet_key": generated["fernet"] if spec.fernet_key is None else spec.fernet_key,
        "jwt_secret": generated["jwt"],
        "api_secret_key": generated["api"],
    }
    groups = {
        group: _settings(spec, named, values) for group, named in spec.facts.secret_settings.items()
    }
    groups["connections"] = connections_and_variables(spec)
    groups["user"] = secret_settings(spec)
    if spec.has_admin:
        password = admin_password(spec, generated)
        groups[_admin_group(spec)] = {
            # Without a name the release Job creates no user.
            **({astro_shared_names.ADMIN_USERNAME: ADMIN} if _admin_group(spec) == "admin" else {}),
            **({} if password is None else {astro_shared_names.ADMIN_PASSWORD: password}),
        }
    if spec.keda_counts_tasks and existing_login(spec, "keda_database_url") is None:
        groups["keda"] = {KEDA_CONNECTION: values["keda_database_url"]}
    return {group: content for group, content in groups.items() if content}


def references(spec: DeploymentSpec) -> dict[str, dict[str, ValueFrom]]:
    """Return the existing Secrets and ConfigMaps with a value, by group and environment variable."""
    groups: dict[str, dict[str, ValueFrom]] = {
        group: _references(spec, named) for group, named in spec.facts.secret_settings.items()
    }
    given = {
        **{
            f"AIRFLOW_CONN_{key.upper()}": connection.value_from
            for key, connection in spec.connections.items()
        },
        **{f"AIRFLOW_VAR_{key.upper()}": value for key, value in spec.variables_from.items()},
    }
    own = {*spec.environment, *spec.secret_environment}  # these win
    groups["connections"] = {
        name: value for name, value in given.items() if value is not None and name not in own
    }
    if isinstance(spec.auth.admin_password, ValueFrom):
        groups[_admin_group(spec)] = {astro_shared_names.ADMIN_PASSWORD: spec.auth.admin_password}
    return {group: content for group, content in groups.items() if content}


def admin_password(
    spec: DeploymentSpec, generated: dict[str, pulumi.Output[str]]
) -> pulumi.Input[str] | None:
    """Return the password of the user `admin`; None if there is no such user or an existing Secret has it."""
    given = spec.auth.admin_password
    if not spec.has_admin or isinstance(given, ValueFrom):
        return None
    return generated["admin"] if given is None else given


def _settings(
    spec: DeploymentSpec, named: dict[str, str], values: dict[str, Any]
) -> dict[str, Any]:
    """Return the values of a group by variable, without those in existing Secrets."""
    settings: dict[str, Any] = {}
    for variable, name in named.items():
        value = values.get(name)
        if value is None or isinstance(value, ValueFrom):
            continue
        login = existing_login(spec, name)
        if login is None:
            settings[variable] = value
        else:
            settings[f"{variable}_CMD"] = value.apply(partial(composing_command, login[0]))
    return settings


def _references(spec: DeploymentSpec, named: dict[str, str]) -> dict[str, ValueFrom]:
    found: dict[str, ValueFrom] = {}
    for variable, name in named.items():
        if name == "fernet_key" and isinstance(spec.fernet_key, ValueFrom):
            found[variable] = spec.fernet_key
        if login := existing_login(spec, name):
            service, keys = login
            found |= {login_variable(service, part): key for part, key in keys.parts.items()}
    return found


def _admin_group(spec: DeploymentSpec) -> str:
    """Return the group of the admin's password: the webserver or the release Job reads it."""
    return "simple-auth" if spec.auth.manager == "simple" else "admin"
