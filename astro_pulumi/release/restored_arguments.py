"""Which arguments a release keeps, and what a rollback takes from it.

A rollback restores what Airflow runs: image, queues, sizes, environment. It leaves alone where Airflow
runs and what holds its data: going back to last week's code must not move the database. Secrets are not
kept anywhere but in their Secrets, so they stay what the program says.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

import pulumi

from astro_pulumi.pulumi_inputs import with_integers

# Argument -> why a rollback takes it from the program and not from the release.
NOT_RESTORED: Final[Mapping[str, str]] = {
    "project": "the release has its image",
    "image": "the release has its image",
    "platform": "the release has its image",
    "build_secrets": "the release has its image",
    "airflow_version": "recorded with the image",
    "registry": "where images are pulled from, with a login",
    "namespace": "where it runs",
    "placement": "where it runs",
    "service_account_annotations": "who its pods are, in the cloud",
    "fixed_user_ids": "what the cluster admits",
    "secret_environment": "secret",
    "connections": "secret",
    "variables": "secret",
    "environment_from": "secret, and what it names may be gone",
    "variables_from": "secret, and what it names may be gone",
    "fernet_key": "reads what the database holds",
    "fernet_key_from": "reads what the database holds",
    "database": "holds the data",
    "pgbouncer": "how the database is reached",
    "broker": "holds the queued tasks",
    "service": "how people reach it",
    "ingress": "how people reach it",
    "http_route": "how people reach it",
    "network_policies": "how people reach it",
    "auth": "how people log in",
    "metrics": "who watches it",
    "remote_logging": "holds the logs, and may hold a login",
    "timeouts": "of this deploy",
    "rollback_to": "of this deploy",
    "database_downgrade": "of this deploy",
    "history_limit": "of the release records",
}
# What stands in a record for a secret.
_SECRET: Final = {"secret": True}


def recorded(args: Mapping[str, Any]) -> pulumi.Output[str]:
    """Return the arguments that a rollback restores, as JSON, with a mark in the place of each secret.

    The text is the same whether a value was given as it is, as an Output, or by another language.
    """
    return pulumi.Output.from_input(_replace_outputs(_restorable(args), _open)).apply(
        lambda known: json.dumps(with_integers(known), sort_keys=True, default=_enum_value)
    )


def _enum_value(member: Enum) -> Any:
    return member.value


def restored(args: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the program's arguments, with the restored ones replaced by those of a release.

    What the release does not have was not given, or did not exist yet: the default holds, as it did then.
    Only the secrets among them come from the program.
    """
    kept = {name: value for name, value in args.items() if name in NOT_RESTORED}
    return {**kept, **_fill_secrets(configuration, args)}


def fingerprint(configuration: pulumi.Output[str], source: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return eight hex digits that change with the content of a release.

    They are not a secret, even if the image's name is one.

    Args:
        configuration: The result of `recorded`.
        source: Content hash or reference of the image.
    """

    def digest(known: Sequence[str]) -> str:
        return hashlib.sha256(json.dumps([*known]).encode()).hexdigest()[:8]

    return pulumi.Output.unsecret(pulumi.Output.all(source, configuration).apply(digest))


def _restorable(args: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in args.items() if k not in NOT_RESTORED and v is not None}


def _replace_outputs(value: Any, replace: Callable[[pulumi.Output[Any]], Any]) -> Any:
    """Return a value with each Output in it replaced."""
    if isinstance(value, pulumi.Output):
        return replace(value)
    if isinstance(value, Mapping):
        return {key: _replace_outputs(item, replace) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_replace_outputs(item, replace) for item in value]
    return value


def _open(output: pulumi.Output[Any]) -> pulumi.Output[Any]:
    """Return the value of an Output, or a mark if it is secret."""

    async def is_known() -> bool:
        return await output.is_secret() or await output.is_known()

    async def value() -> Any:
        if await output.is_secret():
            return _SECRET
        return await output.future()

    async def not_secret() -> bool:
        return False

    return pulumi.Output(
        set(),
        asyncio.ensure_future(value()),
        asyncio.ensure_future(is_known()),
        asyncio.ensure_future(not_secret()),
    )


def _fill_secrets(recorded: Any, given: Any) -> Any:
    """Replace each mark by the given value; remove it if there is none."""
    if recorded == _SECRET:
        return given
    if isinstance(recorded, Mapping):
        others = given if isinstance(given, Mapping) else {}
        filled = {key: _fill_secrets(value, others.get(key)) for key, value in recorded.items()}
        return {key: value for key, value in filled.items() if value is not None}
    if isinstance(recorded, list):
        items = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else []
        return [
            _fill_secrets(value, items[index] if index < len(items) else None)
            for index, value in enumerate(recorded)
        ]
    return recorded
