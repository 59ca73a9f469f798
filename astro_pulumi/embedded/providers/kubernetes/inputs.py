"""Inputs as the provider keeps them: named, in a namespace, and in the form the API server gives back.

pulumi-kubernetes passes an object through Kubernetes' Go types, which drops empty fields and rewrites
quantities. Without those types the fields that need it are named here; the API server does the same
to what it stores, so a field missing from these lists shows up as a difference that never goes away.
"""

import base64
import binascii
import hashlib
from fractions import Fraction
from typing import Any, Final

from astro_pulumi.embedded.providers.kubernetes.kinds import is_builtin, words
from astro_pulumi.embedded.providers.kubernetes.objects import (
    AUTONAMED,
    Object,
    is_annotated,
    name_of,
)
from astro_pulumi.embedded.values import UNKNOWN, has_unknown

_READ_ONLY_METADATA: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)

_ANNOTATIONS_OF_OTHERS: Final = (
    "deployment.kubernetes.io/revision",
    "kubectl.kubernetes.io/last-applied-configuration",
)

# Maps from a string of the user's to a string: their values are never touched.
_STRING_MAPS: Final = words(
    """
    annotations binaryData data labels matchLabels nodeSelector parameters selector stringData
    """
)
_QUANTITY_MAPS: Final = words(
    """
    capacity default defaultRequest hard limits max maxLimitRequestRatio min overhead requests
    """
)
_QUANTITIES: Final = words("averageValue divisor sizeLimit")
# Fields that mean something when they are empty; every other empty string or list is dropped.
_MEANINGFUL_WHEN_EMPTY: Final = words(
    """
    apiGroup ingressClassName loadBalancerClass rules runtimeClassName storageClassName
    """
)
_FALSE_BY_DEFAULT: Final = words(
    """
    hostIPC hostNetwork hostPID paused publishNotReadyAddresses readOnly stdin stdinOnce tty
    unschedulable
    """
)
_ZERO_BY_DEFAULT: Final = words(
    """
    failureThreshold hostPort initialDelaySeconds minReadySeconds nodePort periodSeconds
    successThreshold timeoutSeconds
    """
)

_BINARY_SUFFIXES: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL_SUFFIXES: Final = {
    "E": 18,
    "P": 15,
    "T": 12,
    "G": 9,
    "M": 6,
    "k": 3,
    "": 0,
    "m": -3,
    "u": -6,
    "n": -9,
}


def assign_name(new: Object, old: Object, resource_name: str, random_seed: bytes) -> None:
    """Gives `new` a name when the program gave none: the one it has, or `<resource>-<8 hex>`.

    The hex digits follow from the seed, as Pulumi's do, but are not the same digits.
    """
    metadata = new.setdefault("metadata", {})
    if metadata is UNKNOWN or metadata.get("name") or metadata.get("generateName"):
        return
    if old:
        if not is_annotated(old, AUTONAMED):
            return
        metadata["name"] = name_of(old)
    else:
        digest = hashlib.sha256(random_seed + resource_name.encode()).hexdigest()
        metadata["name"] = f"{resource_name}-{digest[:8]}"
    annotations = metadata.get("annotations") or {}
    if annotations is not UNKNOWN:
        metadata["annotations"] = {**annotations, AUTONAMED: "true"}


def field_manager(urn: str) -> str:
    """The name under which the API server records which fields of an object are ours.

    Pulumi's is random. Ours follows from the URN, so that an object made by a process that was killed
    before it wrote its state is recognised and taken over by the next one.
    """
    return f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"


def normalise(obj: Object) -> Object:
    """`obj` in the form in which the API server gives it back, without read-only metadata."""
    if is_builtin(obj.get("apiVersion") or "") and not has_unknown(obj):
        kind = obj.get("kind")
        if kind == "Secret":
            obj = _normalise_secret(obj)
        elif kind == "CustomResourceDefinition":
            obj = _without(obj, "status")
        else:
            obj = _normalise(obj, "")
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        obj = {**obj, "metadata": _without(metadata, *_READ_ONLY_METADATA)}
    return obj


def _without(obj: Object, *keys: str) -> Object:
    return {key: value for key, value in obj.items() if key not in keys}


def prune(live: Object, shape: Object) -> Object:
    """The part of `live` that the fields of `shape` speak about: what a program's inputs are now."""
    return {
        key: _prune_value(value, shape[key])
        for key, value in live.items()
        if key in shape  # whatever else the live object has was filled in by the cluster
    }


def _prune_value(live: Any, shape: Any) -> Any:
    if isinstance(live, dict) and isinstance(shape, dict):
        return prune(live, shape)
    if isinstance(live, list) and isinstance(shape, list):
        return [_prune_value(value, wanted) for value, wanted in zip(live, shape, strict=False)]
    return live


def _normalise_secret(obj: Object) -> Object:
    """`stringData` becomes base64 in `data`; base64 in `data` is written the way the server writes it."""
    data = {key: _recode(value) for key, value in (obj.get("data") or {}).items()}
    strings = obj.get("stringData") or {}
    if strings:
        data |= {
            key: base64.b64encode(str(value).encode()).decode() for key, value in strings.items()
        }
        obj = _without(obj, "stringData")
    return {**obj, "data": data} if data else obj


def _recode(value: Any) -> Any:
    try:
        return base64.b64encode(base64.b64decode(value)).decode()
    except (binascii.Error, TypeError, ValueError):
        return value  # the API server refuses it with a better message


def _normalise(value: Any, key: str) -> Any:
    if isinstance(value, list):
        return [_normalise(item, "") for item in value]
    if not isinstance(value, dict):
        return canonical_quantity(value) if key in _QUANTITIES else value
    if key in _QUANTITY_MAPS:
        return {name: canonical_quantity(quantity) for name, quantity in value.items()}
    if key in _STRING_MAPS and all(
        isinstance(item, str) or item is None for item in value.values()
    ):
        return {name: item for name, item in value.items() if item is not None}
    result = {}
    for name, item in value.items():
        normal = _normalise(item, name)
        if not _is_dropped(name, normal):
            result[name] = normal
    return result


def _is_dropped(key: str, value: Any) -> bool:
    """Whether the API server would not give this field back."""
    if value is None:
        return True
    if value in ("", []):
        return key not in _MEANINGFUL_WHEN_EMPTY
    if value == {}:
        return key in _STRING_MAPS - {"selector"} or key in _QUANTITY_MAPS
    if isinstance(value, bool):
        return not value and key in _FALSE_BY_DEFAULT
    return value == 0 and key in _ZERO_BY_DEFAULT


def canonical_quantity(value: Any) -> Any:
    """A Kubernetes quantity as the API server writes it: `1024Mi` -> `1Gi`, `0.5` -> `500m`."""
    text = str(value)
    number = text.rstrip("EPTGMkmunKi")
    suffix = text[len(number) :]
    try:
        amount = Fraction(number)
    except (ValueError, ZeroDivisionError):
        return value  # not a quantity: the API server says so
    if suffix in _BINARY_SUFFIXES[1:]:
        amount *= 1024 ** _BINARY_SUFFIXES.index(suffix)
        if amount.denominator == 1 and abs(amount) >= 1024:
            power = 0
            while amount % 1024 == 0 and power < len(_BINARY_SUFFIXES) - 1:
                amount /= 1024
                power += 1
            return f"{amount}{_BINARY_SUFFIXES[power]}"
    elif suffix in _DECIMAL_SUFFIXES:
        amount *= Fraction(10) ** _DECIMAL_SUFFIXES[suffix]
    else:
        return value
    if amount == 0:
        return "0"
    for decimal_suffix, exponent in _DECIMAL_SUFFIXES.items():
        scaled = amount / Fraction(10) ** exponent
        if scaled.denominator == 1:
            return f"{scaled}{decimal_suffix}"
    return value


def live_inputs(live: Object) -> Object:
    """The inputs that would make `live`, for an import: without what the cluster fills in."""
    metadata = _without(live["metadata"], *_READ_ONLY_METADATA)
    annotations = _without(metadata.pop("annotations", None) or {}, *_ANNOTATIONS_OF_OTHERS)
    if annotations:
        metadata["annotations"] = annotations
    return {**_without(live, "status"), "metadata": metadata}
