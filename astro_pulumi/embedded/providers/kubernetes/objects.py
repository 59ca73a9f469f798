"""Kubernetes objects as plain dictionaries, and the way between them and Pulumi's properties."""

from collections.abc import Mapping
from typing import Any, Final

from astro_pulumi.embedded.values import Properties, Secret, Value, has_secret, reveal

# A Kubernetes object as JSON has it.
Object = dict[str, Any]

AUTONAMED: Final = "pulumi.com/autonamed"
SKIP_AWAIT: Final = "pulumi.com/skipAwait"
WAIT_FOR: Final = "pulumi.com/waitFor"
TIMEOUT_SECONDS: Final = "pulumi.com/timeoutSeconds"
REPLACE_UNREADY: Final = "pulumi.com/replaceUnready"
PATCH_FORCE: Final = "pulumi.com/patchForce"
FIELD_MANAGER: Final = "pulumi.com/patchFieldManager"
DELETION_PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"

# What pulumi-kubernetes adds to the live object in a resource's outputs.
INPUTS_KEY: Final = "__inputs"
INITIAL_API_VERSION_KEY: Final = "__initialApiVersion"
FIELD_MANAGER_KEY: Final = "__fieldManager"

# Pulumi's SDKs cannot name a property with dashes, so a CustomResourceDefinition's schema uses these.
_DASHED = {
    name.replace("-", "_"): name
    for name in (
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    )
}
_UNDERSCORED = {dashed: name for name, dashed in _DASHED.items()}


def dig(value: Any, *path: str | int) -> Any:
    """The value at `path` inside nested dictionaries and lists, `None` where there is nothing."""
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def name_of(obj: Object) -> str:
    """The object's name; empty when it has none or a preview does not know it."""
    name = dig(obj, "metadata", "name")
    return name if isinstance(name, str) else ""


def namespace_of(obj: Object) -> str:
    """The object's namespace; empty when it has none or a preview does not know it."""
    namespace = dig(obj, "metadata", "namespace")
    return namespace if isinstance(namespace, str) else ""


def annotation(obj: Object, key: str) -> str:
    """The annotation `key`, empty when it is not set."""
    value = dig(obj, "metadata", "annotations", key)
    return value if isinstance(value, str) else ""


def is_annotated(obj: Object, key: str) -> bool:
    """Whether the annotation `key` is "true"."""
    return annotation(obj, key) == "true"


def condition(obj: Object, type_: str) -> Object:
    """The entry of `.status.conditions` of this type, empty when there is none."""
    for entry in dig(obj, "status", "conditions") or []:
        if entry.get("type") == type_:
            return dict(entry)
    return {}


def object_id(obj: Object) -> str:
    """Pulumi's ID of an object: `namespace/name`, or the name alone."""
    namespace = namespace_of(obj)
    return f"{namespace}/{name_of(obj)}" if namespace else name_of(obj)


def split_id(id: str) -> tuple[str, str]:
    """`namespace/name` -> (namespace, name); the namespace is empty for cluster-wide kinds."""
    namespace, _, name = id.rpartition("/")
    return namespace, name


def describe(obj: Object) -> str:
    """`Deployment airflow/worker`, for messages."""
    return f"{obj.get('kind', 'object')} {object_id(obj)}"


def to_object(properties: Value) -> Object:
    """Properties -> a Kubernetes object: no secret marks, dashed keys. `UNKNOWN` stays."""
    renamed = _rename(reveal(properties), _DASHED)
    return renamed if isinstance(renamed, dict) else {}


def to_properties(obj: Object) -> Properties:
    """The reverse of `to_object`; nothing is marked secret."""
    renamed: Properties = _rename(obj, _UNDERSCORED)
    return renamed


def checkpoint(inputs: Object, live: Object, given: Properties, manager: str) -> Properties:
    """What is kept of an object in state: the live object, the inputs that made it, secrets marked.

    `given` are the inputs as the program gave them: whatever was secret in them is secret here.
    """
    outputs, kept_inputs = to_properties(live), to_properties(inputs)
    mark_secrets(outputs, given)
    mark_secrets(kept_inputs, given)
    outputs[INPUTS_KEY] = kept_inputs
    outputs[INITIAL_API_VERSION_KEY] = inputs.get("apiVersion", "")
    outputs[FIELD_MANAGER_KEY] = manager
    return outputs


def split_checkpoint(outputs: Properties) -> tuple[Object, Object]:
    """State -> (the inputs that made the object, the live object)."""
    live = to_object(outputs)
    inputs = live.pop(INPUTS_KEY, None) or {}
    return inputs, live


def mark_secrets(outputs: Properties, given: Value) -> None:
    """Marks in `outputs` what is secret in `given`, in place.

    A secret anywhere in a list makes the whole list secret, since lists may be reordered. The data of
    a `Secret` is always secret.
    """
    if outputs.get("kind") == "Secret":
        for key in ("data", "stringData"):
            if key in outputs and not isinstance(outputs[key], Secret):
                outputs[key] = Secret(outputs[key])
        return
    if not isinstance(given, dict):
        return
    for key, value in given.items():
        if key not in outputs:
            continue
        output = outputs[key]
        if isinstance(output, dict) and isinstance(value, dict):
            mark_secrets(output, value)
        elif not isinstance(output, Secret) and has_secret(value):
            outputs[key] = Secret(output)


def _rename(value: Value, names: Mapping[str, str]) -> Any:
    """A deep copy of `value` with keys replaced by `names`."""
    if isinstance(value, dict):
        return {names.get(key, key): _rename(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_rename(item, names) for item in value]
    return value
