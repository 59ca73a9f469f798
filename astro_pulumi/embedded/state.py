"""A stack's state: resources as Pulumi's checkpoint format, version 3, has them.

`ResourceState` is immutable, so that a state once written need not be written again. The file itself
(where, when, how often) is the business of `backend` and `journal`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final

from astro_pulumi.embedded import urns
from astro_pulumi.embedded.secrets import Crypter
from astro_pulumi.embedded.values import SECRET_SIGNATURE, SIGNATURE, Properties, Secret, Value
from astro_pulumi.errors import StateError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResourceState:
    """One resource as state has it. Field order and names follow Pulumi's `apitype.ResourceV3`."""

    urn: str
    custom: bool
    delete: bool = False  # replaced; to be deleted once its replacement is in place
    id: str = ""
    type: str
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    external: bool = False  # read, not managed
    dependencies: tuple[str, ...] = ()
    init_errors: tuple[str, ...] = ()
    provider: str = ""
    property_dependencies: Mapping[str, list[str]] = field(default_factory=dict)
    pending_replacement: bool = False  # deleted; to be created anew
    additional_secret_outputs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()  # while an update runs: the URN in the last one
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)
    import_id: str = ""
    retain_on_delete: bool = False
    deleted_with: str = ""
    replace_with: tuple[str, ...] = ()
    created: str = ""
    modified: str = ""
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    replacement_trigger: Value = None
    resource_hooks: Mapping[str, list[str]] = field(default_factory=dict)  # BeforeCreate: [names]
    # What Pulumi wrote and this engine has no use for; kept while the resource stays as it is.
    rest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The program's name for it."""
        return urns.name_of(self.urn)

    @property
    def is_provider(self) -> bool:
        """Whether it is a provider's own resource."""
        return urns.is_provider(self.type)

    def needs(self) -> set[str]:
        """URNs of the resources that must exist before and be deleted after this one."""
        found = {*self.dependencies, self.parent, self.deleted_with}
        for urn_list in self.property_dependencies.values():
            found.update(urn_list)
        if self.provider:
            found.add(urns.split_reference(self.provider)[0])
        return found - {""}


@dataclass(frozen=True, slots=True)
class Operation:
    """Something begun of which the end was not seen: `creating`, `updating`, `deleting`, `reading`."""

    kind: str
    resource: ResourceState


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stack's state at one moment."""

    resources: tuple[ResourceState, ...] = ()
    pending: tuple[Operation, ...] = ()


def now() -> str:
    """The time as state has it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def stack_outputs(snapshot: Snapshot) -> Properties:
    """What the program exported."""
    for resource in snapshot.resources:
        if resource.type == urns.STACK_TYPE and not resource.delete:
            return resource.outputs
    return {}


def _json_name(name: str) -> str:
    """`custom_timeouts` -> `customTimeouts`."""
    first, *rest = name.split("_")
    return "importID" if name == "import_id" else first + "".join(map(str.title, rest))


# What makes a checkpoint one of version 4, so that older engines refuse it: field -> feature.
_FEATURES: Final = {"resourceHooks": "hooks", "replaceWith": "replaceWith"}
_FIELDS: Final = {_json_name(f.name): f.name for f in fields(ResourceState)}
_ENCRYPTED: Final = {"inputs", "outputs", "replacementTrigger"}


def resource_to_json(resource: ResourceState, crypter: Crypter) -> dict[str, Any]:
    """A resource in checkpoint form, with its secrets encrypted."""
    result: dict[str, Any] = {}
    for name, attribute in _FIELDS.items():
        value = getattr(resource, attribute)
        if name == "rest":
            result.update(value)
        elif name in _ENCRYPTED:
            if value or value is False:
                result[name] = _encrypt(value, crypter)
        elif name != "aliases" and (value or name == "custom"):  # the names are the present ones
            result[name] = value
    return result


def resource_from_json(data: Mapping[str, Any], crypter: Crypter) -> ResourceState:
    """The reverse of `resource_to_json`."""
    known: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in data.items():
        if name not in _FIELDS or name == "rest":
            rest[name] = value
        elif name in _ENCRYPTED:
            known[_FIELDS[name]] = _decrypt(value, crypter)
        else:
            known[_FIELDS[name]] = tuple(value) if isinstance(value, list) else value
    known.setdefault("custom", False)
    return ResourceState(**known, rest=rest)


def checkpoint_to_json(
    stack: str, salt: str, version: str, resources: list[str], pending: list[tuple[str, str]]
) -> str:
    """A whole checkpoint, from its resources' JSON texts: those that did not change are not rendered
    again."""
    manifest = {
        "time": now(),
        "magic": hashlib.sha256(version.encode()).hexdigest(),
        "version": version,
    }
    providers = {"type": "passphrase", "state": {"salt": salt}}
    latest = f'"manifest":{compact(manifest)},"secrets_providers":{compact(providers)}'
    if resources:
        latest += f',"resources":[{",".join(resources)}]'
    if pending:
        operations = [f'{{"resource":{text},"type":"{kind}"}}' for kind, text in pending]
        latest += f',"pending_operations":[{",".join(operations)}]'
    # An input of such a name says so needlessly; that does no harm.
    used = (f for field, f in _FEATURES.items() if any(f'"{field}":' in r for r in resources))
    features = sorted(used)
    version_field = f'"version":4,"features":{compact(features)}' if features else '"version":3'
    name = compact(stack)
    return (
        f'{{{version_field},"checkpoint":{{"stack":{name},"latest":{{{latest},"metadata":{{}}}}}}}}'
    )


def checkpoint_salt(data: Mapping[str, Any]) -> str | None:
    """The salt that a checkpoint's secrets were encrypted with; refuses every other scheme."""
    providers = _latest(data).get("secrets_providers")
    if not providers:
        return None
    if providers["type"] != "passphrase":
        raise StateError(
            f"the stack's secrets are encrypted by the {providers['type']!r} secrets provider. The "
            "embedded engine knows only 'passphrase': install the Pulumi CLI to go on with this stack."
        )
    return str(providers["state"]["salt"])


def checkpoint_from_json(data: Mapping[str, Any], crypter: Crypter) -> Snapshot:
    """A checkpoint's resources and pending operations."""
    latest = _latest(data)
    return Snapshot(
        tuple(resource_from_json(item, crypter) for item in latest.get("resources") or ()),
        tuple(
            Operation(item["type"], resource_from_json(item["resource"], crypter))
            for item in latest.get("pending_operations") or ()
        ),
    )


def compact(value: Any) -> str:
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _latest(data: Mapping[str, Any]) -> Mapping[str, Any]:
    version, features = data.get("version"), {*(data.get("features") or ())}
    unknown = sorted(features - {*_FEATURES.values()})
    if unknown or version not in (3, 4):
        what = f"needs {', '.join(unknown)}" if unknown else f"has version {version}"
        raise StateError(
            f"the state file {what}, which the embedded engine cannot handle: install the Pulumi CLI to "
            "go on with this stack."
        )
    return data["checkpoint"].get("latest") or {}


def _encrypt(value: Value, crypter: Crypter) -> Any:
    if isinstance(value, Secret):
        if not value.ciphertext:
            ciphertext = crypter.encrypt(compact(_encrypt(value.value, crypter)))
            object.__setattr__(value, "ciphertext", ciphertext)  # the one thing that is not frozen
        return {SIGNATURE: SECRET_SIGNATURE, "ciphertext": value.ciphertext}
    if isinstance(value, dict):
        return {key: _encrypt(item, crypter) for key, item in value.items()}
    if isinstance(value, list):
        return [_encrypt(item, crypter) for item in value]
    return value


def _decrypt(value: Any, crypter: Crypter) -> Value:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            ciphertext = value["ciphertext"]
            return Secret(_decrypt(json.loads(crypter.decrypt(ciphertext)), crypter), ciphertext)
        return {key: _decrypt(item, crypter) for key, item in value.items()}
    if isinstance(value, list):
        return [_decrypt(item, crypter) for item in value]
    return value
